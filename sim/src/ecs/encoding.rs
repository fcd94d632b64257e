//! Percent-encoding as the signing algorithm has it (huawei-ecs reference §6.2): only
//! `A-Za-z0-9-_.~` stay as they are, hex digits are upper case, and `+` is a plus sign.

use std::fmt::Write as _;

/// The bytes that a percent-encoded text stands for. A `%` without two hex digits stays a `%`.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        match escaped(first, tail) {
            Some((byte, after)) => {
                out.push(byte);
                rest = after;
            }
            None => {
                out.push(first);
                rest = tail;
            }
        }
    }
    out
}

fn escaped(first: u8, tail: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, after @ ..] = tail else {
        return None;
    };
    let digit = |b: &u8| {
        char::from(*b)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    (first == b'%').then_some(())?;
    Some((digit(high)? * 16 + digit(low)?, after))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &b in bytes {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// Names and values of a query as it stands on the wire, decoded, in the order given.
pub(super) fn pairs(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    query
        .split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(name), decode(value))
        })
        .collect()
}

/// A UUID as the ECS API writes it: 8-4-4-4-12 lower-case hex digits.
pub(super) fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plus_is_a_plus_and_a_lone_percent_stays() {
        assert_eq!(decode("a+b%20c%2"), b"a+b c%2");
        assert_eq!(encode(b"a+b c~\xe6"), "a%2Bb%20c~%E6");
    }

    #[test]
    fn only_lower_case_uuids_count() {
        assert!(is_uuid("46436810-d999-454c-bd85-e515fd258600"));
        assert!(!is_uuid("46436810-D999-454C-BD85-E515FD258600"));
        assert!(!is_uuid("46436810d999454cbd85e515fd258600"));
    }
}

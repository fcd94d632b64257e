//! The names of the servers of one create call (huawei-ecs reference §2, Names).

use std::collections::BTreeSet;

use super::error::ApiError;
use super::order::Order;

/// A name that carries its own numbering: `name[begin,digits]suffix`.
#[derive(Debug, PartialEq)]
struct Numbered<'a> {
    prefix: &'a str,
    begin: u32,
    digits: usize,
    suffix: &'a str,
}

impl<'a> Numbered<'a> {
    /// None for a name without brackets. The documents show the form and no bounds; the simulator takes 0 to
    /// 9999 for the first number and 1 to 4 digits, as its own numbering has them.
    fn of(name: &'a str) -> Result<Option<Self>, ApiError> {
        if !name.contains(['[', ']']) {
            return Ok(None);
        }
        let parts = || {
            let (prefix, rest) = name.split_once('[')?;
            let (numbers, suffix) = rest.split_once(']')?;
            let (begin, digits) = numbers.split_once(',')?;
            let begin = digits_of(begin).filter(|begin| *begin <= 9999)?;
            let digits = digits_of(digits).filter(|digits| (1..=4).contains(digits))?;
            let clean = !prefix.is_empty() && !suffix.contains(['[', ']']);
            clean.then_some(Self {
                prefix,
                begin,
                digits: usize::try_from(digits).ok()?,
                suffix,
            })
        };
        let bad = || {
            let text = format!("name {name:?}: numbering is written name[begin,digits]suffix");
            ApiError::service(400, "Ecs.0914", text)
        };
        parts().map(Some).ok_or_else(bad)
    }

    fn name(&self, index: u32) -> String {
        let (prefix, suffix, width) = (self.prefix, self.suffix, self.digits);
        let number = wrapped(self.begin + index);
        format!("{prefix}{number:0width$}{suffix}")
    }
}

/// Digits only: no sign, no blank.
fn digits_of(text: &str) -> Option<u32> {
    let fits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

/// 1 again after 9999 (WEB ecs_faq_0620).
fn wrapped(number: u32) -> u32 {
    if number > 9999 {
        (number - 1) % 9999 + 1
    } else {
        number
    }
}

/// Letters, digits, CJK, `_ - .`; 1 to 64 characters, and 59 where the cloud adds a number.
pub(super) fn check(order: &Order) -> Result<(), ApiError> {
    let longest = match Numbered::of(&order.name)? {
        Some(own) => (0..order.count.min(100))
            .map(|i| own.name(i))
            .max_by_key(String::len),
        None => None,
    };
    let numbered = longest.is_some();
    let name = longest.unwrap_or_else(|| order.name.clone());
    let length = name.chars().count();
    let limit = if order.count > 1 && !numbered { 59 } else { 64 };
    if !(1..=limit).contains(&length) {
        let text = format!("name: {length} characters, must be 1 to {limit}");
        return Err(ApiError::service(400, "Ecs.0915", text));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c) || is_cjk(c);
    if name.chars().all(fits) {
        return Ok(());
    }
    Err(ApiError::service(
        400,
        "Ecs.0914",
        "name: illegal character",
    ))
}

pub(super) fn is_cjk(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// The names, one for each server. Own numbering begins where it says, taken or not: no document tells
/// what the cloud does about a number that is in use.
pub(super) fn names<'a>(order: &Order, taken: impl Iterator<Item = &'a str>) -> Vec<String> {
    if let Ok(Some(own)) = Numbered::of(&order.name) {
        return (0..order.count).map(|i| own.name(i)).collect();
    }
    if order.count == 1 || order.same_name {
        return (0..order.count).map(|_| order.name.clone()).collect();
    }
    let prefix = format!("{}-", order.name);
    let number = |name: &str| {
        let digits = name.strip_prefix(&prefix).filter(|rest| rest.len() == 4)?;
        digits_of(digits)
    };
    let taken: BTreeSet<u32> = taken.filter_map(number).collect();
    let highest = taken.last().copied().unwrap_or(0);
    (0..order.count)
        .map(|i| format!("{prefix}{:04}", (highest + i) % 9999 + 1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_numbering_is_read_or_refused() {
        let own = Numbered::of("obs-p-[7,3].x").unwrap().unwrap();
        assert_eq!([own.name(0), own.name(1)], ["obs-p-007.x", "obs-p-008.x"]);
        let last = Numbered::of("p[9999,4]").unwrap().unwrap();
        assert_eq!([last.name(0), last.name(1)], ["p9999", "p0001"]);
        assert_eq!(Numbered::of("plain").unwrap(), None);
        for bad in [
            "p[",
            "p]",
            "p[1]",
            "p[1,]",
            "p[,3]",
            "p[1,0]",
            "p[1,5]",
            "p[10000,4]",
            "[1,3]",
            "p[-1,3]",
            "p[1,3][1,3]",
            "p[+1,3]",
            "p[1, 3]",
        ] {
            assert!(Numbered::of(bad).is_err(), "{bad}");
        }
    }
}

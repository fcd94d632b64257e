//! Scalars: what a single value may be, each with the words that say so.

use super::reader::Parsed;
use super::yaml::Tree;
use regex::Regex;
use std::fmt::Display;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A whole number within bounds.
pub(super) fn number<N>(bounds: RangeInclusive<N>) -> impl Fn(&Tree) -> Parsed<N>
where
    N: TryFrom<i128> + PartialOrd + Display,
{
    move |tree| {
        if let Tree::Int(number) = tree
            && let Ok(number) = N::try_from(*number)
            && bounds.contains(&number)
        {
            return Ok(number);
        }
        let (least, most) = (bounds.start(), bounds.end());
        Err(format!("a whole number from {least} to {most}"))
    }
}

/// Yes or no.
pub(super) fn flag(tree: &Tree) -> Parsed<bool> {
    match tree {
        Tree::Bool(value) => Ok(*value),
        _ => Err("true or false".to_owned()),
    }
}

/// A share: above 0, at most 1.
pub(super) fn ratio(tree: &Tree) -> Parsed<f64> {
    if *tree == Tree::Int(1) {
        return Ok(1.0);
    }
    if let Tree::Float(ratio) = tree
        && *ratio > 0.0
        && *ratio <= 1.0
    {
        return Ok(*ratio);
    }
    Err("a number above 0 and at most 1".to_owned())
}

/// The longest time that can be configured: what is longer is a slip of the pen.
const LONGEST: Duration = Duration::from_hours(24);

/// A length of time, such as `5m`, `1h30m` or `500ms`.
pub(super) fn duration(tree: &Tree) -> Parsed<Duration> {
    tree.text()
        .and_then(length)
        .filter(|length| !length.is_zero() && *length <= LONGEST)
        .ok_or_else(|| "a time such as 5m, 1h30m or 500ms, from 1ms to 24h".to_owned())
}

/// A length of time, or `0s` for none.
pub(super) fn duration_or_none(tree: &Tree) -> Parsed<Duration> {
    if tree.text() == Some("0s") {
        return Ok(Duration::ZERO);
    }
    duration(tree).map_err(|expected| format!("{expected}, or 0s"))
}

/// How long something is remembered, such as `180d` or `36h`.
pub(super) fn retention(tree: &Tree) -> Parsed<Duration> {
    const DAY: Duration = Duration::from_hours(24);
    tree.text()
        .and_then(|text| whole_units(text, &[("d", 86_400_000), ("h", 3_600_000)]))
        .filter(|length| (DAY..=3650 * DAY).contains(length))
        .ok_or_else(|| "a time such as 180d or 36h, from 1d to 3650d".to_owned())
}

/// A share of which a boundary has to be passed: 0 to 0.5.
pub(super) fn margin(tree: &Tree) -> Parsed<f64> {
    let share = match tree {
        Tree::Int(0) => Some(0.0),
        Tree::Float(share) => Some(*share).filter(|share| (0.0..=0.5).contains(share)),
        _ => None,
    };
    share.ok_or_else(|| "a number from 0 to 0.5".to_owned())
}

fn length(text: &str) -> Option<Duration> {
    whole_units(
        text,
        &[("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)],
    )
}

/// Whole numbers with their units (in milliseconds), each unit once, the larger before the smaller.
fn whole_units(text: &str, units: &[(&str, u64)]) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = units.iter();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, behind) = rest.split_at(digits);
        let word = behind.find(|c: char| c.is_ascii_digit());
        let (unit, behind) = behind.split_at(word.unwrap_or(behind.len()));
        let (_, millis) = units.find(|(name, _)| *name == unit)?;
        let part = count.parse::<u64>().ok()?.checked_mul(*millis)?;
        total = total.checked_add(part)?;
        rest = behind;
    }
    Some(Duration::from_millis(total))
}

/// What `T` reads, in the words of `expected`.
pub(super) fn word<T: FromStr>(expected: &str) -> impl Fn(&Tree) -> Parsed<T> {
    move |tree| {
        tree.text()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| expected.to_owned())
    }
}

/// A text of 1 to `most` characters that all are `lawful`.
pub(super) fn text(
    expected: &'static str,
    most: usize,
    lawful: fn(char) -> bool,
) -> impl Fn(&Tree) -> Parsed<String> {
    move |tree| {
        let fits = |text: &&str| (1..=most).contains(&text.len()) && text.chars().all(lawful);
        if let Some(text) = tree.text().filter(fits) {
            return Ok(text.to_owned());
        }
        let quotable = matches!(tree, Tree::Int(_) | Tree::Float(_) | Tree::Bool(_));
        let hint = if quotable { " (in quotes)" } else { "" };
        Err(format!("{expected}{hint}"))
    }
}

/// An identifier of the cloud, mostly a UUID, or a name that may stand in a URL or a command.
pub(super) fn identifier(tree: &Tree) -> Parsed<String> {
    text(
        "1 to 64 letters, digits, '-', '_' and '.'",
        64,
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'),
    )(tree)
}

/// An absolute path of plain characters: it may become part of a command on a worker.
pub(super) fn path(tree: &Tree) -> Parsed<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+');
    tree.text()
        .filter(|text| text.starts_with('/') && text.chars().all(plain))
        .map(str::to_owned)
        .ok_or_else(|| "an absolute path of letters, digits and '/.-_+'".to_owned())
}

/// An absolute path on this machine.
pub(super) fn local_path(tree: &Tree) -> Parsed<PathBuf> {
    tree.text()
        .filter(|text| text.starts_with('/') && !text.contains(char::is_control))
        .map(PathBuf::from)
        .ok_or_else(|| "an absolute path".to_owned())
}

/// A base URL, and the `host:port` that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    pub(super) url: String,
    pub(super) host_port: String,
}

/// `http://HOST[:PORT]` or `https://…`, with nothing behind it: no path, no query, no credentials.
pub(super) fn base_url(tree: &Tree) -> Parsed<Base> {
    let expected =
        || "http:// or https:// with a host and perhaps a port, and no final slash".to_owned();
    let url = tree.text().ok_or_else(expected)?;
    let with_scheme = |scheme: &str, port: &str| {
        let authority = url.strip_prefix(scheme)?;
        let full = [authority.to_owned(), format!("{authority}:{port}")];
        full.into_iter().find(|text| is_host_port(text))
    };
    with_scheme("http://", "80")
        .or_else(|| with_scheme("https://", "443"))
        .map(|host_port| Base {
            url: url.to_owned(),
            host_port,
        })
        .ok_or_else(expected)
}

/// `HOST:PORT`.
pub(super) fn host_port(tree: &Tree) -> Parsed<String> {
    tree.text()
        .filter(|text| is_host_port(text))
        .map(str::to_owned)
        .ok_or_else(|| "HOST:PORT".to_owned())
}

/// Strict about the characters of a host: it stands in the worker's configuration, which is a
/// shell script.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let in_brackets = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let lawful = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let host = match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(lawful),
    };
    let digits = port.chars().all(|c| c.is_ascii_digit());
    host && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// A pattern that has to match the whole of a name.
pub(super) fn whole_name(tree: &Tree) -> Parsed<Regex> {
    let pattern = tree.text();
    let pattern = pattern.ok_or_else(|| "a regular expression".to_owned())?;
    // On its own first: brackets that do not match could come to match inside the anchors.
    Regex::new(pattern)
        .and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")))
        .map_err(|error| {
            let error = error.to_string();
            let reason = error.lines().last().unwrap_or_default();
            format!(
                "a regular expression ({})",
                reason.trim_start_matches("error: ")
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Tree {
        Tree::Text(text.to_owned())
    }

    #[test]
    fn a_duration_is_read_exactly_or_not_at_all() {
        let read = |t: &str| duration(&text(t)).ok().map(|d| d.as_millis());
        assert_eq!(read("5m"), Some(300_000));
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("1m30s500ms"), Some(90_500));
        assert_eq!(read("24h"), Some(86_400_000));
        for wrong in [
            "", "5", "0s", "m", "5 m", "30m1h", "1m1m", "-5m", "1.5h", "25h", "5min",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(read("99999999999999999999h"), None);
        assert_eq!(read("9999999999999999999h"), None);
        assert!(duration(&Tree::Int(300)).is_err());
    }

    #[test]
    fn a_base_url_leads_to_one_host_and_port() {
        let read = |t: &str| base_url(&text(t)).ok().map(|base| base.host_port);
        assert_eq!(
            read("http://10.0.0.5:5352").as_deref(),
            Some("10.0.0.5:5352")
        );
        assert_eq!(read("https://ecs.x.com").as_deref(), Some("ecs.x.com:443"));
        assert_eq!(read("http://[::1]").as_deref(), Some("[::1]:80"));
        for wrong in [
            "10.0.0.5:5352",
            "ftp://a",
            "http://",
            "http://a/",
            "http://a/b",
            "http://u:p@a",
            "http://a:0",
            "http://a:99999",
            "http://$(id):80",
            "http://a?b",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_pattern_matches_whole_names_only() {
        let gcc = whole_name(&text("gcc|kernel.*")).unwrap();
        assert!(gcc.is_match("gcc") && gcc.is_match("kernel-source"));
        assert!(!gcc.is_match("gcc-libs") && !gcc.is_match("mygcc") && !gcc.is_match("gcc\n"));
        assert!(whole_name(&text("a)(b")).is_err());
        assert!(
            whole_name(&text("("))
                .unwrap_err()
                .contains("unclosed group")
        );
    }
}

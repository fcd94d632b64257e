//! The few families of node_exporter's page that are wanted, in Prometheus' text format 0.0.4.

use super::HostError;
use super::tally::{Family, Tally, is_count};
use crate::model::HostCounters;

/// Reads a page of node_exporter. What it lacks (a collector may be switched off there) is `None`.
///
/// # Errors
/// Where the page is cut off, a wanted line of it is not understood, or it has none of them.
pub(super) fn parse(page: &str) -> Result<HostCounters, HostError> {
    let document = |why: String| HostError::Document(why);
    if !page.ends_with('\n') {
        return Err(document("the page ends within a line".to_owned()));
    }
    let mut tally = Tally::default();
    for line in page.lines() {
        let metric = line.split(['{', ' ']).next().unwrap_or_default();
        if let Some(family) = Family::of(metric) {
            let sample = Sample::parse(line);
            let sample = sample.ok_or_else(|| HostError::line(line, "the page"))?;
            tally.sample(family, |name| sample.label(name), sample.value);
        }
    }
    tally
        .counters()
        .ok_or_else(|| document("no page of node_exporter".to_owned()))
}

struct Sample<'a> {
    labels: Vec<(&'a str, &'a str)>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// `NAME VALUE` or `NAME{LABEL="TEXT",…} VALUE`; node_exporter gives no timestamps. No device and no
    /// mode holds a character that would have to be escaped: a text with a backslash is taken as it is.
    fn parse(line: &'a str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = match series.split_once('{') {
            Some((_, labels)) => labels.strip_suffix('}')?,
            None => "",
        };
        Some(Self {
            labels: pairs(labels)?,
            value: value.parse().ok().filter(is_count)?,
        })
    }

    fn label(&self, name: &str) -> Option<&'a str> {
        let mut labels = self.labels.iter();
        labels.find(|(n, _)| *n == name).map(|(_, text)| *text)
    }
}

fn pairs(mut rest: &str) -> Option<Vec<(&str, &str)>> {
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"")?;
        let end = closing_quote(behind)?;
        let (text, behind) = behind.split_at(end);
        pairs.push((name, text));
        let behind = behind.strip_prefix('"')?;
        rest = behind.strip_prefix(',').unwrap_or(behind);
    }
    Some(pairs)
}

/// Where the text ends: at the first quote that no backslash stands before.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let closes = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        closes.then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CpuTime, InOut};

    /// Of node_exporter 1.5.0, as it stood; families that are not wanted are left out but for a few.
    const PAGE: &str = include_str!("../../tests/data/hosts/node_exporter-1.5.0.txt");

    #[test]
    fn a_real_page_reads_as_counted_by_hand() {
        let counters = parse(PAGE).unwrap();
        let CpuTime {
            busy,
            idle,
            waiting,
        } = counters.cpu.unwrap();
        let cents = [busy, idle, waiting].map(|seconds| (seconds * 100.0).round());
        assert_eq!(cents, [1_054_707.0, 1_504_732.0, 12_740.0]);
        let used = 1.0 - 24_333_639_680.0 / 25_276_502_016.0;
        assert_eq!(counters.memory_usage_ratio, Some(used));
        let pair = |inward, outward| Some(InOut { inward, outward });
        assert_eq!(counters.disk_operations, pair(1_832_082.0, 372_575.0));
        let bytes = pair(57_290_433_536.0, 75_383_783_424.0);
        assert_eq!(counters.disk_bytes, bytes);
        assert_eq!(counters.network_bytes, pair(745_716_382.0, 2_062_195.0));
    }

    #[test]
    fn a_page_cut_within_a_line_is_an_error_and_not_a_smaller_number() {
        for end in (0..PAGE.len()).filter(|end| !PAGE[..*end].ends_with('\n')) {
            assert!(parse(&PAGE[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn what_a_page_lacks_is_not_known_and_what_is_no_page_is_an_error() {
        let only = "node_memory_MemTotal_bytes 4\nnode_memory_MemAvailable_bytes 1e0\n";
        let counters = parse(only).unwrap();
        assert_eq!(counters.memory_usage_ratio, Some(0.75));
        assert_eq!((counters.cpu, counters.disk_bytes), (None, None));
        for page in ["\n", "<html>\n", "go_goroutines 8\n"] {
            assert!(parse(page).is_err(), "{page}");
        }
    }

    #[test]
    fn a_wanted_line_that_is_not_understood_is_an_error() {
        for line in [
            "node_memory_MemTotal_bytes much",
            "node_memory_MemTotal_bytes NaN",
            "node_memory_MemTotal_bytes -1",
            "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\" 7",
            "node_cpu_seconds_total{cpu=\"0,mode=idle} 7",
        ] {
            let page = format!("{PAGE}{line}\n");
            assert!(parse(&page).is_err(), "{line}");
        }
        let long = format!("node_memory_MemTotal_bytes {}\n", "x".repeat(1 << 20));
        assert!(parse(&long).unwrap_err().to_string().len() < 300);
        let odd = "node_disk_reads_completed_total{model=\"a \\\"b}\\\", c\",device=\"loop0\"} 1";
        assert_eq!(parse(&format!("{PAGE}{odd}\n")), parse(PAGE));
    }
}

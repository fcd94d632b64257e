//! The two text formats of `GET /metrics`: OpenMetrics 1.0, as the library writes it, and Prometheus'
//! older 0.0.4 for everything that does not ask for that (curl, `promtool check metrics`).

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

impl Format {
    /// The format to answer an `Accept` header with: OpenMetrics only where it is asked for.
    #[must_use]
    pub fn for_accept(accept: &str) -> Self {
        if accept.split(',').any(accepts_openmetrics) {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// Its `Content-Type`, without which Prometheus 3 refuses a scrape.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

fn accepts_openmetrics(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next() == Some("application/openmetrics-text");
    let fits = |part: &str| match part.split_once('=') {
        Some(("version", version)) => version == "1.0.0",
        Some(("q", weight)) => weight.parse::<f32>().is_ok_and(|q| q > 0.0),
        _ => true,
    };
    named && parts.all(fits)
}

/// How a page is packed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// As it is.
    Identity,
    /// In gzip's format.
    Gzip,
}

impl Coding {
    /// The coding to answer an `Accept-Encoding` header with (RFC 9110, section 12.5.3): gzip where
    /// it is named with a weight above 0, or is not named and `*` is.
    #[must_use]
    pub fn for_accept_encoding(accept: &str) -> Self {
        let weights = || accept.split(',').map(weight);
        let of = |wanted: &[&str]| {
            let named = |name: &str| wanted.iter().any(|w| w.eq_ignore_ascii_case(name));
            weights().find(|(name, _)| named(name)).map(|(_, q)| q)
        };
        match of(&["gzip", "x-gzip"]).or_else(|| of(&["*"])) {
            Some(q) if q > 0.0 => Self::Gzip,
            _ => Self::Identity,
        }
    }
}

/// A name and its weight: 1 where none is given, 0 where it can not be read.
fn weight(range: &str) -> (&str, f32) {
    let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
    let q = match parameters.trim().split_once('=') {
        Some((key, q)) if key.trim().eq_ignore_ascii_case("q") => q.trim().parse().unwrap_or(0.0),
        _ => 1.0,
    };
    (name.trim(), q)
}

/// Rewrites OpenMetrics as 0.0.4, a piece at a time: a family has the name of its samples (`…_total`,
/// `…_info`), an info is a gauge, and units and the end mark are comments without meaning, so they are
/// left out. Samples stay as they are: this program writes no exemplars and no creation times.
#[derive(Debug, Default)]
pub(super) struct OlderText {
    /// The help of the family whose type comes next.
    help: String,
}

impl OlderText {
    /// Takes the whole lines off the front of `text`, and gives them rewritten.
    pub(super) fn rewrite(&mut self, text: &mut String) -> String {
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let mut out = String::with_capacity(text.capacity());
        for line in text.drain(..whole).as_str().split_inclusive('\n') {
            if line.starts_with('#') {
                self.comment(line.trim_end(), &mut out);
            } else {
                out.push_str(line);
            }
        }
        out
    }

    fn comment(&mut self, line: &str, out: &mut String) {
        if let Some((_, help)) = after(line, "# HELP ") {
            help.clone_into(&mut self.help);
        } else if let Some((name, kind)) = after(line, "# TYPE ") {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            let help = &self.help;
            out.push_str(&format!(
                "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"
            ));
        }
    }
}

fn after<'a>(line: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(mark)?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prometheus_gets_openmetrics_and_curl_gets_the_older_text() {
        let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
            encoding=delimited;q=1,application/openmetrics-text;version=1.0.0;q=0.8,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::for_accept(prometheus), Format::OpenMetrics);
        let refused = "application/openmetrics-text;q=0,text/plain";
        for accept in ["*/*", "", "text/plain;version=0.0.4", refused] {
            assert_eq!(Format::for_accept(accept), Format::Prometheus, "{accept}");
        }
    }

    #[test]
    fn gzip_is_for_those_who_accept_it() {
        let accepting = [
            "gzip",
            "GZIP",
            "deflate, gzip;q=0.5",
            "x-gzip",
            "*",
            "*;q=0.1",
        ];
        for accept in accepting {
            assert_eq!(
                Coding::for_accept_encoding(accept),
                Coding::Gzip,
                "{accept}"
            );
        }
        let refusing = [
            "",
            "identity",
            "gzip;q=0",
            "gzip; Q = 0.000, *",
            "*;q=0",
            "gzip;q=much",
        ];
        for accept in refusing {
            assert_eq!(
                Coding::for_accept_encoding(accept),
                Coding::Identity,
                "{accept}"
            );
        }
    }

    #[test]
    fn the_older_text_names_counters_and_infos_as_their_samples() {
        let page = "# HELP c Counted.\n# TYPE c counter\nc_total 0\n\
            # HELP b Built.\n# TYPE b info\nb_info{version=\"1 # {x}\"} 1\n# EOF\n";
        let expected = "# HELP c_total Counted.\n# TYPE c_total counter\nc_total 0\n\
            # HELP b_info Built.\n# TYPE b_info gauge\nb_info{version=\"1 # {x}\"} 1\n";
        for cut in 0..=page.len() {
            let (mut older, mut text) = (OlderText::default(), page[..cut].to_owned());
            let first = older.rewrite(&mut text);
            text.push_str(&page[cut..]);
            assert_eq!(first + &older.rewrite(&mut text), expected, "cut at {cut}");
            assert_eq!(text, "");
        }
    }
}

//! The two text formats of `GET /metrics`: OpenMetrics 1.0, as the library writes it, and Prometheus'
//! older 0.0.4 for everything that does not ask for that (curl, `promtool check metrics`).

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;

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

/// Every metric of the registry in this format.
///
/// # Errors
/// Where a collector fails to write.
pub fn render(registry: &Registry, format: Format) -> Result<String, fmt::Error> {
    let mut page = String::new();
    encode(&mut page, registry)?;
    Ok(match format {
        Format::OpenMetrics => page,
        Format::Prometheus => to_prometheus(&page),
    })
}

/// Rewrites OpenMetrics as 0.0.4: a family has the name of its samples (`…_total`, `…_info`), an
/// info is a gauge, and units and the end mark are comments without meaning, so they are left out.
/// Samples stay as they are: this program writes no exemplars and no creation times.
fn to_prometheus(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut help = None;
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ');
        } else if let Some((name, kind)) = descriptor(line) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                _ => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                out.push_str(&format!("# HELP {name}{suffix} {help}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

fn descriptor(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("# TYPE ")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::{counter::Counter, info::Info};

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
    fn the_older_text_names_counters_and_infos_as_their_samples() {
        let mut registry = Registry::default();
        registry.register("c", "Counted", Counter::<u64>::default());
        registry.register("b", "Built", Info::new([("version", "1 # {x}")].to_vec()));
        let page = render(&registry, Format::Prometheus).unwrap();
        let expected = "# HELP c_total Counted.\n# TYPE c_total counter\nc_total 0\n\
            # HELP b_info Built.\n# TYPE b_info gauge\nb_info{version=\"1 # {x}\"} 1\n";
        assert_eq!(page, expected);
    }
}

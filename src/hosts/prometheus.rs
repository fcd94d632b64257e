//! node_exporter's series as Prometheus has them: `POST /api/v1/query`
//! (<https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries>).

use super::reader::{Asked, Reading, Readings, Target};
use super::tally::{Family, Tally, is_count};
use super::{HostError, http};
use crate::model::HostName;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A Prometheus that scrapes the workers' node_exporter.
#[derive(Debug)]
pub(super) struct Prometheus {
    pub(super) http: reqwest::Client,
    /// Its base URL, without a final slash.
    pub(super) url: String,
    /// The label whose value names the worker: its address, with or without a port, or its name.
    pub(super) label: String,
    pub(super) timeout: Duration,
}

impl Prometheus {
    /// Three queries for all workers together, each of the state at `at`.
    pub(super) async fn read(
        &self,
        targets: &[Target],
        at: Timestamp,
    ) -> Result<Readings, HostError> {
        let mut answers = Vec::new();
        for query in queries(&self.label) {
            answers.push(self.query(&query, at).await?);
        }
        understand(&answers, &self.label, targets)
    }

    async fn query(&self, query: &str, at: Timestamp) -> Result<String, HostError> {
        let request = self.http.post(format!("{}/api/v1/query", self.url));
        let form = [("query", query), ("time", &at.to_string())];
        let mut body =
            reqwest::Url::parse("http://form/").map_err(|e| HostError::Setup(e.to_string()))?;
        body.query_pairs_mut().extend_pairs(form);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.query().unwrap_or_default().to_owned());
        http::fetch(request, http::OF_PROMETHEUS, self.timeout).await
    }
}

/// When each worker was scraped, its CPU time by mode, and the rest. A worker that two jobs scrape is
/// counted once.
fn queries(label: &str) -> [String; 3] {
    [
        format!("max by ({label}) (timestamp(node_memory_MemAvailable_bytes))"),
        format!("sum by ({label}, mode) (max by ({label}, cpu, mode) (node_cpu_seconds_total))"),
        "{__name__=~\"node_memory_Mem(Total|Available)_bytes\
         |node_disk_(reads_completed|writes_completed|read_bytes|written_bytes)_total\
         |node_network_(receive|transmit)_bytes_total\"}"
            .to_owned(),
    ]
}

/// What an instant query answers.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    /// The time of the query, and the number as text.
    value: (f64, String),
}

impl Series {
    fn value(&self) -> Result<f64, HostError> {
        let number = self.value.1.parse().ok().filter(is_count);
        number.ok_or_else(|| HostError::Document(format!("the value {:?}", self.value.1)))
    }
}

fn series(answer: &str) -> Result<Vec<Series>, HostError> {
    let answer: Answer =
        serde_json::from_str(answer).map_err(|error| HostError::Document(error.to_string()))?;
    match answer {
        Answer::Success {
            data: Data::Vector(series),
        } => Ok(series),
        Answer::Error { error } => Err(HostError::Document(error)),
    }
}

#[derive(Default)]
struct Known {
    scraped: Option<Timestamp>,
    tally: Tally,
}

/// The answers of the three queries, by worker. Series of other machines are passed over.
fn understand(answers: &[String], label: &str, targets: &[Target]) -> Result<Readings, HostError> {
    let names = targets.iter().flat_map(|target| {
        let by = [target.ip.to_string(), target.name.as_str().to_owned()];
        by.map(|word| (word, &target.name))
    });
    let names: BTreeMap<String, &HostName> = names.collect();
    let mut known: BTreeMap<&HostName, Known> = BTreeMap::new();
    for (number, answer) in answers.iter().enumerate() {
        for series in series(answer)? {
            let named = series.metric.get(label).map(|text| host_of(text));
            let Some(name) = named.and_then(|word| names.get(&word)) else {
                continue;
            };
            let known = known.entry(name).or_default();
            let value = series.value()?;
            match number {
                0 => known.scraped = time(value),
                1 => known.tally.cpu(text(&series, "mode"), value),
                _ => {
                    let label = |name: &str| series.metric.get(name).map(String::as_str);
                    if let Some(family) = Family::of(text(&series, "__name__")) {
                        known.tally.sample(family, label, value);
                    }
                }
            }
        }
    }
    let read = |target: &Target| -> Asked {
        let reading = known.get(&target.name).and_then(|known| {
            let at = known.scraped?;
            let counters = known.tally.counters()?;
            Some(Reading { at, counters })
        });
        (target.name.clone(), reading.ok_or(HostError::NoSeries))
    };
    Ok(targets.iter().map(read).collect())
}

fn text<'s>(series: &'s Series, label: &str) -> &'s str {
    series.metric.get(label).map_or("", String::as_str)
}

/// Seconds since 1970, to the millisecond as Prometheus keeps them.
#[expect(clippy::cast_possible_truncation, reason = "checked by Timestamp")]
fn time(seconds: f64) -> Option<Timestamp> {
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

/// `10.0.0.7:9100` → `10.0.0.7`; `[::1]:9100` → `::1`; `worker-1:9100` → `worker-1`.
fn host_of(text: &str) -> String {
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return addr.ip().to_string();
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return ip.to_string();
    }
    let name = text.rsplit_once(':').map_or(text, |(name, _)| name);
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::InOut;

    /// What Prometheus 2.42 answered to each query, with node_exporter 1.5.0 as its only target.
    const ANSWERS: [&str; 3] = [
        include_str!("../../tests/data/hosts/prometheus-2.42-scraped.json"),
        include_str!("../../tests/data/hosts/prometheus-2.42-cpu.json"),
        include_str!("../../tests/data/hosts/prometheus-2.42-rest.json"),
    ];

    fn target(name: &str, ip: &str) -> Target {
        Target {
            name: HostName::new(name),
            ip: ip.parse().unwrap(),
            order: None,
        }
    }

    fn read(answers: [&str; 3], targets: &[Target]) -> Result<Vec<Asked>, HostError> {
        let answers = answers.map(str::to_owned);
        let read = understand(&answers, "instance", targets);
        read.map(|read| read.into_iter().collect())
    }

    #[test]
    fn what_a_real_prometheus_says_reads_as_counted_by_hand() {
        let there = target("w-1", "127.0.0.1");
        let elsewhere = target("w-2", "127.0.0.2");
        let read = read(ANSWERS, &[there, elsewhere]).unwrap();
        let [(_, Ok(reading)), (_, Err(HostError::NoSeries))] = read.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(reading.at.to_string(), "2026-11-23T01:29:15.098Z");
        let cpu = reading.counters.cpu.unwrap();
        let cents = [cpu.busy, cpu.idle, cpu.waiting].map(|seconds| (seconds * 100.0).round());
        assert_eq!(cents, [1_238_282.0, 1_531_737.0, 13_406.0]);
        let used = 1.0 - 23_736_930_304.0 / 25_276_502_016.0;
        assert_eq!(reading.counters.memory_usage_ratio, Some(used));
        let pair = |inward, outward| Some(InOut { inward, outward });
        let operations = pair(2_238_274.0, 412_424.0);
        assert_eq!(reading.counters.disk_operations, operations);
        let bytes = pair(774_475_710.0, 2_237_419.0);
        assert_eq!(reading.counters.network_bytes, bytes);
    }

    #[test]
    fn a_worker_that_was_not_scraped_is_not_known_whatever_else_is() {
        let nothing = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;
        let [_, cpu, rest] = ANSWERS;
        let read = read([nothing, cpu, rest], &[target("w-1", "127.0.0.1")]).unwrap();
        assert_eq!(read[0].1, Err(HostError::NoSeries));
    }

    #[test]
    fn an_answer_that_is_no_success_or_not_whole_is_an_error() {
        let refused = r#"{"status":"error","errorType":"bad_data","error":"unclosed"}"#;
        let [scraped, cpu, rest] = ANSWERS;
        let cut = &rest[..rest.len() / 2];
        for last in [refused, cut, "", "[]", "{}"] {
            let read = read([scraped, cpu, last], &[target("w-1", "127.0.0.1")]);
            assert!(read.is_err(), "{last}");
        }
        let endless = cpu.replace("\"0\"", "\"NaN\"");
        assert!(read([scraped, &endless, rest], &[target("w-1", "127.0.0.1")]).is_err());
    }

    #[test]
    fn a_worker_is_named_by_address_or_name_with_or_without_a_port() {
        for (text, host) in [
            ("10.0.0.7:9100", "10.0.0.7"),
            ("10.0.0.7", "10.0.0.7"),
            ("[2001:DB8::0:7]:9100", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("w-1:9100", "w-1"),
            ("w-1", "w-1"),
        ] {
            assert_eq!(host_of(text), host);
        }
    }
}

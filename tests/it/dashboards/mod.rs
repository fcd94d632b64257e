//! The dashboards in `grafana/` keep the rules of Grafana's dashboard linter, ask only for metrics that exist,
//! and have every question answered by a Prometheus that watched a real run (`the_loop`).
//! `make test` proves besides that they are what `grafana/generate` writes from Grafana's own types.

mod lint;
mod live;

pub(crate) use live::every_query_answers;

use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every dashboard, as it is committed.
fn dashboards() -> Vec<Value> {
    let folder = repository().join("grafana/dashboards");
    let files = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let mut files: Vec<_> = files.collect();
    files.sort();
    assert_eq!(files.len(), 3, "Overview, Scaling and lifecycle, Workers");
    let read = |path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    files.iter().map(read).collect()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The panels that show something: rows only head others.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    list(dashboard, "/panels")
        .iter()
        .filter(|panel| text(panel, "/type") != "row")
}

/// A question to Prometheus, and where it stands.
#[derive(Debug)]
struct Query {
    /// `dashboard / panel / letter`, or `dashboard / annotation`.
    place: String,
    /// As it is written, with variables.
    written: String,
}

impl Query {
    /// With everything chosen in the variables.
    fn asked(&self, rate_interval: &str, range: &str) -> String {
        let asked = self
            .written
            .replace("$__rate_interval", rate_interval)
            .replace("$__range", range);
        let asked = Regex::new(r"\$[a-z]+").unwrap().replace_all(&asked, ".+");
        asked.into_owned()
    }
}

fn queries() -> Vec<Query> {
    let mut found = Vec::new();
    for dashboard in dashboards() {
        let title = text(&dashboard, "/title");
        for panel in panels(&dashboard) {
            found.extend(list(panel, "/targets").iter().map(|target| Query {
                place: format!(
                    "{title} / {} / {}",
                    text(panel, "/title"),
                    text(target, "/refId")
                ),
                written: text(target, "/expr").to_owned(),
            }));
        }
        let annotations = list(&dashboard, "/annotations/list").iter();
        found.extend(annotations.map(|annotation| Query {
            place: format!("{title} / {}", text(annotation, "/name")),
            written: text(annotation, "/expr").to_owned(),
        }));
    }
    assert!(found.len() > 80, "only {} queries were found", found.len());
    found
}

/// The metrics that `docs/metrics.md` has a row for.
fn documented() -> BTreeSet<String> {
    let path = repository().join("docs/metrics.md");
    let document = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let row = Regex::new(r"(?m)^\| `([a-z_:]+)`").unwrap();
    let names = row.captures_iter(&document).map(|c| c[1].to_owned());
    names.collect()
}

/// The metric names that a query selects: a name stands before braces, and a name of ours may be told
/// without them.
fn metrics_of(query: &str) -> BTreeSet<String> {
    let name = Regex::new(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{|\b(obs_[a-z_]+)\b").unwrap();
    let strings = Regex::new(r#""[^"]*""#).unwrap();
    let bare = strings.replace_all(query, "");
    let named = name.captures_iter(&bare);
    named
        .filter_map(|c| c.get(1).or(c.get(2)))
        .map(|m| m.as_str().to_owned())
        .collect()
}

#[test]
fn every_metric_that_is_asked_for_is_real() {
    let real = documented();
    let is_real = |name: &str| {
        let parts = ["_bucket", "_sum", "_count"].iter();
        let mut base = parts.filter_map(|part| name.strip_suffix(part));
        name == "ALERTS" || real.contains(name) || base.any(|base| real.contains(base))
    };
    let variables = dashboards().into_iter().flat_map(|dashboard| {
        let variables = list(&dashboard, "/templating/list").iter();
        variables
            .map(|v| text(v, "/query").to_owned())
            .collect::<Vec<_>>()
    });
    let written = queries().into_iter().map(|q| q.written).chain(variables);
    let unreal: BTreeSet<String> = written
        .flat_map(|query| metrics_of(&query))
        .filter(|name| !is_real(name))
        .collect();
    assert!(unreal.is_empty(), "not in docs/metrics.md: {unreal:#?}");
}

#[test]
fn prometheus_understands_every_query() {
    let rules = queries().iter().fold(
        "groups:\n- name: dashboards\n  rules:\n".to_owned(),
        |rules, query| {
            let asked = serde_json::to_string(&query.asked("1m", "6h")).unwrap();
            rules
                + &format!(
                    "  - {{ record: \"asked\", labels: {{ by: {:?} }}, expr: {asked} }}\n",
                    query.place
                )
        },
    );
    let file = tempfile::NamedTempFile::with_suffix(".yml").unwrap();
    fs::write(file.path(), rules).unwrap();
    let run = Command::new("promtool")
        .args(["check", "rules", "--lint=none"])
        .arg(file.path())
        .output()
        .expect("promtool is needed: apt-get install prometheus");
    let said = String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned();
    assert!(run.status.success(), "{said}");
}

#[test]
fn the_provisioned_folder_is_where_the_provider_looks() {
    let read = |path: &str| -> Value {
        let text = fs::read_to_string(repository().join("grafana/provisioning").join(path));
        serde_yaml::from_str(&text.unwrap()).unwrap()
    };
    let source = read("datasources/obs-scaler.yaml");
    assert_eq!(text(&source, "/datasources/0/type"), "prometheus");
    let provider = read("dashboards/obs-scaler.yaml");
    assert_eq!(text(&provider, "/providers/0/type"), "file");
    assert_eq!(
        text(&provider, "/providers/0/options/path"),
        "/var/lib/grafana/dashboards/obs-scaler",
        "grafana/README.md says to copy the dashboards there"
    );
}

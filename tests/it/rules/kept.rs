//! What promtool does not look at: that the tables of thresholds, the pages and the tests belong to the
//! rules that there are.

use super::{files, repository};
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::fs;

const PAGES: &str = "https://gitee.com/openeuler/obs-scaler/blob/master/docs/runbooks/";

/// One rule, alerting or recording, as its file has it.
pub(super) struct Rule {
    pub(super) name: String,
    file: String,
    expr: String,
    /// `for` and `keep_firing_for`, as written.
    waits: Vec<(&'static str, String)>,
    pub(super) labels: Vec<(String, String)>,
    annotations: Vec<(String, String)>,
    alerts: bool,
}

impl Rule {
    fn read(file: &str, rule: &Value) -> Self {
        let text = |key: &str| Some(rule.get(key)?.as_str()?.to_owned());
        let alert = text("alert");
        Self {
            alerts: alert.is_some(),
            name: alert.or_else(|| text("record")).unwrap(),
            file: file.to_owned(),
            expr: text("expr").unwrap(),
            waits: ["for", "keep_firing_for"]
                .into_iter()
                .filter_map(|key| Some((key, text(key)?)))
                .collect(),
            labels: pairs(rule.get("labels")),
            annotations: pairs(rule.get("annotations")),
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        find(&self.labels, name)
    }

    fn annotation(&self, name: &str) -> &str {
        let found = find(&self.annotations, name);
        found.unwrap_or_else(|| panic!("{} has no {name}", self.name))
    }

    /// The numbers of the expression, with their unit where they have one, but for 0 and 1, which are not
    /// thresholds by themselves.
    fn numbers(&self) -> BTreeSet<String> {
        let code = self.expr.split('"').step_by(2).collect::<String>();
        let word = |c: char| !(c.is_alphanumeric() || "_:.".contains(c));
        code.split(word)
            .filter(|w| w.starts_with(|c: char| c.is_ascii_digit()))
            .map(str::to_owned)
            .collect()
    }
}

fn pairs(of: Option<&Value>) -> Vec<(String, String)> {
    let mapping = of.and_then(Value::as_mapping).into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    mapping.map(|(k, v)| (text(k), text(v))).collect()
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = pairs.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}

fn list<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    of.get(key)
        .and_then(Value::as_sequence)
        .into_iter()
        .flatten()
}

/// Every rule.
fn rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for path in files("alerting-rules") {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let parsed: Value = serde_yaml::from_str(&text).unwrap();
        let groups = list(&parsed, "groups");
        rules.extend(
            groups
                .flat_map(|g| list(g, "rules"))
                .map(|r| Rule::read(&file, r)),
        );
    }
    rules
}

/// Every rule that alerts; a name may stand twice, with two severities.
pub(super) fn alerts() -> Vec<Rule> {
    rules().into_iter().filter(|r| r.alerts).collect()
}

fn alert_names() -> BTreeSet<String> {
    alerts().into_iter().map(|r| r.name).collect()
}

/// One line of the table at the top of a file of rules.
#[derive(Debug)]
struct Threshold {
    file: String,
    /// A rule's name.
    of: String,
    /// What about it.
    what: String,
    number: String,
    unit: String,
    meaning: String,
}

impl Threshold {
    /// As PromQL and the rules write it: with the unit, where that is one of time.
    fn written(&self) -> Vec<String> {
        let unit = match self.unit.as_str() {
            "min" => "m",
            other => other,
        };
        let with_unit = format!("{}{unit}", self.number);
        match unit {
            "m" | "h" => vec![with_unit],
            "s" => vec![with_unit, self.number.clone()],
            _ => vec![self.number.clone()],
        }
    }
}

/// The tables: a row is `# NAME WHAT  NUMBER  UNIT  MEANING`, and lines indented further go on with it.
fn thresholds() -> Vec<Threshold> {
    let mut rows: Vec<Threshold> = Vec::new();
    for path in files("alerting-rules") {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let head = text.lines().take_while(|l| l.starts_with('#'));
        let table = head.skip_while(|l| !l.starts_with("# threshold ")).skip(1);
        for line in table.map(|l| l.trim_start_matches('#')) {
            if line.starts_with("      ") {
                let row = rows.last_mut().unwrap();
                row.meaning = format!("{} {}", row.meaning, line.trim());
            } else {
                rows.push(row(&file, line));
            }
        }
    }
    rows
}

fn row(file: &str, line: &str) -> Threshold {
    let mut cells = line
        .trim()
        .split("  ")
        .map(str::trim)
        .filter(|c| !c.is_empty());
    let mut cell = || cells.next().unwrap_or_else(|| panic!("{file}: {line}"));
    let (of, what) = cell().split_once(' ').unwrap();
    let (of, what) = (of.to_owned(), what.to_owned());
    let (number, unit, meaning) = (cell().to_owned(), cell().to_owned(), cell());
    Threshold {
        file: file.to_owned(),
        of,
        what,
        number,
        unit,
        meaning: meaning.to_owned(),
    }
}

#[test]
fn each_threshold_of_the_tables_stands_in_its_rule() {
    let rules = rules();
    for row in thresholds() {
        let own: Vec<&Rule> = rules
            .iter()
            .filter(|r| r.name == row.of && r.file == row.file)
            .collect();
        assert!(!own.is_empty(), "no such rule: {row:?}");
        let waits = own.iter().flat_map(|r| &r.waits);
        let there: BTreeSet<String> = match row.what.as_str() {
            wait @ ("for" | "keep_firing_for") => waits
                .filter(|(k, _)| *k == wait)
                .map(|(_, v)| v.clone())
                .collect(),
            _ => waits
                .map(|(_, v)| v.clone())
                .chain(own.iter().flat_map(|r| r.numbers()))
                .collect(),
        };
        let written = row.written();
        assert!(
            written.iter().any(|w| there.contains(w)),
            "{row:?} is none of {there:?}"
        );
    }
}

#[test]
fn each_threshold_of_the_rules_stands_in_the_tables() {
    let rows = thresholds();
    for rule in rules() {
        let own = rows
            .iter()
            .filter(|t| t.of == rule.name && t.file == rule.file);
        let told: BTreeSet<String> = own.flat_map(Threshold::written).collect();
        let waits = rule.waits.iter().map(|(_, value)| value.clone());
        let numbers = rule.numbers().into_iter().filter(|n| n != "0" && n != "1");
        for number in waits.chain(numbers) {
            assert!(
                told.contains(&number),
                "{}: {number} of {} is not explained at the top of the file",
                rule.file,
                rule.name
            );
        }
    }
}

#[test]
fn each_threshold_says_what_turning_it_does() {
    let rows = thresholds();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for row in rows {
        for word in ["Up: ", "Down: "] {
            assert!(row.meaning.contains(word), "{word} is missing: {row:?}");
        }
    }
}

#[test]
fn each_alert_says_what_whom_and_where_to_read_on() {
    for alert in alerts() {
        let name = &alert.name;
        let severity = alert.label("severity").unwrap();
        let machine = alert.label("action").is_some() || name == "Watchdog";
        assert_eq!(machine, severity == "none", "{name}: {severity}");
        let words = ["critical", "warning", "info", "none"];
        assert!(words.contains(&severity), "{name}: {severity}");
        for (key, value) in &alert.labels {
            assert!(
                !value.contains("{{"),
                "{name}: a value in {key} begins a new alert each time"
            );
        }
        let summary = alert.annotation("summary");
        assert!(!summary.contains("{{"), "{name}: values in the summary");
        assert!(!alert.annotation("description").is_empty());
        assert_eq!(
            alert.annotation("runbook_url"),
            format!("{PAGES}{name}.md"),
            "{name}"
        );
        let compares = ["==", "!=", "<", ">", "unless", "absent("];
        assert!(
            name == "Watchdog" || compares.iter().any(|c| alert.expr.contains(c)),
            "{name} compares nothing"
        );
        let waits = alert.waits.iter().any(|(key, _)| *key == "for");
        assert!(
            waits || !alert.expr.contains("absent("),
            "{name}: absence without for"
        );
    }
}

#[test]
fn each_alert_has_a_page_of_its_own_and_each_page_an_alert() {
    let pages = files("docs/runbooks");
    let stem = |p: &std::path::PathBuf| p.file_stem().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        pages.iter().map(stem).collect::<BTreeSet<_>>(),
        alert_names()
    );
    let operations = fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let sections = [
        "What it means",
        "What is noticed",
        "How to look",
        "What to do",
        "What obs-scaler does meanwhile",
        "When it is a false alarm",
    ];
    for path in pages {
        let name = stem(&path);
        let text = fs::read_to_string(&path).unwrap();
        let headings: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("## ")).collect();
        assert_eq!(headings, sections, "{name}");
        assert!(text.starts_with(&format!("# {name}\n")), "{name}");
        assert!(
            text.lines().count() <= 40,
            "{name} is too long to be read at night"
        );
        assert!(
            operations.contains(&format!("(runbooks/{name}.md)")),
            "{name}"
        );
        for (_, link) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let target = link.split(')').next().unwrap();
            assert!(
                path.with_file_name(target).exists(),
                "{name} links to {target}"
            );
        }
    }
}

/// The alerts that promtool's tests expect, each with its labels, and those that they expect not to fire.
struct Tried {
    firing: Vec<(String, Vec<(String, String)>)>,
    silent: BTreeSet<String>,
}

fn tried() -> Tried {
    let mut tried = Tried {
        firing: Vec::new(),
        silent: BTreeSet::new(),
    };
    for path in files("alerting-rules/tests") {
        let text = fs::read_to_string(&path).unwrap();
        let parsed: Value = serde_yaml::from_str(&text).unwrap();
        for case in list(&parsed, "tests") {
            for test in list(case, "alert_rule_test") {
                let name = test.get("alertname").unwrap().as_str().unwrap();
                let mut expected = list(test, "exp_alerts").peekable();
                if expected.peek().is_none() {
                    tried.silent.insert(name.to_owned());
                }
                let labels = expected.map(|e| (name.to_owned(), pairs(e.get("exp_labels"))));
                tried.firing.extend(labels);
            }
            for test in list(case, "promql_expr_test") {
                let expr = test.get("expr").unwrap().as_str().unwrap();
                let named = expr.split_once("alertname=\"").map(|(_, rest)| rest);
                if let Some(name) = named.and_then(|rest| rest.split('"').next())
                    && list(test, "exp_samples").next().is_none()
                {
                    tried.silent.insert(name.to_owned());
                }
            }
        }
    }
    tried
}

#[test]
fn each_alert_is_seen_firing_with_the_labels_that_it_tells_of_and_seen_silent() {
    let tried = tried();
    for alert in alerts() {
        let name = &alert.name;
        let severity = alert.label("severity");
        let fires: Vec<_> = tried
            .firing
            .iter()
            .filter(|(n, labels)| n == name && find(labels, "severity") == severity)
            .collect();
        assert!(!fires.is_empty(), "{name} ({severity:?}) fires in no test");
        assert!(
            name == "Watchdog" || tried.silent.contains(name),
            "{name} is silent in no test"
        );
        let description = alert.annotation("description");
        for used in description.split("$labels.").skip(1) {
            let end = |c: char| !(c.is_alphanumeric() || c == '_');
            let label = used.split(end).next().unwrap();
            assert!(
                fires
                    .iter()
                    .any(|(_, labels)| find(labels, label).is_some()),
                "{name} tells of {label}, which no firing alert has"
            );
        }
    }
}

#[test]
fn alertmanager_is_told_of_alerts_that_exist_and_never_holds_back_what_has_an_action() {
    let path = repository().join("packaging/alertmanager.yml");
    let parsed: Value = serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let names = alert_names();
    let machine: BTreeSet<String> = alerts()
        .into_iter()
        .filter(|a| a.label("severity") == Some("none"))
        .map(|a| a.name)
        .collect();
    let inhibitions: Vec<&Value> = list(&parsed, "inhibit_rules").collect();
    assert!(!inhibitions.is_empty());
    for rule in inhibitions {
        for side in ["source_matchers", "target_matchers"] {
            let matchers: Vec<&str> = list(rule, side).map(|m| m.as_str().unwrap()).collect();
            let of = |label: &str| {
                let found = matchers.iter().find(|m| m.starts_with(label));
                found.map(|m| m.split('"').nth(1).unwrap().split('|').collect::<Vec<_>>())
            };
            let named = of("alertname");
            for name in named.iter().flatten() {
                assert!(names.contains(*name), "no such alert: {name}");
                assert!(!machine.contains(*name), "{name} is not for people");
            }
            let severities = of("severity");
            assert!(named.is_some() || severities.is_some_and(|s| !s.contains(&"none")));
        }
    }
}

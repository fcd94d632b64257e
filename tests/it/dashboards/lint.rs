//! The rules of Grafana's dashboard linter, under its own names.
//!
//! Left out, with the reason:
//! - `template-instance-rule`, `target-instance-rule`: one obs-scaler is one instance, and the job names it;
//! - `template-job-rule` where it wants the variable first: the data source stands before it;
//! - `target-rate-interval-rule` for `$__range`: a total over the time that is shown is no rate;
//! - `target-job-rule` for `ALERTS`: the alert that obs-scaler is absent has no job, so `job=~"$job|"` stands there.

use super::{dashboards, list, panels, text};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeSet;

/// Units that are used here and that Grafana knows.
const UNITS: [&str; 8] = [
    "short",
    "none",
    "s",
    "percentunit",
    "bool_yes_no",
    "reqps",
    "iops",
    "Bps",
];

/// Faults: each the rule, and where it is broken.
#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn unless(&mut self, kept: bool, rule: &str, place: &str) {
        if !kept {
            self.0.push(format!("{rule}: {place}"));
        }
    }
}

fn dashboard_rules(dashboard: &Value, faults: &mut Faults) {
    let title = text(dashboard, "/title");
    let editable = dashboard.get("editable").and_then(Value::as_bool);
    faults.unless(editable == Some(false), "uneditable-dashboard", title);
    let variables = list(dashboard, "/templating/list");
    let sources: Vec<_> = variables
        .iter()
        .filter(|v| text(v, "/type") == "datasource")
        .map(|v| (text(v, "/name"), text(v, "/label"), text(v, "/query")))
        .collect();
    let wanted = [("datasource", "Data source", "prometheus")];
    faults.unless(sources == wanted, "template-datasource-rule", title);
    let queried: Vec<_> = variables
        .iter()
        .filter(|v| text(v, "/type") == "query")
        .collect();
    let job = queried.iter().any(|v| text(v, "/name") == "job");
    faults.unless(job, "template-job-rule", title);
    for variable in queried {
        variable_rules(
            variable,
            &format!("{title} / {}", text(variable, "/name")),
            faults,
        );
    }
}

fn variable_rules(variable: &Value, place: &str, faults: &mut Faults) {
    let is = |key: &str| variable.get(key).and_then(Value::as_bool) == Some(true);
    let whole = is("multi") && is("includeAll") && text(variable, "/allValue") == ".+";
    faults.unless(whole, "template-job-rule", place);
    let source = text(variable, "/datasource/uid") == "${datasource}";
    faults.unless(source, "template-job-rule", place);
    let refresh = variable.get("refresh").and_then(Value::as_u64);
    faults.unless(
        refresh == Some(2),
        "template-on-time-change-reload-rule",
        place,
    );
}

fn panel_rules(panel: &Value, place: &str, faults: &mut Faults) {
    let kind = text(panel, "/type");
    let known = ["stat", "timeseries", "bargauge", "table"].contains(&kind);
    faults.unless(known, "a panel type that can be drawn", place);
    let source = text(panel, "/datasource/uid") == "${datasource}";
    faults.unless(source, "panel-datasource-rule", place);
    let said = !text(panel, "/title").is_empty() && !text(panel, "/description").is_empty();
    faults.unless(said, "panel-title-description-rule", place);
    let unit = UNITS.contains(&text(panel, "/fieldConfig/defaults/unit"));
    faults.unless(unit, "panel-units-rule", place);
    let targets = list(panel, "/targets");
    faults.unless(!targets.is_empty(), "panel-no-targets-rule", place);
    for target in targets {
        let source = text(target, "/datasource/uid") == "${datasource}";
        faults.unless(source, "panel-datasource-rule", place);
        target_rules(text(target, "/expr"), place, faults);
    }
}

fn target_rules(query: &str, place: &str, faults: &mut Faults) {
    let selector = Regex::new(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}").unwrap();
    let mut selectors = 0;
    for found in selector.captures_iter(query) {
        selectors += 1;
        let job = if &found[1] == "ALERTS" {
            r#"job=~"$job|""#
        } else {
            r#"job=~"$job""#
        };
        faults.unless(found[2].contains(job), "target-job-rule", place);
        let before = &query[..found.get(0).unwrap().start()];
        let functions = ["rate(", "irate(", "increase("];
        let counted = functions.iter().any(|f| before.ends_with(f));
        faults.unless(
            !found[1].ends_with("_total") || counted,
            "target-counter-agg-rule",
            place,
        );
    }
    let named = super::metrics_of(query).len();
    faults.unless(selectors >= named, "target-job-rule", place);
    let window = Regex::new(r"\[([^\]]*)\]").unwrap();
    for found in window.captures_iter(query) {
        let templated = ["$__rate_interval", "$__range"].contains(&&found[1]);
        faults.unless(templated, "target-rate-interval-rule", place);
    }
}

/// Panels lie side by side, none over another and none beyond the edge.
fn grid(dashboard: &Value, faults: &mut Faults) {
    let mut taken = BTreeSet::new();
    for panel in list(dashboard, "/panels") {
        let place = format!("{} / {}", text(dashboard, "/title"), text(panel, "/title"));
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap_or_default();
        let (x, y, w, h) = (side("x"), side("y"), side("w"), side("h"));
        faults.unless(x + w <= 24 && w > 0 && h > 0, "grid", &place);
        let cells: Vec<_> = (x..x + w)
            .flat_map(|x| (y..y + h).map(move |y| (x, y)))
            .collect();
        let free = cells.iter().all(|cell| !taken.contains(cell));
        taken.extend(cells);
        faults.unless(free, "grid", &place);
    }
}

#[test]
fn the_linters_rules_are_kept() {
    let mut faults = Faults::default();
    let mut identities = BTreeSet::new();
    for dashboard in dashboards() {
        let title = text(&dashboard, "/title");
        faults.unless(
            identities.insert(text(&dashboard, "/uid").to_owned()),
            "an uid of its own",
            title,
        );
        dashboard_rules(&dashboard, &mut faults);
        grid(&dashboard, &mut faults);
        let mut numbers = BTreeSet::new();
        for panel in panels(&dashboard) {
            let place = format!("{title} / {}", text(panel, "/title"));
            faults.unless(
                numbers.insert(panel["id"].as_u64()),
                "an id of its own",
                &place,
            );
            panel_rules(panel, &place, &mut faults);
        }
    }
    assert!(faults.0.is_empty(), "{:#?}", faults.0);
}

#[test]
fn the_dashboards_look_and_lead_alike() {
    for dashboard in dashboards() {
        let title = text(&dashboard, "/title");
        assert_eq!(text(&dashboard, "/refresh"), "30s", "{title}");
        assert_eq!(text(&dashboard, "/time/from"), "now-6h", "{title}");
        assert_eq!(
            dashboard["graphTooltip"], 1,
            "{title}: one crosshair over all graphs"
        );
        assert_eq!(
            text(&dashboard, "/links/0/tags/0"),
            "obs-scaler",
            "{title}: leads to the others"
        );
        assert_eq!(
            text(&dashboard, "/tags/0"),
            "obs-scaler",
            "{title}: is found by the others"
        );
        assert!(!list(&dashboard, "/annotations/list").is_empty(), "{title}");
        for panel in panels(&dashboard).filter(|p| text(p, "/type") == "stat") {
            let steps = list(panel, "/fieldConfig/defaults/thresholds/steps");
            assert!(
                !steps.is_empty(),
                "{title} / {}: no thresholds",
                text(panel, "/title")
            );
        }
    }
}

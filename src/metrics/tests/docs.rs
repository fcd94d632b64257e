//! The catalogue, the scrape and `docs/metrics.md` say the same.

use super::*;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

const HEAD: &str = "\
# Metrics

Every family that `GET /metrics` may show, from the catalogue in `src/metrics/catalogue/`: this page is
written by `UPDATE_DOCS=1 cargo test docs_metrics`, and a test holds it to be what the code declares.

Units are seconds, bytes, ratios, and the unit of the prices in the configuration. An absent series means
\"not known\", and never zero. Nothing is fetched during a scrape: sources are polled in the background, and
`obs_scaler_last_success_timestamp_seconds` says when each was last read whole. What this program counts
itself begins at 0 when it starts. Some series lack a label that stands in brackets.

| metric | type | labels | meaning | source | when it is absent |
| --- | --- | --- | --- | --- | --- |
";

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn row(family: &Declared) -> String {
    let label = |label: &&str| match family.may_lack.contains(label) {
        true => format!("[`{label}`]"),
        false => format!("`{label}`"),
    };
    let labels: Vec<_> = family.labels.iter().map(label).collect();
    format!(
        "| `{}` | {} | {} | {} | {} | {} |\n",
        family.name,
        family.kind.as_str(),
        labels.join(", "),
        cell(family.help),
        cell(family.source),
        cell(family.absent),
    )
}

#[test]
fn docs_metrics_is_the_catalogue() {
    let wanted = declared().fold(HEAD.to_owned(), |page, family| page + &row(family));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    let all: BTreeSet<&str> = wanted.lines().collect();
    let there: BTreeSet<&str> = found.lines().collect();
    assert!(
        found == wanted,
        "docs/metrics.md is not what the catalogue says; UPDATE_DOCS=1 cargo test docs_metrics writes \
         it.\nMissing: {:#?}\nToo much: {:#?}",
        all.difference(&there).collect::<Vec<_>>(),
        there.difference(&all).collect::<Vec<_>>(),
    );
}

/// What a scrape in the older text format shows: each family's type, and the label names of its series.
#[derive(Debug, Default)]
struct Shown {
    kind: String,
    help: String,
    labels: BTreeSet<Vec<String>>,
}

fn shown(page: &str) -> BTreeMap<String, Shown> {
    let mut families: BTreeMap<String, Shown> = BTreeMap::new();
    let mut family = String::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|l| l.split_once(' ')) {
            family = name.to_owned();
            let first = families.insert(
                family.clone(),
                Shown {
                    help: help.to_owned(),
                    ..Shown::default()
                },
            );
            assert!(first.is_none(), "{name} is written twice");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, family);
            families.get_mut(name).unwrap().kind = kind.to_owned();
        } else {
            assert!(line.starts_with(&family), "{line} stands under {family}");
            let labels = names_in(line);
            families.get_mut(&family).unwrap().labels.insert(labels);
        }
    }
    families
}

/// The label names of a sample; the fixtures' values hold neither `="` nor `",`.
fn names_in(sample: &str) -> Vec<String> {
    let Some((_, rest)) = sample.split_once('{') else {
        return Vec::new();
    };
    let (labels, _) = rest.rsplit_once('}').unwrap();
    let pairs = labels
        .split("\",")
        .map(|pair| pair.split_once("=\"").unwrap().0);
    pairs
        .filter(|name| *name != "le")
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_scrape_of_everything_shows_the_declared_families_with_the_declared_labels() {
    let shown = shown(&page(state()));
    let names: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = declared().map(|family| family.name).collect();
    assert_eq!(wanted.len(), declared().count(), "a name is declared twice");
    let missing: Vec<_> = wanted.difference(&names).collect();
    let more: Vec<_> = names.difference(&wanted).collect();
    assert!(
        missing.is_empty() && more.is_empty(),
        "declared, and without a series in the tests' farm: {missing:?}; shown, and not declared: {more:?}"
    );
    for family in declared() {
        let Shown { kind, help, labels } = &shown[family.name];
        let of_older_text = match family.kind {
            Kind::Info => "gauge",
            other => other.as_str(),
        };
        assert_eq!(kind, of_older_text, "{}", family.name);
        assert_eq!(help.trim_end_matches('.'), family.help, "{}", family.name);
        for found in labels {
            let kept = |label: &&&str| found.iter().any(|f| f == **label);
            let in_order: Vec<&str> = family.labels.iter().filter(kept).copied().collect();
            assert_eq!(*found, in_order, "{}", family.name);
            let lacking = family.labels.iter().filter(|label| !kept(label));
            for label in lacking {
                assert!(
                    family.may_lack.contains(label),
                    "{} lacks {label}",
                    family.name
                );
            }
        }
    }
}

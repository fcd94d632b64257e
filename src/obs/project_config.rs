//! `/build/PROJECT/REPOSITORY/_buildconfig`: the configurations of a repository's whole path, one after
//! the other. Of these the `Constraint:` lines matter (`Build.pm`, `read_config`; `Constraints.pm`,
//! `list2struct`), and the conditions that they stand under.

use super::constraints::{bytes, scalar, size};
use crate::model::{Constraints, Wanted};

/// What the configuration asks of the worker of every job of this architecture. `None` where a
/// `Constraint:` line stands under a condition that is not understood here.
pub(super) fn parse(config: &str, repository: &str, arch: &str) -> Option<Constraints> {
    let mut asked = Constraints::default();
    // For each open condition whether it holds; `None` where that is not understood.
    let mut conditions: Vec<Option<bool>> = Vec::new();
    let mut in_macros = false;
    for line in config.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match first.to_ascii_lowercase().as_str() {
            "macros:" => in_macros = true,
            ":macros" => in_macros = false,
            _ if in_macros => {}
            "%if" => conditions.push(holds(&rest, repository, arch)),
            "%ifarch" => conditions.push(Some(rest.contains(&arch))),
            "%ifnarch" => conditions.push(Some(!rest.contains(&arch))),
            "%ifos" | "%ifnos" => conditions.push(None),
            "%else" => negate(conditions.last_mut()),
            word if word.starts_with("%elif") => set_unclear(conditions.last_mut()),
            "%endif" => {
                conditions.pop();
            }
            "constraint:" => {
                if conditions.contains(&Some(false)) {
                    continue;
                }
                if conditions.contains(&None) || rest.iter().any(|word| word.contains('%')) {
                    return None;
                }
                apply(&mut asked, &rest);
            }
            _ => {}
        }
    }
    Some(asked)
}

fn negate(condition: Option<&mut Option<bool>>) {
    if let Some(condition) = condition {
        *condition = condition.map(|holds| !holds);
    }
}

fn set_unclear(condition: Option<&mut Option<bool>>) {
    if let Some(condition) = condition {
        *condition = None;
    }
}

/// `0`, `1`, and comparisons of the repository or the architecture with a word are understood.
fn holds(condition: &[&str], repository: &str, arch: &str) -> Option<bool> {
    let value = |word: &str| {
        let word = word.trim_matches('"').replace(['{', '}'], "");
        match word.as_str() {
            "%_repository" => Some(repository.to_owned()),
            "%_arch" | "%_target_cpu" => Some(arch.to_owned()),
            word => (!word.contains('%')).then(|| word.to_owned()),
        }
    };
    match condition {
        ["0"] => Some(false),
        ["1"] => Some(true),
        [one, "==", other] => Some(value(one)? == value(other)?),
        [one, "!=", other] => Some(value(one)? != value(other)?),
        _ => None,
    }
}

/// One line, such as `hardware:memory:size unit=G 8`. A line that OBS does not understand it leaves out
/// with a warning.
fn apply(asked: &mut Constraints, words: &[&str]) {
    let Some((path, mut words)) = words.split_first() else {
        return;
    };
    if *path == "!*" {
        *asked = Constraints::default();
        return;
    }
    let adds = path.ends_with('+');
    let path = path.replace(['+', '='], "").replace(':', "/");
    let mut attributes = Vec::new();
    while let Some((first, rest)) = words.split_first()
        && let Some(attribute) = first.split_once('=')
    {
        attributes.push(attribute);
        words = rest;
    }
    let attribute = |name| attributes.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let text = words.join(" ");
    let wanted = || Wanted {
        name: text.clone(),
        exclude: attribute("exclude").map(|word| word == "true"),
    };
    match path.as_str() {
        "hostlabel" => {
            let labels = asked.labels.get_or_insert_default();
            if !adds {
                labels.pop();
            }
            labels.push(wanted());
        }
        "sandbox" => asked.sandbox = Some(wanted()),
        "hardware/cpu/flag" => {
            let hardware = asked.hardware.get_or_insert_default();
            if !adds {
                hardware.cpu_flags = None;
            }
            let flags = hardware.cpu_flags.get_or_insert_default();
            flags.extend(words.iter().map(|&flag| flag.to_owned()));
        }
        path => match path.strip_suffix("/size") {
            Some(path) => {
                if let Some(bytes) = bytes(&text, attribute("unit")) {
                    size(asked, path, bytes);
                }
            }
            // a number that is none is left out
            None => scalar(asked, path, &text).unwrap_or_default(),
        },
    }
}

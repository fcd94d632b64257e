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
    let mut repository = repository;
    for line in config.lines().map(str::trim) {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match first.to_ascii_lowercase().as_str() {
            "macros:" => in_macros = true,
            ":macros" => in_macros = false,
            _ if in_macros => {}
            // each part of the path begins with the repository that it is taken from
            "%define" => {
                if let ["_repository", name] = rest.as_slice() {
                    repository = name;
                }
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::WantedHardware;

    fn hardware(config: &str) -> Option<WantedHardware> {
        parse(config, "standard_x86_64", "x86_64").map(|asked| asked.hardware.unwrap_or_default())
    }

    #[test]
    fn constraint_lines_count_where_their_conditions_hold() {
        let config = "%define _repository base\n\
             %if \"%_repository\" != \"base\"\nConstraint: hardware:processors 55\n%endif\n\
             %define _repository standard_x86_64\n\
             Constraint: hardware:memory:size unit=G 4\n\
             Constraint: hardware:cpu:flag avx2 avx\n\
             %ifarch aarch64\nConstraint: hardware:processors 99\n%else\nConstraint: hardware:jobs 3\n%endif\n\
             %if \"%_repository\" == \"standard_x86_64\"\nConstraint: hardware:processors 8\n%endif\n\
             Macros:\nConstraint: hardware:processors 77\n:Macros\n\
             %if 0\n%if %odd\nConstraint: hardware:processors 66\n%endif\n%endif\n\
             Constraint: no:such thing\n";
        let asked = hardware(config).unwrap();
        assert_eq!(asked.memory, Some(4 << 30));
        assert_eq!((asked.processors, asked.jobs), (Some(8), Some(3)));
        assert_eq!(asked.cpu_flags.unwrap(), ["avx2", "avx"]);
    }

    #[test]
    fn a_condition_that_is_not_understood_makes_what_is_asked_unknown_and_not_nothing() {
        let under = |line: &str| format!("%if %suse_version > 1500\n{line}\n%endif\n");
        assert_eq!(hardware(&under("Constraint: hardware:jobs 3")), None);
        assert_eq!(hardware("Constraint: hostlabel %label"), None);
        assert!(hardware(&under("Prefer: gcc")).is_some());
    }

    #[test]
    fn a_later_label_replaces_one_unless_it_is_added_and_a_star_begins_anew() {
        let labels = |config| {
            let labels = parse(config, "r", "a").unwrap().labels;
            let names = labels.into_iter().flatten().map(|l| l.name);
            names.collect::<Vec<_>>()
        };
        assert_eq!(
            labels("Constraint: hostlabel a\nconstraint: hostlabel b"),
            ["b"]
        );
        assert_eq!(
            labels("Constraint: hostlabel a\nConstraint: hostlabel+ b"),
            ["a", "b"]
        );
        assert_eq!(labels("Constraint: hostlabel a\nConstraint: !*"), [""; 0]);
    }
}

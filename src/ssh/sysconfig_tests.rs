use super::*;
use proptest::prelude::*;
use std::process::Command;

fn backend(name: &str, host: &str) -> (BackendName, Backend) {
    let name = BackendName::new(name);
    let backend = Backend {
        name: name.clone(),
        access: crate::config::Access::Servers {
            source: format!("http://{host}:5352"),
            repository: format!("http://{host}:5252"),
        },
        worker_source_server: format!("{host}:5352"),
        worker_repository_server: format!("{host}:5252"),
        projects: vec!["openEuler:Mainline".to_owned()],
        discovery: crate::config::Discovery::default(),
    };
    (name, backend)
}

fn setup() -> Setup {
    Setup {
        backends: vec![BackendName::new("one"), BackendName::new("two")],
        instances: 7,
        jobs: 32,
        cache_mib: None,
    }
}

pub(in crate::ssh) fn settings() -> WorkerSettings {
    let backends = [backend("one", "10.0.0.5"), backend("two", "obs-2.example")];
    WorkerSettings::of(&setup(), &BTreeMap::from(backends)).unwrap()
}

/// What a shell that sources the file finds.
fn sourced(text: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let keys = settings()
        .pairs()
        .map(|(key, _)| format!("\"${key}\""))
        .join(" ");
    let script = format!(". \"$1\"; printf '%s\\n' {keys}");
    let shell = Command::new("/bin/sh")
        .args(["-c", &script, "sh"])
        .arg(file.path())
        .output();
    let answer = String::from_utf8(shell.unwrap().stdout).unwrap();
    answer.lines().map(str::to_owned).collect()
}

fn wanted() -> Vec<String> {
    settings()
        .pairs()
        .into_iter()
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn a_worker_is_told_of_every_backend_of_its_pool() {
    assert_eq!(
        settings().lines(),
        "OBS_SRC_SERVER=\"10.0.0.5:5352\"\n\
         OBS_REPO_SERVERS=\"10.0.0.5:5252 obs-2.example:5252\"\n\
         OBS_WORKER_INSTANCES=\"7\"\n\
         OBS_WORKER_JOBS=\"32\"\n"
    );
}

#[test]
fn a_backend_that_is_not_there_and_an_address_that_a_shell_would_run_are_refused() {
    let one = BTreeMap::from([backend("one", "10.0.0.5")]);
    assert!(matches!(
        WorkerSettings::of(&setup(), &one),
        Err(InvalidSettings::Backend { .. })
    ));
    let evil = BTreeMap::from([backend("one", "$(reboot)"), backend("two", "b")]);
    assert!(matches!(
        WorkerSettings::of(&setup(), &evil),
        Err(InvalidSettings::Address(_))
    ));
}

#[test]
fn the_last_assignment_counts_and_each_difference_is_named() {
    let text = "OBS_WORKER_JOBS=\"32\"\nOBS_WORKER_JOBS='4' # four\nOBS_WORKER_INSTANCES=7\n";
    let found: Vec<String> = settings()
        .differences(text)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "OBS_SRC_SERVER not set",
            "OBS_REPO_SERVERS not set",
            "OBS_WORKER_JOBS=\"4\""
        ]
    );
    assert_eq!(settings().differences(&settings().lines()), []);
}

#[test]
fn other_lines_and_comments_stay() {
    let text = "# ours\r\nOBS_WORKER_JOBS=\"1\"\nOBS_RUN_DIR='/run/obs'\nOBS_WORKER_JOBS=4\t# four";
    let applied = settings().apply(text);
    assert_eq!(
        applied,
        "# ours\r\nOBS_WORKER_JOBS=\"1\"\nOBS_RUN_DIR='/run/obs'\nOBS_WORKER_JOBS=\"32\"\t# four\n\
         OBS_SRC_SERVER=\"10.0.0.5:5352\"\n\
         OBS_REPO_SERVERS=\"10.0.0.5:5252 obs-2.example:5252\"\n\
         OBS_WORKER_INSTANCES=\"7\"\n"
    );
}

#[test]
fn a_line_that_does_more_than_set_a_key_is_overruled_and_not_touched() {
    for line in [
        "OBS_WORKER_JOBS=$(echo 4)",
        "OBS_WORKER_JOBS=4 OTHER=5",
        "if false; then\n  OBS_WORKER_JOBS=4\nfi",
        "OBS_WORKER_JOBS=4; true",
        "OBS_WORKER_JOBS=\"4\\\"\"",
        "export OBS_WORKER_JOBS=4",
    ] {
        let applied = settings().apply(line);
        assert!(applied.starts_with(&format!("{line}\n")), "{applied}");
        assert_eq!(sourced(&applied), wanted(), "{applied}");
    }
}

proptest! {
    #[test]
    fn whatever_the_file_holds_it_is_as_wanted_afterwards_and_stays_so(
        lines in prop::collection::vec(
            prop_oneof![
                "[ \t]?(export )?(OBS_WORKER_JOBS|OBS_SRC_SERVER|OTHER)=[\"'\\\\$ #a4;]{0,6}",
                "[ -~]{0,12}",
            ], 0..8),
        end in prop_oneof![Just(""), Just("\n")],
    ) {
        let text = lines.join("\n") + end;
        let applied = settings().apply(&text);
        prop_assert_eq!(settings().differences(&applied), vec![]);
        prop_assert_eq!(&settings().apply(&applied), &applied);
        let others = |text: &str| -> Vec<String> {
            let keys = settings().pairs().map(|(key, _)| key);
            let ours = |l: &&str| Assignment::of(l).is_some_and(|a| keys.contains(&a.key));
            text.lines().filter(|l| !ours(l)).map(str::to_owned).collect()
        };
        prop_assert_eq!(others(&applied), others(&text));
    }
}

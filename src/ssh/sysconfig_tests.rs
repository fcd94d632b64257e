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
        ramp: 0,
    };
    (name, backend)
}

pub(in crate::ssh) fn setup() -> Setup {
    Setup {
        backends: vec![BackendName::new("one"), BackendName::new("two")],
        instances: 7,
        jobs: 32,
        cache_mib: None,
        cache_dir: None,
        binaries_proxy: None,
    }
}

pub(in crate::ssh) fn settings_of(setup: &Setup) -> WorkerSettings {
    let backends = [backend("one", "10.0.0.5"), backend("two", "obs-2.example")];
    WorkerSettings::of(setup, &BTreeMap::from(backends)).unwrap()
}

pub(in crate::ssh) fn settings() -> WorkerSettings {
    settings_of(&setup())
}

/// With a cache and a proxy as well.
pub(in crate::ssh) fn all_settings() -> WorkerSettings {
    settings_of(&Setup {
        cache_mib: Some(51_200),
        cache_dir: Some("/var/cache/obs-worker".to_owned()),
        binaries_proxy: Some("http://10.0.0.7:5254".to_owned()),
        ..setup()
    })
}

/// What a shell that sources the file finds; nothing where it can not go on to the end.
fn sourced(text: &str) -> Vec<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let pairs = all_settings().pairs().into_iter();
    let keys: Vec<String> = pairs.map(|(key, _)| format!("\"${key}\"")).collect();
    let script = format!(". \"$1\"; printf '%s\\n' {}", keys.join(" "));
    let shell = Command::new("/bin/sh")
        .args(["-c", &script, "sh"])
        .arg(file.path())
        .output();
    let answer = String::from_utf8(shell.unwrap().stdout).unwrap();
    answer.lines().map(str::to_owned).collect()
}

fn wanted() -> Vec<String> {
    let pairs = all_settings().pairs().into_iter();
    pairs.map(|(_, value)| value).collect()
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
        "NOTE='once:\nOBS_WORKER_JOBS=\"4\"\n'",
        "NOTE=\\\nOBS_WORKER_JOBS=4",
        "NOTE=\"it's #\nOBS_WORKER_JOBS=4\"",
        "OTHER=5 \\\n",
        "OTHER=5 \\\n#it's",
    ] {
        let applied = all_settings().apply(line);
        assert!(applied.starts_with(&format!("{line}\n")), "{applied}");
        assert_eq!(sourced(&applied), wanted(), "{applied}");
    }
}

#[test]
fn a_cache_and_a_proxy_are_told_where_they_are_wanted() {
    assert_eq!(
        all_settings().lines().strip_prefix(&settings().lines()),
        Some(
            "OBS_CACHE_SIZE=\"51200\"\n\
             OBS_CACHE_DIR=\"/var/cache/obs-worker\"\n\
             OBS_WORKER_BINARIES_PROXY=\"http://10.0.0.7:5254\"\n"
        )
    );
    let shipped =
        "OBS_CACHE_DIR=\"/x\" # ours\nOBS_CACHE_SIZE=\"4096\"\nOBS_WORKER_BINARIES_PROXY=\"\"\n";
    assert!(
        settings().apply(shipped).starts_with(shipped),
        "left as they are"
    );
    let evil = Setup {
        cache_dir: Some("/a b".to_owned()),
        ..setup()
    };
    let backends = [backend("one", "a"), backend("two", "b")];
    assert!(matches!(
        WorkerSettings::of(&evil, &BTreeMap::from(backends)),
        Err(InvalidSettings::Place(_))
    ));
}

/// The lines, byte by byte, but for those that set one of our keys.
fn others(text: &str) -> Vec<&str> {
    let keys: Vec<_> = all_settings().pairs().into_iter().map(|p| p.0).collect();
    let ours = |set: &Assignment<'_>| keys.contains(&set.key);
    let lines = assignments(text).into_iter();
    let others = lines.filter(|(_, says)| !says.assignment().is_some_and(ours));
    others.map(|(line, _)| line).collect()
}

fn is_subsequence(few: &[&str], many: &[&str]) -> bool {
    let mut many = many.iter();
    few.iter().all(|line| many.any(|other| other == line))
}

proptest! {
    #[test]
    fn whatever_the_file_holds_it_is_as_wanted_afterwards_and_stays_so(
        lines in prop::collection::vec(
            prop_oneof![
                "[ \t]?(export )?(OBS_WORKER_JOBS|OBS_CACHE_SIZE|OTHER)=[\"'\\\\$ #a4;]{0,6}\r?",
                "[ -~\u{e4}\r]{0,12}",
            ], 0..8),
        end in prop_oneof![Just(""), Just("\n")],
    ) {
        let text = lines.join("\n") + end;
        let applied = all_settings().apply(&text);
        if ending(&text).is_none() {
            prop_assert_eq!(applied, text);
            return Ok(());
        }
        prop_assert_eq!(all_settings().differences(&applied), vec![]);
        prop_assert_eq!(&all_settings().apply(&applied), &applied);
        // but for the newline that its last line may have lacked
        let (whole, after) = (format!("{text}\n"), applied.clone() + "\n");
        let before = if text.ends_with('\n') || text.is_empty() { &text } else { &whole };
        prop_assert!(is_subsequence(&others(before), &others(&after)), "{:?}", applied);
        let of_ours = |text: &str| assignments(text).len() - others(text).len();
        let added = all_settings().pairs().len();
        prop_assert!(of_ours(&applied) <= of_ours(&text) + added);
        let lines_before = before.split_inclusive('\n').count();
        let kept = after.split_inclusive('\n').take(lines_before).zip(before.split_inclusive('\n'));
        prop_assert!(kept.filter(|(new, old)| new != old).count() <= added);
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_shell_that_sources_the_file_finds_what_is_wanted(
        lines in prop::collection::vec(
            prop_oneof![
                "(export )?(OBS_WORKER_JOBS|OBS_CACHE_DIR|OTHER)=[\"'\\\\ #a4]{0,5}",
                "OTHER=[\\\\ a;]{0,2}(OBS_WORKER_JOBS|OBS_CACHE_DIR)=[ #4\\\\]{0,3}",
                "[\"'\\\\ #a]{0,5}",
            ], 0..6),
        end in prop_oneof![Just(""), Just("\n")],
    ) {
        let text = lines.join("\n") + end;
        // a file that no shell gets through is not mended by what is added to it
        prop_assume!(!sourced(&text).is_empty());
        let applied = all_settings().apply(&text);
        prop_assert_eq!(sourced(&applied), wanted(), "{:?} {:?}", text, applied);
    }
}

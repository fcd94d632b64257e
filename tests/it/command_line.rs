//! The command line: exit codes, and what is said when the input is wrong.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_obs-scaler");
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    Command::new(program)
        .args(arguments)
        .current_dir(repository)
        .output()
        .unwrap()
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn the_shipped_configuration_is_valid_on_a_fresh_checkout() {
    let (code, stdout, _) = said(&run(&["--config", "config.yaml", "config", "check"]));
    assert_eq!((code, stdout.trim()), (Some(0), "config.yaml: valid"));
}

#[test]
fn a_faulty_configuration_ends_with_78_and_every_fault_with_its_line() {
    let file = "tests/data/config/faulty.yaml";
    let (code, _, stderr) = said(&run(&["--config", file, "config", "check"]));
    assert_eq!(code, Some(78));
    assert!(stderr.lines().count() > 30, "{stderr}");
    assert!(
        stderr
            .lines()
            .all(|line| line.starts_with(&format!("{file}:"))),
        "{stderr}"
    );
}

/// The shipped configuration with this key, or password, in the place of its own.
fn check_with_login(name: &str, options: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    let (key, config) = (dir.path().join(name), dir.path().join("config.yaml"));
    if options.is_empty() {
        std::fs::write(&key, "rubbish").unwrap();
    } else {
        crate::sshd::generate_key(&key, options);
    }
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let text = include_str!("../../config.yaml");
    let text = text.replace("/etc/obs-scaler/id_ed25519", key.to_str().unwrap());
    let text = if name == "password" {
        text.replace("private_key_file:", "password_file:")
    } else {
        text
    };
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    let (code, _, stderr) = said(&run(&["--config", config, "config", "check"]));
    (code, stderr)
}

#[test]
fn a_key_that_opens_nothing_is_refused_with_its_line_and_the_reason() {
    let line = include_str!("../../config.yaml")
        .lines()
        .position(|line| line.starts_with("  private_key_file:"));
    let line = format!(":{}:", line.unwrap() + 1);
    let cases: [(&str, &[&str], &str); 3] = [
        ("rsa", &["-t", "rsa"], "of type ssh-rsa"),
        ("locked", &["-t", "ed25519", "-N", "secret"], "is encrypted"),
        ("garbage", &[], "no private key in OpenSSH's format"),
    ];
    for (name, options, why) in cases {
        let (code, stderr) = check_with_login(name, options);
        let fault = stderr.lines().find(|line| line.contains("ssh.private_key"));
        let fault = fault.unwrap_or_else(|| panic!("{name}: {stderr}"));
        assert!(fault.contains(&line) && fault.contains(why), "{fault}");
        assert!(!stderr.contains("rubbish"), "{stderr}");
        assert_eq!(code, Some(78), "{stderr}");
    }
}

#[test]
fn a_key_or_a_password_that_opens_something_is_fine() {
    for (name, options) in [("good", &["-t", "ed25519"][..]), ("password", &[])] {
        let (code, stderr) = check_with_login(name, options);
        assert_eq!(code, Some(0), "{stderr}");
        assert!(!stderr.contains(": ssh.p"), "{stderr}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let (code, _, stderr) = said(&run(&["--config", "no-such.yaml", "config", "check"]));
    assert_eq!(code, Some(78));
    assert!(stderr.starts_with("no-such.yaml: "), "{stderr}");
}

#[test]
fn wrong_words_end_with_2() {
    assert_eq!(said(&run(&["config", "chekc"])).0, Some(2));
    assert_eq!(said(&run(&["plan", "apply", "--queue", "[]"])).0, Some(2));
}

#[test]
fn the_seeds_two_lists_are_judged_by_its_formula_without_secrets_or_a_daemon() {
    let queue = r#"[{"aarch64":{"l1":100,"l2":10,"l3":2}},{"x86":{"l1":80,"l2":5,"l3":0}}]"#;
    let idle = r#"[{"aarch64":{"l1":10,"l2":1,"l3":0}},{"x86":{"l1":8,"l2":0,"l3":0}}]"#;
    let config = ["--config", "config.yaml", "plan", "apply", "-o", "json"];
    let lists = ["--queue", queue, "--idle", idle];
    let (code, stdout, stderr) = said(&run(&[&config[..], &lists[..]].concat()));
    assert_eq!(code, Some(0), "{stderr}");
    let wanted = r#"[{"aarch64":{"l1":13,"l2":2,"l3":1}},{"x86_64":{"l1":11,"l2":1,"l3":0}}]"#;
    assert_eq!(stdout.trim(), wanted);
}

#[test]
fn a_dry_run_without_a_daemon_says_what_is_missing() {
    let text = std::fs::read_to_string("config.yaml").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    // a port on which nothing can listen
    std::fs::write(&file, text.replace("127.0.0.1:17790", "127.0.0.1:1")).unwrap();
    let (code, _, stderr) = said(&run(&[
        "--config",
        file.to_str().unwrap(),
        "plan",
        "release",
    ]));
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("is `obs-scaler serve` running?"),
        "{stderr}"
    );
}

#[test]
fn what_only_looks_needs_no_secret_but_those_of_whom_it_asks() {
    let shipped = std::fs::read_to_string("config.yaml").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.yaml");
    let ask = |text: &str, words: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let config = ["--config", file.to_str().unwrap()];
        said(&run(&[&config, words].concat()))
    };
    // a port on which nothing can listen
    let text = ["17790", "5352", "5252"]
        .iter()
        .fold(shipped, |text, port| {
            text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:1")
        });
    for words in [&["exclusive", "status"][..], &["prioritise"]] {
        let (code, _, stderr) = ask(&text, words);
        assert_eq!(code, Some(1), "{words:?}: {stderr}");
    }
    let (code, _, stderr) = ask(&text, &["exclusive", "off"]);
    assert_eq!(code, Some(78), "{stderr}");
    let frontend = "frontend: http://127.0.0.1:1\n    frontend_user: reader\n    \
        frontend_password_env: NO_SUCH_PASSWORD\n";
    let text = text.replace("source_server: http://127.0.0.1:1\n", frontend);
    let text = text.replace("    repository_server: http://127.0.0.1:1\n", "");
    let (code, _, stderr) = ask(&text, &["prioritise"]);
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("NO_SUCH_PASSWORD"), "{stderr}");
    assert!(!stderr.contains("OBS_SCALER_ACCESS_KEY"), "{stderr}");
}

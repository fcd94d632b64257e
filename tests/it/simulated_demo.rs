//! The demo for who is not root runs to its end, says what is not real before anything else, and leaves
//! nothing behind.

use std::path::Path;
use std::process::Command;

#[test]
fn it_goes_right_without_prometheus_and_says_what_is_not_real() {
    let binaries = Path::new(env!("CARGO_BIN_EXE_obs-scaler"))
        .parent()
        .unwrap();
    let (tools, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for tool in ["ssh-keygen", "kill"] {
        let real = Path::new("/usr/bin").join(tool);
        std::os::unix::fs::symlink(real, tools.path().join(tool)).unwrap();
    }
    let shown = Command::new(binaries.join("demo"))
        .args(["--simulated", "--jobs", "4", "--seconds", "2"])
        .args(["--repository", env!("CARGO_MANIFEST_DIR"), "--binaries"])
        .arg(binaries)
        .env("PATH", tools.path())
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    let said = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success(), "{said}");
    assert!(said.starts_with("SIMULATED: "), "{said}");
    assert!(said.contains("NO Prometheus and Alertmanager"), "{said}");
    assert!(said.contains("every job was built exactly once"), "{said}");
    let left = std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left, 0, "something is left of it: {said}");
}

//! The code keeps the rules that the compiler does not.

use std::path::{Path, PathBuf};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(under: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository().join(under)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && path.file_name().unwrap() != "target" {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty(), "no .{extension} under {under}");
    found
}

fn rust_sources() -> Vec<PathBuf> {
    ["src", "sim", "tests"]
        .into_iter()
        .flat_map(|under| files(under, "rs"))
        .collect()
}

#[test]
fn no_file_is_longer_than_450_lines() {
    let scripts = files("tests/rig", "sh");
    for path in rust_sources().into_iter().chain(scripts) {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 450, "{}: {lines} lines", path.display());
    }
}

#[test]
fn deciding_is_pure() {
    let pure = ["src/model", "src/policy"]
        .into_iter()
        .flat_map(|under| files(under, "rs"));
    let impure = [
        "tokio::",
        "reqwest::",
        "std::fs",
        "std::net::Tcp",
        "std::env",
        "std::process",
        "tracing::",
        "crate::clock",
        "Instant",
        "SystemTime",
        "async fn",
        "println!",
    ];
    for path in pure {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in impure {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_to_do_in_the_code() {
    for path in rust_sources() {
        if path.ends_with("tidy.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for word in [
            "TODO",
            "FIXME",
            "XXX",
            "#[ignore",
            "todo!(",
            "unimplemented!(",
        ] {
            assert!(!text.contains(word), "{} holds {word}", path.display());
        }
    }
}

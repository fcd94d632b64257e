//! The settings file is the old one or the new one at any moment, whatever befalls the run that writes it.

use super::*;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output as Ended, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const OLD: &str = "# ours\nOBS_WORKER_JOBS=\"4\"\n";
const NEW: &str = "# ours\nOBS_WORKER_JOBS=\"32\"\nOBS_WORKER_INSTANCES=\"7\"\n";

/// Stands in for each command of the script: writes down that it was called, and befalls the call `$AT`.
const STAND_IN: &str = r#"#!/bin/sh
name=${0##*/}
echo "$name $*" >>"$CALLS"
real() { PATH=/usr/bin:/bin command "$name" "$@"; }
[ "$(/usr/bin/wc -l <"$CALLS")" -eq "$AT" ] || { real "$@"; exit; }
half() { [ "$name" != cat ] || /usr/bin/head -c 9; }
case $HOW in
fails) half ;;
killed-before) half; kill -9 "$PPID" ;;
killed-behind) real "$@"; kill -9 "$PPID" ;;
esac
exit 1
"#;

/// What may befall a command; the one that writes has written half by then.
const HOWS: [&str; 3] = ["fails", "killed-before", "killed-behind"];

const COMMANDS: [&str; 7] = ["readlink", "rm", "cp", "cat", "wc", "sync", "mv"];

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in ["etc", "bin"] {
            std::fs::create_dir(machine.path(folder)).unwrap();
        }
        for command in COMMANDS {
            let path = machine.path("bin").join(command);
            std::fs::write(&path, STAND_IN).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self) -> PathBuf {
        self.path("etc/obs-server")
    }

    fn reset(&self) {
        std::fs::write(self.file(), OLD).unwrap();
        std::fs::set_permissions(self.file(), PermissionsExt::from_mode(0o640)).unwrap();
        std::fs::write(self.path("calls"), "").unwrap();
    }

    fn content(&self) -> String {
        std::fs::read_to_string(self.file()).unwrap()
    }

    /// Writes `NEW`; this befalls the call of this number.
    fn write(&self, how: &str, at: usize) -> Ended {
        let path = self.path("bin");
        let run = |process: &mut Process| {
            process
                .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
                .env("CALLS", self.path("calls"))
                .env("AT", at.to_string())
                .env("HOW", how);
        };
        write(&self.file(), NEW, "", run)
    }

    fn calls(&self) -> Vec<String> {
        let calls = std::fs::read_to_string(self.path("calls")).unwrap();
        calls.lines().map(str::to_owned).collect()
    }

    fn assert_new_and_nothing_left(&self) {
        assert_eq!(self.content(), NEW);
        let mode = self.file().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        assert_eq!(std::fs::read_dir(self.path("etc")).unwrap().count(), 1);
    }
}

/// Runs the command that writes the file, behind this of a shell, with its input to the end.
fn write(file: &Path, content: &str, first: &str, change: impl FnOnce(&mut Process)) -> Ended {
    let path = file.to_str().unwrap();
    let line = Command::WriteSettings { path, content }.line(Account::Shell);
    let mut process = Process::new("/bin/sh");
    process.args(["-c", &format!("{first}{line}")]);
    change(&mut process);
    let piped = process.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = piped.stderr(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // who was killed reads no more
    let _unread = std::io::Write::write_all(&mut input, content.as_bytes());
    drop(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_write_that_is_broken_off_anywhere_leaves_the_old_file_or_the_new_one() {
    let machine = Machine::new();
    for how in HOWS {
        let mut at = 1;
        loop {
            machine.reset();
            let ended = machine.write(how, at);
            let calls = machine.calls();
            if calls.len() < at {
                assert!(ended.status.success() && at > COMMANDS.len(), "{calls:?}");
                break;
            }
            let found = machine.content();
            assert!([OLD, NEW].contains(&&*found), "{how} {at}: {found:?}");
            if !ended.status.success() {
                assert!(machine.write("", 0).status.success(), "{how} {at}");
            }
            machine.assert_new_and_nothing_left();
            at += 1;
        }
    }
}

/// Else it may be empty after a power cut (rename(2) orders nothing).
#[test]
fn what_takes_the_files_place_is_on_the_disk_before() {
    let machine = Machine::new();
    machine.reset();
    assert!(machine.write("", 0).status.success());
    let calls = machine.calls();
    let [.., copy, renamed, folder, _cleared] = calls.as_slice() else {
        panic!("{calls:?}");
    };
    assert!(copy.starts_with("sync -- ") && copy.ends_with("/obs-server.obs-scaler"));
    assert!(renamed.starts_with("mv "), "{calls:?}");
    assert!(folder.starts_with("sync -- ") && folder.ends_with("/etc"));
}

#[test]
fn a_full_disk_leaves_the_old_file_and_nothing_besides() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obs-server");
    std::fs::write(&file, OLD).unwrap();
    let large = "# much\n".repeat(1000);
    // no more than 512 bytes in any file
    let ended = write(&file, &large, "ulimit -f 1; ", |_| {});
    assert!(!ended.status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), OLD);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn two_that_write_at_once_never_mix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("obs-server");
    let contents = ["a", "b", "c"].map(|letter| letter.repeat(300_000));
    std::fs::write(&file, &contents[0]).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers = contents.each_ref().map(|content| {
            let file = &file;
            scope.spawn(move || (0..8).for_each(|_| drop(write(file, content, "", |_| {}))))
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let found = std::fs::read_to_string(&file).unwrap();
                assert!(contents.contains(&found), "{} bytes", found.len());
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(write(&file, NEW, "", |_| {}).status.success());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), NEW);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

/// A process that looks like a worker: by its name, and by the state directory on its command line.
pub(super) struct Worker {
    process: Child,
    pub(super) dir: PathBuf,
    /// Where it listens.
    pub(super) port: u16,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

const WORKER: &str = r#"#!/usr/bin/perl
use Fcntl ':flock';
use IO::Socket::INET;
$| = 1;
my $listens = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
if ($ARGV[0] eq '--holds') { open($lock, '>>', "$ARGV[2]/state"); flock($lock, LOCK_EX) }
print $listens->sockport, "\n";
sleep 600;
"#;

/// Of the stand-in.
pub(super) const PROVED: &str = "7cf4ee4b7f7c42ff8b877aa7f726497a";

pub(super) fn worker(home: &Path, number: &str, state: Option<&str>, lock: &str) -> Worker {
    worker_of(home, number, state, &[lock])
}

/// With these options before that of its state directory.
pub(super) fn worker_of(
    home: &Path,
    number: &str,
    state: Option<&str>,
    options: &[&str],
) -> Worker {
    use std::os::unix::fs::PermissionsExt;
    let program = home.join("bs_worker");
    if !program.exists() {
        std::fs::write(&program, WORKER).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        for file in ["BSServer.pm", "BSUtil.pm", "BSXML.pm"] {
            std::fs::write(home.join(file), file).unwrap();
        }
    }
    let dir = home.join(number);
    std::fs::create_dir(&dir).unwrap();
    if let Some(state) = state {
        std::fs::write(dir.join("state"), state).unwrap();
    }
    let mut process = std::process::Command::new(program)
        .args(options)
        .arg("--statedir")
        .arg(&dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut port = String::new();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    output.read_line(&mut port).unwrap();
    let port = port.trim_end().parse().unwrap();
    Worker { process, dir, port }
}

/// Cordons these state directories only, never a worker of this machine.
pub(super) fn run(dirs: &[&Path]) -> (u32, Vec<(String, String)>) {
    run_with(&["--proved", PROVED], dirs)
}

pub(super) fn run_with(options: &[&str], dirs: &[&Path]) -> (u32, Vec<(String, String)>) {
    assert!(
        !dirs.is_empty(),
        "without a directory it would look for workers"
    );
    let mut perl = std::process::Command::new("/usr/bin/perl")
        .arg("-")
        .args(options)
        .args(dirs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = perl.stdin.take().unwrap();
    input
        .write_all(crate::ssh::verb::CORDON.text.as_bytes())
        .unwrap();
    drop(input);
    let output = perl.wait_with_output().unwrap();
    let status = output.status.code().unwrap().try_into().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    let lines = InstanceLine::parse(&Output {
        stdout,
        ..Output::default()
    })
    .unwrap();
    let words = lines.into_iter().map(|line| (line.before, line.after));
    (status, words.collect())
}

pub(super) fn pairs(words: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
    words.iter().map(owned).collect()
}

#[test]
fn an_idle_instance_takes_no_job_any_more_and_a_building_one_none_after_its_own() {
    let home = tempfile::tempdir().unwrap();
    let building = r#"<workerstate state="building" jobid="8f3a" pid="77" />"#;
    let idle = worker(
        home.path(),
        "1",
        Some(r#"<workerstate state="idle" />"#),
        "-",
    );
    let busy = worker(home.path(), "2", Some(building), "-");
    let dirs = [idle.dir.as_path(), busy.dir.as_path()];
    let state = |worker: &Worker| std::fs::read_to_string(worker.dir.join("state")).unwrap();

    let first = pairs(&[("idle", "cordoned"), ("building", "building+cordoned")]);
    assert_eq!(run(&dirs), (75, first));
    assert_eq!(state(&idle), r#"<workerstate state="cordoned" />"#);
    assert_eq!(
        state(&busy),
        r#"<workerstate state="building" nextstate="cordoned" jobid="8f3a" pid="77" />"#
    );

    let again = pairs(&[
        ("cordoned", "cordoned"),
        ("building+cordoned", "building+cordoned"),
    ]);
    assert_eq!(run(&dirs), (75, again));
    assert_eq!(run(&dirs[..1]), (0, pairs(&[("cordoned", "cordoned")])));
}

#[test]
fn what_is_in_between_is_left_alone_and_asks_for_another_look() {
    let home = tempfile::tempdir().unwrap();
    let killed = r#"<workerstate state="killed" jobid="8f3a" />"#;
    let starting = worker(home.path(), "1", None, "-");
    let killed_one = worker(home.path(), "2", Some(killed), "-");
    let idle = r#"<workerstate state="idle" />"#;
    let locked = worker(home.path(), "3", Some(idle), "--holds");
    let dirs = [&starting, &killed_one, &locked].map(|worker| worker.dir.as_path());
    let expected = pairs(&[
        ("starting", "starting"),
        ("killed", "killed"),
        ("locked", "locked"),
    ]);
    assert_eq!(run(&dirs), (75, expected));
    for (worker, state) in [(&killed_one, killed), (&locked, idle)] {
        assert_eq!(
            std::fs::read_to_string(worker.dir.join("state")).unwrap(),
            state
        );
    }
}

#[test]
fn every_word_that_a_worker_writes_has_its_answer() {
    // what the state file says, what a cordon makes of it, what taking back makes of it
    let table = [
        ("idle", "cordoned", "idle"),
        ("building", "building+cordoned", "building"),
        ("building+cordoned", "building+cordoned", "building"),
        ("cordoned", "cordoned", "idle"),
        ("exit", "exit", "exit"),
        ("building+exit", "building+exit", "building+exit"),
        ("rebooting", "rebooting", "rebooting"),
        ("killed", "killed", "killed"),
        ("killed+exit", "killed+exit", "killed+exit"),
        ("discarded", "discarded", "discarded"),
        ("discarded+exit", "discarded+exit", "discarded+exit"),
    ];
    let home = tempfile::tempdir().unwrap();
    let one = worker(home.path(), "1", Some(""), "-");
    for (before, cordoned, taken_back) in table {
        for (options, after, settled) in [
            (vec!["--proved", PROVED], cordoned, cordoned == "cordoned"),
            (
                vec!["--undo", "--proved", PROVED],
                taken_back,
                matches!(taken_back, "idle" | "building"),
            ),
        ] {
            std::fs::write(one.dir.join("state"), state_file(before)).unwrap();
            let status = if settled { 0 } else { 75 };
            let expected = (status, pairs(&[(before, after)]));
            assert_eq!(run_with(&options, &[&one.dir]), expected);
            let written = std::fs::read_to_string(one.dir.join("state")).unwrap();
            assert_eq!(written, state_file(after));
        }
    }
}

/// What a worker has on disk in this state, by our word.
pub(super) fn state_file(word: &str) -> String {
    let (state, next) = word.split_once('+').unwrap_or((word, ""));
    let next = match next {
        "" => String::new(),
        next => format!(r#" nextstate="{next}""#),
    };
    format!(r#"<workerstate state="{state}"{next} jobid="8f3a" />"#)
}

#[test]
fn code_that_the_cordon_was_not_proved_on_is_named_and_nothing_is_written() {
    let home = tempfile::tempdir().unwrap();
    let idle = state_file("idle");
    let one = worker(home.path(), "1", Some(&idle), "-");
    let state = || std::fs::read_to_string(one.dir.join("state")).unwrap();
    let other = ["--proved", "0123,4567"];
    let unproved = format!("unproved:{PROVED}");
    let expected = (75, pairs(&[("idle", unproved.as_str())]));
    assert_eq!(run_with(&other, &[&one.dir]), expected);
    assert_eq!(state(), idle);

    // an instance that has taken new code from its server runs that, and no longer what it was started from
    let taken = one.dir.join("worker");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("bs_worker"), "new").unwrap();
    let expected = (75, pairs(&[("idle", "unproved:unknown")]));
    assert_eq!(run(&[&one.dir]), expected);
    for file in ["BSServer.pm", "BSUtil.pm", "BSXML.pm"] {
        std::fs::write(taken.join(file), file).unwrap();
    }
    let (status, words) = run(&[&one.dir]);
    assert!(
        status == 75 && words[0].1.starts_with("unproved:"),
        "{words:?}"
    );
    assert_ne!(words[0].1, unproved);
    assert_eq!(state(), idle);
}

#[test]
fn a_worker_of_unproved_code_is_neither_drained_nor_stopped() {
    let unproved = lines("1 idle unproved:c0de\n2 gone gone\n");
    let process = "71 /usr/bin/perl -w ./bs_worker --statedir /run/obs/worker/1 --jobs 4";
    let found = outcome(75, &unproved, &service("active", process));
    assert_eq!(found, DrainOutcome::Unproved("c0de".to_owned()));
}

#[test]
fn a_state_file_without_a_process_is_gone() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("state"), r#"<workerstate state="idle" />"#).unwrap();
    assert_eq!(run(&[home.path()]), (0, pairs(&[("gone", "gone")])));
}

fn service(unit: &str, processes: &str) -> Service {
    let stdout = format!("{unit}\n{processes}\n");
    Service::parse(&Output {
        stdout,
        ..Output::default()
    })
    .unwrap()
}

fn lines(text: &str) -> Vec<InstanceLine> {
    let stdout = text.to_owned();
    InstanceLine::parse(&Output {
        stdout,
        ..Output::default()
    })
    .unwrap()
}

#[test]
fn a_worker_is_drained_only_when_every_instance_is_cordoned_and_none_came_since() {
    let process = "71 /usr/bin/perl -w ./bs_worker --statedir /run/obs/worker/1 --jobs 4";
    let gone = lines("1 gone gone\n2 gone gone\n");
    let cordoned = lines("1 idle cordoned\n");
    for (instances, service) in [
        (&vec![], service("inactive", "")),
        (&gone, service("active", "")),
        (&cordoned, service("active", process)),
    ] {
        assert_eq!(outcome(0, instances, &service), DrainOutcome::Drained);
    }
    let second = "1 cordoned cordoned\n2 building building+cordoned\n3 locked locked\n";
    for (status, instances, service, left) in [
        (0, &vec![], service("active", process), 1),
        (0, &gone, service("active", process), 1),
        (0, &vec![], service("activating", ""), 1),
        (75, &cordoned, service("active", process), 1),
        (75, &lines(second), service("active", process), 2),
    ] {
        assert_eq!(
            outcome(status, instances, &service),
            DrainOutcome::Remaining(left)
        );
    }
}

#[test]
fn a_child_that_has_ended_is_no_instance() {
    let dead = service("active", "4317 [bs_worker] <defunct>");
    assert_eq!(dead.state_dirs().len(), 0);
}

#[test]
fn an_answer_that_is_not_understood_is_not_taken_for_nobody_there() {
    let stdout = "1 gone\n".to_owned();
    let output = Output {
        stdout,
        ..Output::default()
    };
    assert!(InstanceLine::parse(&output).is_err());
    assert!(Service::parse(&Output::default()).is_err());
    let stdout = "active\n71 ./bs_worker --jobs 4\n".to_owned();
    assert!(
        Service::parse(&Output {
            stdout,
            ..Output::default()
        })
        .is_err()
    );
}

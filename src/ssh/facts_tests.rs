use super::*;
use crate::ssh::Verdict;
use std::process::Command as Process;

const SAID: &str = "cpus\t32\nmemory\t65000000\nhost\tw-1\ntime\t1000\n\
    disk\t/srv/build\t104857600\t/srv\tmapper/vg-build vg-build nvme0n1\n\
    disk\t/srv/cache dir\t1048576\t/\tvda1 vda\n";

fn parse(text: &str) -> Result<Facts, SshError> {
    Facts::parse(&Output {
        stdout: text.to_owned(),
        ..Output::default()
    })
}

fn expected() -> Expected {
    Expected {
        arch: None,
        vcpus: Some(32),
        memory_gib: Some(64.0),
        host: Some(HostName::new("w-1")),
        local_disk: true,
        free_gib: 50,
        clock: Duration::from_secs(5),
    }
}

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

/// The verdict of each thing, by its name.
fn verdicts(facts: &Facts, expected: &Expected, asked: (i64, i64)) -> Vec<(String, Verdict)> {
    let asked = (at(asked.0), at(asked.1));
    let found = facts.judge(expected, asked);
    found.into_iter().map(|f| (f.what, f.verdict)).collect()
}

#[test]
fn everything_is_judged_and_not_only_up_to_the_first_fault() {
    let facts = parse(SAID).unwrap();
    let all = verdicts(&facts, &expected(), (1_000_200, 1_000_400));
    let expect = [
        ("vcpus", Verdict::Right),
        ("ram", Verdict::Right),
        ("name", Verdict::Right),
        ("GiB free in /srv/build", Verdict::Right),
        ("mount of /srv/build", Verdict::NotCompared),
        ("GiB free in /srv/cache dir", Verdict::Wrong),
        ("mount of /srv/cache dir", Verdict::NotCompared),
        ("local disk of /srv/build", Verdict::Right),
        ("seconds off", Verdict::Right),
    ];
    let expect: Vec<_> = expect.map(|(what, v)| (what.to_owned(), v)).into();
    assert_eq!(all, expect);
    let other = Expected {
        vcpus: Some(64),
        memory_gib: Some(32.0),
        host: Some(HostName::new("w-1.example")),
        ..expected()
    };
    let wrong = verdicts(&facts, &other, (1_000_000, 1_000_000));
    let wrong = wrong.iter().filter(|(_, v)| *v == Verdict::Wrong);
    assert_eq!(wrong.count(), 4);
}

#[test]
fn what_nothing_is_said_of_is_found_and_not_compared() {
    let none = Expected {
        vcpus: None,
        memory_gib: None,
        host: None,
        local_disk: false,
        free_gib: 0,
        ..expected()
    };
    let all = verdicts(&parse(SAID).unwrap(), &none, (1_000_000, 1_000_000));
    let (clock, others) = all.split_last().unwrap();
    assert!(others.iter().all(|(_, v)| *v == Verdict::NotCompared));
    assert_eq!(clock.1, Verdict::Right);
}

#[test]
fn a_server_shows_a_little_less_memory_than_it_has() {
    let gib = |gib: f64, expected: f64| {
        let mut facts = parse(SAID).unwrap();
        facts.memory_kib = gib * KIB_IN_GIB;
        facts.memory(Some(expected)).verdict
    };
    assert_eq!(gib(64.0, 64.0), Verdict::Right);
    assert_eq!(gib(52.0, 64.0), Verdict::Right);
    assert_eq!(gib(1.4, 1.5), Verdict::Right, "a flavor of 1536 MiB");
    assert_eq!(gib(50.0, 64.0), Verdict::Wrong);
    assert_eq!(gib(126.0, 64.0), Verdict::Wrong);
}

#[test]
fn a_clock_is_off_only_by_what_the_way_of_the_answer_does_not_explain() {
    let facts = parse(SAID).unwrap();
    let off = |sent: i64, received: i64| {
        let found = facts.clock(Duration::from_secs(5), (at(sent), at(received)));
        (found.found, found.verdict)
    };
    let number = |n: f64| Some(Fact::Number(n));
    assert_eq!(off(999_000, 1_003_000), (number(0.0), Verdict::Right));
    assert_eq!(off(1_000_900, 1_000_950), (number(0.0), Verdict::Right));
    assert_eq!(off(1_006_000, 1_006_500), (number(-5.0), Verdict::Right));
    assert_eq!(off(1_007_000, 1_007_500), (number(-6.0), Verdict::Wrong));
    assert_eq!(off(990_000, 994_900), (number(5.1), Verdict::Wrong));
}

#[test]
fn an_answer_that_lacks_something_is_no_answer() {
    for lost in ["cpus", "memory", "host", "time", "disk"] {
        let rest: Vec<&str> = SAID.lines().filter(|l| !l.starts_with(lost)).collect();
        assert!(parse(&rest.join("\n")).is_err(), "{lost}");
    }
    for (good, bad) in [("32", "many"), ("104857600", "-"), ("1000", "noon")] {
        assert!(parse(&SAID.replacen(good, bad, 1)).is_err(), "{bad}");
    }
}

/// What the script says here, with these settings.
fn here(settings: &str) -> Facts {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("obs-server");
    std::fs::write(&file, settings).unwrap();
    let said = Process::new("/bin/sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8(said.stdout).unwrap();
    parse(&text).unwrap_or_else(|why| panic!("{why}: {text}"))
}

#[test]
fn the_folders_are_where_the_settings_say_and_else_where_the_service_puts_them() {
    let set =
        here("OBS_WORKER_DIRECTORY=\"/proc/none/of it\"\nOBS_CACHE_SIZE=5\nOBS_CACHE_DIR=/tmp\n");
    let folders: Vec<&str> = set.disks.iter().map(|disk| &*disk.folder).collect();
    assert_eq!(folders, ["/proc/none/of it", "/tmp"]);
    assert_eq!(set.disks[0].mount, "/proc");
    let not_used = here("OBS_CACHE_DIR=/tmp\n");
    assert_eq!(not_used.disks.len(), 1);
    assert_eq!(not_used.disks[0].folder, "/var/cache/obs/worker");
    assert!(not_used.cpus > 0 && not_used.memory_kib > 0.0 && !not_used.host.is_empty());
}

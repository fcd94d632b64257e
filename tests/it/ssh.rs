//! Workers are reached over ssh where their host key is the pinned one, every step ends in time, and
//! a worker is checked, set right and drained without harm to a build. Against a real sshd.

use crate::sshd::{ARCH, Machine, generate_key};
use obs_scaler::clock::Clock;
use obs_scaler::config::{Access, Backend, Discovery};
use obs_scaler::model::{Arch, BackendName, Setup};
use obs_scaler::ssh::{
    Check, CheckOutcome, Command, DrainOutcome, Expected, InvalidKey, Pinned, RemoteShell,
    SshError, SshKey, WorkerSettings, check, drain,
};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

pub(crate) fn settings() -> WorkerSettings {
    let name = BackendName::new("main");
    let backend = Backend {
        name: name.clone(),
        access: Access::Servers {
            source: "http://10.0.0.5:5352".to_owned(),
            repository: "http://10.0.0.5:5252".to_owned(),
        },
        worker_source_server: "10.0.0.5:5352".to_owned(),
        worker_repository_server: "10.0.0.5:5252".to_owned(),
        projects: Vec::new(),
        discovery: Discovery::default(),
        ramp: 0,
    };
    let setup = Setup {
        backends: vec![name.clone()],
        instances: 2,
        jobs: 4,
        cache_mib: None,
        cache_dir: None,
        binaries_proxy: None,
    };
    WorkerSettings::of(&setup, &BTreeMap::from([(name, backend)])).unwrap()
}

/// What the machine of the tests should be: nothing of it is the tests' own machine's but the disk.
pub(crate) fn expected() -> Expected {
    Expected {
        arch: Some(ARCH.to_string()),
        vcpus: None,
        memory_gib: None,
        host: None,
        local_disk: false,
        free_gib: 0,
        clock: Duration::from_secs(5),
    }
}

pub(crate) async fn checked(machine: &Machine) -> CheckOutcome {
    let (access, host) = (machine.access("client"), machine.pinned("host"));
    let (expected, settings, now) = (expected(), settings(), Clock::default().now());
    let welcome = || async { Ok(()) };
    let report = check(&access, &host, &expected, &settings, welcome, now);
    report.await.outcome
}

pub(crate) async fn drained(machine: &Machine) -> DrainOutcome {
    let (access, host) = (machine.access("client"), machine.pinned("host"));
    // never on the machine that runs the tests
    let shell = RemoteShell::connect(&access, &host).await.unwrap();
    assert_eq!(shell.arch().await.unwrap(), ARCH.as_str());
    drain(&access, &host).await.outcome
}

#[tokio::test]
async fn a_host_with_another_key_than_the_pinned_one_is_not_talked_to() {
    let machine = Machine::boot();
    let access = machine.access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host")).await;
    assert_eq!(shell.unwrap().arch().await.unwrap(), ARCH.as_str());
    let refused = RemoteShell::connect(&access, &machine.pinned("other")).await;
    assert_eq!(refused.unwrap_err().label(), "host_key");
}

#[tokio::test]
async fn a_key_that_the_worker_does_not_know_is_a_refusal_and_says_so() {
    let machine = Machine::boot();
    let refused = RemoteShell::connect(&machine.access("other"), &machine.pinned("host")).await;
    assert_eq!(refused.unwrap_err().label(), "auth");
}

#[tokio::test]
async fn a_command_that_hangs_ends_at_its_deadline() {
    let machine = Machine::boot();
    machine.command("uname", "exec /bin/sleep 20");
    let patience = Duration::from_secs(2);
    let begun = Instant::now();
    let access = machine.hasty_access(patience);
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    let ended = shell.run(Command::Arch).await;
    assert_eq!(ended.unwrap_err().label(), "timeout");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_command_that_talks_without_end_is_cut_off() {
    let machine = Machine::boot();
    machine.command("uname", "exec cat /dev/zero");
    let access = machine.access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    assert_eq!(shell.arch().await.unwrap_err().label(), "output");
}

#[tokio::test]
async fn a_command_that_fails_or_ends_without_exit_status_is_no_answer() {
    let machine = Machine::boot();
    let access = machine.access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    machine.command("uname", "echo half; echo why >&2; exit 3");
    let failed = shell.arch().await.unwrap_err();
    assert_eq!(failed.to_string(), "uname ended with status 3: why");
    machine.command("uname", "echo half; kill -KILL $$");
    assert_eq!(shell.arch().await.unwrap_err().label(), "protocol");
    machine.command("uname", r"printf '\377'");
    assert_eq!(shell.arch().await.unwrap_err().label(), "answer");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_does_not_hold_us() {
    let machine = Machine::boot();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let pin = machine.pinned("host").pin().clone();
    let host = Pinned::new(silent.local_addr().unwrap(), pin);
    let access = machine.hasty_access(Duration::from_millis(300));
    let ended = RemoteShell::connect(&access, &host).await.unwrap_err();
    assert_eq!(ended.label(), "timeout");
    drop(silent);
    let refused = RemoteShell::connect(&access, &host).await.unwrap_err();
    assert!(matches!(refused, SshError::Connect(_)), "{refused}");
}

#[test]
fn a_private_key_that_cannot_be_used_is_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let parsed = |name: &str, options: &[&str]| {
        let path = dir.path().join(name);
        generate_key(&path, options);
        SshKey::parse(&SecretString::from(std::fs::read_to_string(path).unwrap()))
    };
    assert!(parsed("good", &["-t", "ecdsa"]).is_ok());
    let rsa = parsed("rsa", &["-t", "rsa", "-b", "2048"]).unwrap_err();
    assert!(matches!(rsa, InvalidKey::Algorithm(_)), "{rsa}");
    let locked = parsed("locked", &["-t", "ed25519", "-N", "secret"]);
    assert_eq!(locked.unwrap_err(), InvalidKey::Encrypted);
    let noise = SshKey::parse(&SecretString::from("noise"));
    assert!(matches!(noise, Err(InvalidKey::Format(_))));
}

#[tokio::test]
async fn the_service_of_a_new_worker_is_started_last_and_once() {
    let machine = Machine::boot();
    machine.write("obs-server", &settings().lines());
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(machine.read("log"), "start\n");
}

#[tokio::test]
async fn a_worker_that_never_got_its_settings_gets_them_before_it_serves() {
    let machine = Machine::boot();
    machine.write("obs-server", "# image\nOBS_WORKER_JOBS=\"1\"\n");
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert!(
        machine
            .read("obs-server")
            .starts_with("# image\nOBS_WORKER_JOBS=\"4\"\n")
    );
    assert_eq!(settings().differences(&machine.read("obs-server")), []);
    assert!(machine.read("processes").contains("--jobs 4"));
}

/// As an image that starts the service by itself leaves it.
pub(crate) fn serves_with_one_job(machine: &Machine) {
    machine.write("obs-server", &settings().lines());
    let process =
        "101 ./bs_worker --statedir /run/obs/worker/1 --jobs 1 --reposerver http://obs:5252\n";
    machine.write("processes", process);
    machine.write("unit", "active\n");
}

#[tokio::test]
async fn a_worker_that_serves_with_other_settings_is_drained_before_they_are_changed() {
    let machine = Machine::boot();
    serves_with_one_job(&machine);
    machine.write("cordoned", "1 building building+cordoned\n");
    machine.write("cordon-status", "75");
    let waits = checked(&machine).await;
    let config = matches!(
        &waits,
        CheckOutcome::Failed {
            check: Check::Config,
            ..
        }
    );
    assert!(config, "{waits:?}");
    assert_eq!(machine.read("log"), "cordon\n");

    machine.write("cordoned", "1 cordoned cordoned\n");
    machine.write("cordon-status", "0");
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(machine.read("log"), "cordon\ncordon\ncordon\nstop\nstart\n");
    assert!(machine.read("processes").contains("--jobs 4"));
}

#[tokio::test]
async fn the_service_is_neither_stopped_nor_started_where_an_instance_still_builds() {
    let machine = Machine::boot();
    serves_with_one_job(&machine);
    machine.write("cordon-status", "75");
    let access = machine.access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    assert_eq!(shell.arch().await.unwrap(), ARCH.as_str());
    machine.write("unit", "inactive\n");
    shell.run(Command::StartService).await.unwrap();
    let refused = shell.stop_drained().await;
    assert_eq!(refused.unwrap_err().label(), "exit_status");
    assert_eq!(machine.read("log"), "cordon\n");
}

#[tokio::test]
async fn a_service_that_does_not_start_is_named_with_its_own_words() {
    let machine = Machine::boot();
    machine.write("obs-server", &settings().lines());
    machine.write("broken", "");
    let CheckOutcome::Failed { check, found, .. } = checked(&machine).await else {
        panic!("it was taken for a running one");
    };
    assert_eq!(check, Check::Service);
    assert!(
        found.contains("Job for obsworker.service failed"),
        "{found}"
    );
}

#[tokio::test]
async fn a_machine_of_another_architecture_is_found_before_anything_is_touched() {
    let machine = Machine::boot();
    let other = Arch::ALL.into_iter().find(|arch| *arch != ARCH).unwrap();
    machine.command("uname", &format!("echo {other}"));
    let outcome = checked(&machine).await;
    let expected = CheckOutcome::Failed {
        check: Check::Machine,
        found: format!("arch {other}"),
        expected: ARCH.to_string(),
    };
    assert_eq!(outcome, expected);
    assert_eq!(machine.read("log") + &machine.read("obs-server"), "");
}

#[tokio::test]
async fn a_worker_is_drained_once_every_instance_is_cordoned_and_unknown_while_it_cannot_be_asked()
{
    let machine = Machine::boot();
    assert_eq!(drained(&machine).await, DrainOutcome::Drained);
    serves_with_one_job(&machine);
    machine.write("cordoned", "1 building building+cordoned\n");
    machine.write("cordon-status", "75");
    assert_eq!(drained(&machine).await, DrainOutcome::Remaining(1));
    machine.write("cordoned", "1 cordoned cordoned\n");
    machine.write("cordon-status", "0");
    assert_eq!(drained(&machine).await, DrainOutcome::Drained);
    machine.write("cordon-status", "1");
    let unknown = drained(&machine).await;
    assert!(
        matches!(unknown, DrainOutcome::Unreachable(_)),
        "{unknown:?}"
    );
    let stranger = drain(&machine.access("other"), &machine.pinned("host")).await;
    assert!(matches!(stranger.outcome, DrainOutcome::Unreachable(_)));
}

#[tokio::test]
async fn what_is_cordoned_on_a_worker_that_is_right_is_taken_back_by_its_check() {
    let machine = Machine::boot();
    machine.write("obs-server", &settings().lines());
    machine.write(
        "uncordoned",
        "1 cordoned idle\n2 building+cordoned building\n",
    );
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    for (instance, found) in [
        ("2 locked locked", "instance 2 is locked"),
        ("2 cordoned unproved:c0de", "c0de"),
    ] {
        machine.write("uncordoned", &format!("1 cordoned idle\n{instance}\n"));
        let outcome = checked(&machine).await;
        let CheckOutcome::Failed {
            check, found: said, ..
        } = &outcome
        else {
            panic!("{outcome:?}");
        };
        assert_eq!(*check, Check::Service);
        assert!(said.contains(found), "{said}");
    }
}

#[tokio::test]
async fn instances_that_have_left_come_back_by_a_start_of_all_and_not_beside_a_build() {
    let machine = Machine::boot();
    machine.write("obs-server", &settings().lines());
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    let one = machine.read("processes").lines().next().unwrap().to_owned();
    machine.write("processes", &format!("{one}\n"));
    machine.write("cordoned", "1 building building+cordoned\n");
    machine.write("cordon-status", "75");
    let waits = checked(&machine).await;
    assert!(
        matches!(
            waits,
            CheckOutcome::Failed {
                check: Check::Service,
                ..
            }
        ),
        "{waits:?}"
    );
    assert_eq!(machine.read("log"), "start\ncordon\n");
    machine.write("cordoned", "1 cordoned cordoned\n");
    machine.write("cordon-status", "0");
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(
        machine.read("log"),
        "start\ncordon\ncordon\ncordon\nstop\nstart\n"
    );
}

#[tokio::test]
async fn more_instances_than_there_should_be_go_by_a_start_of_all_and_not_beside_a_build() {
    let machine = Machine::boot();
    machine.write("obs-server", &settings().lines());
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    let two = machine.read("processes");
    let third = two.lines().next().unwrap().replace("worker/1", "worker/3");
    machine.write("processes", &format!("{two}{third}\n"));
    machine.write(
        "cordoned",
        "1 cordoned cordoned\n2 cordoned cordoned\n3 cordoned cordoned\n",
    );
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(machine.read("log"), "start\ncordon\ncordon\nstop\nstart\n");
}

#[tokio::test]
async fn workers_that_the_unit_knows_nothing_of_are_left_as_they_are() {
    let machine = Machine::boot();
    serves_with_one_job(&machine);
    machine.command("systemctl", "echo inactive");
    let outcome = checked(&machine).await;
    assert!(
        matches!(&outcome, CheckOutcome::Failed { check: Check::Service, found, .. } if found.contains("did not start")),
        "{outcome:?}"
    );
    assert_eq!(machine.read("log"), "");
}

#[tokio::test]
async fn a_worker_of_code_that_was_not_proved_is_left_as_it_is_and_told_so() {
    let machine = Machine::boot();
    serves_with_one_job(&machine);
    machine.write("cordoned", "1 idle unproved:c0de\n");
    machine.write("cordon-status", "75");
    let unproved = DrainOutcome::Unproved("c0de".to_owned());
    assert_eq!(drained(&machine).await, unproved);
    let waits = checked(&machine).await;
    assert!(
        matches!(&waits, CheckOutcome::Failed { check: Check::Config, found, .. } if found.contains("c0de")),
        "{waits:?}"
    );
    assert!(!machine.read("log").contains("stop"));
}

#[tokio::test]
async fn a_backend_is_told_once_of_a_worker_and_says_for_how_long() {
    let machine = Machine::boot();
    let access = machine.access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    let workers = machine.home("workers");
    let dir = Some(workers.as_str());
    let missing = shell.disable(dir, "w1:").await.unwrap_err();
    assert_eq!(missing.label(), "exit_status");
    std::fs::create_dir(&workers).unwrap();
    assert!(shell.disable(dir, "w1:").await.unwrap() < Duration::from_secs(5));
    let file = std::path::Path::new(&workers).join("disable/w1:");
    let hour_ago = std::time::SystemTime::from(Clock::default().now()) - Duration::from_secs(3600);
    let opened = std::fs::File::options().append(true).open(&file).unwrap();
    opened.set_modified(hour_ago).unwrap();
    let told = shell.disable(dir, "w1:").await.unwrap();
    assert!((3600..3700).contains(&told.as_secs()), "{told:?}");
    shell.enable(dir, "w1:").await.unwrap();
    shell.enable(dir, "w1:").await.unwrap();
    assert!(!file.exists());
    // where the server itself has it
    machine.command("perl", &format!("printf %s '{workers}'"));
    if std::path::Path::new("/usr/lib/obs/server").is_dir() {
        shell.disable(None, "w[.]2:").await.unwrap();
        assert!(
            std::path::Path::new(&workers)
                .join("disable/w[.]2:")
                .exists()
        );
    }
}

//! An account that may do nothing but what obs-scaler asks for is enough: every command works through
//! `obs-scaler-hands` as sshd's forced command, what needs root goes through sudo and nothing else does,
//! and whatever else is asked for is refused. Against a real sshd.

use crate::ssh::{checked, drained, serves_with_one_job, settings};
use crate::sshd::{ARCH, Machine};
use obs_scaler::ssh::{CheckOutcome, Command, DrainOutcome, RemoteShell};
use std::process::{Command as Process, Stdio};

/// What sshd makes of this request of a client that may ask for anything: its exit status, its output
/// and its complaints.
fn asked(machine: &Machine, request: &str) -> (Option<i32>, String) {
    let known = format!(
        "StrictHostKeyChecking=no -oUserKnownHostsFile={}",
        machine.home("known")
    );
    let client = Process::new("/usr/bin/ssh")
        .args(["-F", "none", "-oBatchMode=yes", "-oLogLevel=ERROR", "-o"])
        .args(known.split(' '))
        .args([
            "-i",
            &machine.home("client"),
            "-p",
            &machine.port().to_string(),
        ])
        .args(["127.0.0.1", request])
        .stdin(Stdio::null())
        .output()
        .expect("ssh, of the package openssh-client, has to be installed");
    let said = [client.stdout, client.stderr].concat();
    (client.status.code(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn every_command_works_through_the_forced_command() {
    let machine = Machine::boot().with_forced_command();
    let shell = RemoteShell::connect(&machine.access("client"), &machine.pinned("host"))
        .await
        .unwrap();
    let path = machine.home("obs-server");
    for command in [
        Command::Arch,
        Command::ResourceUse,
        Command::WriteSettings {
            path: &path,
            content: "OBS_WORKER_INSTANCES=\"1\" # $(id) 'x'\n",
        },
        Command::Facts { path: &path },
        Command::StartService,
        Command::Service,
        Command::Cordon { proved: "a1,b2" },
        Command::Uncordon { proved: "a1" },
        Command::StopDrainedService { proved: "a1" },
    ] {
        shell
            .run(command.clone())
            .await
            .unwrap_or_else(|why| panic!("{command:?}: {why}"));
    }
    let settings = shell.read_settings().await.unwrap();
    assert_eq!(settings, "OBS_WORKER_INSTANCES=\"1\" # $(id) 'x'\n");
    assert_eq!(machine.read("log"), "start\ncordon\ncordon\nstop\n");
}

#[tokio::test]
async fn a_worker_is_checked_set_right_and_drained_through_the_forced_command() {
    let machine = Machine::boot().with_forced_command();
    assert_eq!(checked(&machine).await, CheckOutcome::Passed);
    assert_eq!(settings().differences(&machine.read("obs-server")), []);
    serves_with_one_job(&machine);
    machine.write("cordoned", "1 building building+cordoned\n");
    machine.write("cordon-status", "75");
    assert_eq!(drained(&machine).await, DrainOutcome::Remaining(1));
}

#[tokio::test]
async fn only_what_needs_root_goes_through_sudo() {
    let machine = Machine::boot().with_forced_command();
    machine.command("id", "[ -z \"$AS_ROOT\" ] && echo 1000 || echo 0");
    machine.command(
        "sudo",
        "[ \"$1 $2\" = '-n --' ] && shift 2 && echo \"$2\" >>\"$(dirname \"$0\")/../sudo\" && AS_ROOT=1 exec \"$@\"",
    );
    let path = machine.home("obs-server");
    let shell = RemoteShell::connect(&machine.access("client"), &machine.pinned("host"))
        .await
        .unwrap();
    assert_eq!(shell.arch().await.unwrap(), ARCH.as_str());
    shell.service().await.unwrap();
    shell.run(Command::ResourceUse).await.unwrap();
    shell.write_settings("A=1\n").await.unwrap();
    assert_eq!(shell.read_settings().await.unwrap(), "A=1\n");
    shell.cordon().await.unwrap();
    let asked = machine.read("sudo");
    let expected = format!(
        "obs-scaler-hands write-settings {path} 4\nobs-scaler-hands read-settings {path}\nobs-scaler-hands cordon "
    );
    let codes = asked
        .strip_prefix(&expected)
        .unwrap_or_else(|| panic!("{asked}"));
    let codes: Vec<&str> = codes.strip_suffix('\n').unwrap().split(',').collect();
    let digest = |code: &&str| code.len() == 32 && code.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(codes.iter().all(digest), "{asked}");
}

#[tokio::test]
async fn whatever_else_is_asked_for_is_refused_and_touches_nothing() {
    let machine = Machine::boot().with_forced_command();
    machine.write("obs-server", "A=1\n");
    let settings = machine.home("obs-server");
    let other = machine.home("cordoned");
    for request in [
        "",
        "uname -m",
        "exec /bin/sh -c 'exec uname -m' sh",
        "obs-scaler-hands",
        "obs-scaler-hands reboot",
        "obs-scaler-hands *",
        "obs-scaler-handsarch",
        "arch",
        "obs-scaler-hands arch; touch oops",
        "obs-scaler-hands arch;touch",
        "obs-scaler-hands $(touch oops)",
        "obs-scaler-hands `touch oops`",
        "obs-scaler-hands arch && touch oops",
        "obs-scaler-hands arch\ntouch oops",
        "obs-scaler-hands arch >oops",
        "obs-scaler-hands arch x",
        "obs-scaler-hands do_arch",
        "obs-scaler-hands cordon --undo",
        "obs-scaler-hands cordon a1;id",
        "obs-scaler-hands disable /etc w1:",
        "obs-scaler-hands disable - ../w1:",
        "obs-scaler-hands enable - .w1",
        "obs-scaler-hands enable - a$(touch${IFS}oops)",
        "obs-scaler-hands read-settings",
        "obs-scaler-hands read-settings /etc/shadow",
        &format!("obs-scaler-hands read-settings {other}"),
        &format!("obs-scaler-hands read-settings {settings}/../cordoned"),
        &format!("obs-scaler-hands read-settings {settings} {other}"),
        &format!("obs-scaler-hands read-settings '{settings}'"),
        &format!("obs-scaler-hands write-settings {other} 0"),
        &format!("obs-scaler-hands write-settings {settings}"),
        &format!("obs-scaler-hands write-settings {settings} -1"),
        &format!("obs-scaler-hands write-settings {settings} a[$(touch${{IFS}}oops)]"),
    ] {
        let (status, said) = asked(&machine, request);
        assert_eq!(status, Some(77), "{request:?}: {said}");
        assert!(said.starts_with("obs-scaler-hands: refused: "), "{said}");
    }
    assert_eq!(machine.read("obs-server"), "A=1\n");
    assert_eq!(machine.read("log"), "");
    assert!(!machine.exists("oops"));
    // The same client may ask what we ask.
    assert_eq!(
        asked(&machine, "obs-scaler-hands arch"),
        (Some(0), format!("{ARCH}\n"))
    );
}

#[tokio::test]
async fn an_account_without_the_forced_command_refuses_our_verbs() {
    let machine = Machine::boot();
    let access = machine.forced_access("client");
    let shell = RemoteShell::connect(&access, &machine.pinned("host"))
        .await
        .unwrap();
    let refused = shell.arch().await.unwrap_err().to_string();
    assert!(
        refused.starts_with("uname ended with status 127: "),
        "{refused}"
    );
}

//! Where a cordon looks for instances, and what it tells their servers.

use super::tests::{PROVED, pairs, run, run_with, state_file, worker, worker_of};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The next connection; one that does not come is a test that fails.
fn accepted(listener: &TcpListener) -> TcpStream {
    listener.set_nonblocking(true).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                return stream;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(Instant::now() < end, "nobody asks");
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A repository server that answers each request with what it knows of the worker, and its state file at that
/// moment with each request's head.
fn repository_server(
    requests: usize,
    state: PathBuf,
) -> (u16, std::thread::JoinHandle<Vec<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let answer = |_| {
            let mut stream = accepted(&listener);
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let head = String::from_utf8(head[..read].to_vec()).unwrap();
            let state = std::fs::read_to_string(&state).unwrap();
            stream
                .write_all(b"HTTP/1.0 200 OK\r\n\r\n<worker hostarch=\"x86_64\"/>")
                .unwrap();
            (head, state)
        };
        (0..requests).map(answer).collect()
    });
    (port, answering)
}

#[test]
fn one_that_is_taken_back_tells_its_server_at_once_while_no_job_can_come_yet() {
    let home = tempfile::tempdir().unwrap();
    let state = home.path().join("1/state");
    let (server, answering) = repository_server(2, state.clone());
    let server = format!("http://127.0.0.1:{server}");
    let options = ["--id", "w1:1", "--arch", "x86_64", "--reposerver", &server];
    let one = worker_of(home.path(), "1", Some(&state_file("cordoned")), &options);
    let undo = ["--undo", "--proved", PROVED];
    assert_eq!(
        run_with(&undo, &[&one.dir]),
        (0, pairs(&[("cordoned", "idle")]))
    );
    assert_eq!(std::fs::read_to_string(&state).unwrap(), state_file("idle"));
    let asked = answering.join().unwrap();
    assert!(
        asked[0]
            .0
            .starts_with("GET /worker/x86_64:w1:1 HTTP/1.0\r\n"),
        "{asked:?}"
    );
    let told = format!(
        "POST /worker?state=idle&arch=x86_64&port={}&workerid=w1:1 HTTP/1.0\r\n",
        one.port
    );
    assert!(asked[1].0.starts_with(&told), "{asked:?}");
    assert!(
        asked[1].0.ends_with("<worker hostarch=\"x86_64\"/>"),
        "{asked:?}"
    );
    // a job that came now would wait for the lock
    assert_eq!(asked[1].1, state_file("cordoned"));
}

#[test]
fn one_that_is_cordoned_says_goodbye_to_its_server() {
    let home = tempfile::tempdir().unwrap();
    let (server, answering) = repository_server(1, home.path().join("1/state"));
    let server = format!("http://127.0.0.1:{server}");
    let options = ["--id", "w1:1", "--arch", "x86_64", "--reposerver", &server];
    let one = worker_of(home.path(), "1", Some(&state_file("idle")), &options);
    assert_eq!(run(&[&one.dir]), (0, pairs(&[("idle", "cordoned")])));
    let asked = answering.join().unwrap();
    let told = "GET /worker?state=exit&arch=x86_64&port=65535&workerid=w1:1 HTTP/1.0\r\n";
    assert!(asked[0].0.starts_with(told), "{asked:?}");
    assert_eq!(asked[0].1, state_file("cordoned"), "it takes none by then");
}

#[test]
fn a_server_that_never_answers_keeps_nobody_from_being_taken_back() {
    let home = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", silent.local_addr().unwrap());
    let options = ["--id", "w1:1", "--arch", "x86_64", "--reposerver", &server];
    let one = worker_of(home.path(), "1", Some(&state_file("cordoned")), &options);
    let undo = ["--undo", "--proved", PROVED];
    let begun = Instant::now();
    assert_eq!(
        run_with(&undo, &[&one.dir]),
        (0, pairs(&[("cordoned", "idle")]))
    );
    // a dispatcher would wait 10 s for the lock
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
}

/// The state directories that are found where the machine's files lie under `root`.
fn found(root: &Path) -> Vec<String> {
    let program = crate::ssh::verb::CORDON.text;
    let (head, rest) = program.split_once("my %workers = workers();").unwrap();
    let (_, subs) = rest.split_once("exit $code;").unwrap();
    let mut program =
        format!("{head}my %workers = workers(); print \"$_\\n\" for state_dirs(); exit 0;{subs}");
    for place in [
        "/etc/sysconfig/obs-server",
        "/etc/default/obsworker",
        "/run/obs-worker/",
        "/run/obs'",
        "/var/lib/obsworker",
    ] {
        assert!(program.contains(place), "{place}");
        program = program.replace(place, &format!("{}{place}", root.display()));
    }
    let perl = std::process::Command::new("/usr/bin/perl")
        .args(["-e", &program, "--", "--proved", PROVED])
        .output()
        .unwrap();
    assert!(perl.status.success(), "{perl:?}");
    let all = String::from_utf8(perl.stdout).unwrap();
    let own = all
        .lines()
        .filter_map(|dir| dir.strip_prefix(root.to_str().unwrap()));
    own.map(str::to_owned).collect()
}

#[test]
fn state_directories_are_found_where_the_settings_the_units_and_the_processes_have_them() {
    let root = tempfile::tempdir().unwrap();
    let lay = |dir: &str| std::fs::create_dir_all(root.path().join(dir)).unwrap();
    for dir in [
        "run/obs/worker/1",
        "var/lib/obsworker/worker/2",
        "run/obs-worker/3",
        "elsewhere/worker/4",
    ] {
        lay(dir);
    }
    let (usual, of_unit) = ("/run/obs/worker/1", "/run/obs-worker/3");
    assert_eq!(
        found(root.path()),
        [of_unit, usual, "/var/lib/obsworker/worker/2"]
    );

    lay("etc/sysconfig");
    let elsewhere = root.path().join("elsewhere");
    let settings = format!(
        "OBS_RUN_DIR=/never\n#OBS_RUN_DIR=/no\nOBS_RUN_DIR=\"{}\" # here\n",
        elsewhere.display()
    );
    std::fs::write(root.path().join("etc/sysconfig/obs-server"), settings).unwrap();
    assert_eq!(found(root.path()), ["/elsewhere/worker/4", of_unit]);

    let _runs = worker(root.path(), "5", None, "-");
    assert_eq!(found(root.path()), ["/5", "/elsewhere/worker/4", of_unit]);
}

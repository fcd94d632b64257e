//! Whatever a server does, a session with it ends: in time, with an error that has a name, with its
//! connection closed, and without a busy processor.

use crate::ssh_peers::{
    Attempt, Good, OTHER, PASSWORD, Told, Turn, access, attempt, man_in_the_middle, packet, pinned,
    raw, repeat, settings, wait_for_end,
};
use obs_scaler::config;
use obs_scaler::ssh::{Access, RemoteShell};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long a session may take to come about, and a command to end.
const PATIENCE: Duration = Duration::from_millis(1500);
/// What the deadline may be passed by, on a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(3);
/// What a session may keep the processor busy for: its cryptography, not made fast by the compiler, takes
/// 20 to 40 ms.
const BUSY: Duration = Duration::from_millis(200);
/// For a session that is over, and leaves nothing to be done.
const AFTERWARDS: Duration = Duration::from_millis(300);

/// Greets as a server would, hears the greeting, and says this.
fn greets(mut stream: &TcpStream, then: &[u8]) -> std::io::Result<()> {
    stream.write_all(b"SSH-2.0-Hostile\r\n")?;
    let _greeting = stream.read(&mut [0; 4096])?;
    stream.write_all(then)
}

fn connecting(addr: SocketAddr) -> Attempt<()> {
    attempt(AFTERWARDS, async move {
        let shell = RemoteShell::connect(&access(PATIENCE), &pinned(addr)).await;
        shell.map(|_| ())
    })
}

/// Holds an attempt to the promise, and gives its error's label.
fn kept<T: std::fmt::Debug>(what: &str, attempt: &Attempt<T>) -> &'static str {
    let error = attempt.ended.as_ref().expect_err(what);
    assert!(attempt.took < PATIENCE + SLACK, "{what}: {attempt:?}");
    assert!(attempt.busy < BUSY, "{what}: {attempt:?}");
    assert!(error.to_string().len() < 1000, "{what}: {error}");
    assert!(
        !error.to_string().contains("the session took"),
        "{what}: {error}"
    );
    error.label()
}

#[test]
fn a_server_that_exchanges_no_keys_is_not_talked_to() {
    // what has no place before a key exchange is not listened to, until the deadline
    const SERVICE_ACCEPT: u8 = 6;
    const NEWKEYS: u8 = 21;
    const USERAUTH_SUCCESS: u8 = 52;
    for message in [SERVICE_ACCEPT, NEWKEYS, USERAUTH_SUCCESS] {
        let addr = raw(move |stream| {
            greets(&stream, &packet(&[message]))?;
            wait_for_end(&stream)
        });
        let what = format!("message {message} instead of a key exchange");
        let label = kept(&what, &connecting(addr));
        assert!(["protocol", "timeout"].contains(&label), "{what}: {label}");
    }
}

#[test]
fn a_greeting_without_end_is_cut_short() {
    let lines = raw(|stream| repeat(&stream, b"welcome to this machine\r\n"));
    assert_eq!(kept("lines", &connecting(lines)), "protocol");
    let one_line = raw(|stream| repeat(&stream, b"SSH-2.0-very"));
    assert_eq!(kept("one line", &connecting(one_line)), "protocol");
    let empty = raw(|stream| repeat(&stream, b"\n"));
    assert_eq!(kept("empty lines", &connecting(empty)), "protocol");
}

#[test]
fn a_server_that_says_nothing_is_waited_for_until_the_deadline() {
    let silent = raw(|stream| wait_for_end(&stream));
    assert_eq!(kept("silence", &connecting(silent)), "timeout");
    let polite = raw(|stream| {
        greets(&stream, b"")?;
        wait_for_end(&stream)
    });
    assert_eq!(kept("a greeting", &connecting(polite)), "timeout");
}

#[test]
fn a_server_that_drips_gains_no_time() {
    let drips = raw(|mut stream| {
        for byte in b"SSH-2.0-Slow\r\n".iter().cycle() {
            stream.write_all(&[*byte])?;
            std::thread::sleep(Duration::from_secs(1));
        }
        Ok(())
    });
    assert_eq!(kept("a byte a second", &connecting(drips)), "timeout");
    const IGNORE: u8 = 2;
    let chats = raw(|mut stream| {
        greets(&stream, b"")?;
        loop {
            stream.write_all(&packet(&[IGNORE, 0, 0, 0, 0]))?;
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(
        kept("whole packets about nothing", &connecting(chats)),
        "timeout"
    );
}

#[test]
fn a_server_that_hangs_up_is_named_as_one_that_did() {
    let at_once = raw(|_| Ok(()));
    assert_eq!(kept("at once", &connecting(at_once)), "connect");
    let half_a_greeting = raw(|mut stream| stream.write_all(b"SSH-2"));
    assert_eq!(
        kept("half a greeting", &connecting(half_a_greeting)),
        "connect"
    );
    let half_a_packet = raw(|stream| greets(&stream, &packet(&[20; 60])[..30]));
    assert_eq!(kept("half a packet", &connecting(half_a_packet)), "connect");
}

#[test]
fn packets_of_no_lawful_size_are_refused() {
    let beginnings: [&[u8]; 4] = [&[0xff; 4], &[0, 0x10, 0, 0], &[0; 4], &[0, 0, 0, 1]];
    for beginning in beginnings {
        let addr = raw(move |stream| {
            greets(&stream, beginning)?;
            repeat(&stream, &[0; 4096])
        });
        let what = format!("a packet that begins with {beginning:?}");
        let label = kept(&what, &connecting(addr));
        assert!(["protocol", "connect"].contains(&label), "{what}: {label}");
    }
    // its padding is longer than itself
    let addr = raw(|stream| {
        greets(&stream, &[0, 0, 0, 12, 255, 20])?;
        repeat(&stream, &[0; 4096])
    });
    assert_eq!(kept("padding", &connecting(addr)), "protocol");
}

#[test]
fn garbage_instead_of_a_key_exchange_is_refused() {
    const KEXINIT: u8 = 20;
    let noise = raw(|stream| {
        greets(&stream, &[0x5a; 500])?;
        wait_for_end(&stream)
    });
    assert_eq!(kept("noise", &connecting(noise)), "protocol");
    // a list of names which an error repeats no more than a little of
    let names = raw(|stream| {
        let mut payload = vec![KEXINIT; 17];
        for _ in 0..10 {
            payload.extend(2_000_u32.to_be_bytes());
            payload.extend(b"kex,".repeat(499));
            payload.extend(b"kex!");
        }
        payload.extend([0; 5]);
        greets(&stream, &packet(&payload))?;
        wait_for_end(&stream)
    });
    assert_eq!(kept("names", &connecting(names)), "protocol");
}

#[test]
fn what_comes_before_the_login_fills_no_memory() {
    const IGNORE: u8 = 2;
    let flood = raw(|stream| {
        greets(&stream, b"")?;
        let mut payload = vec![IGNORE, 0, 0, 0x40, 0];
        payload.extend([b'x'; 0x4000]);
        repeat(&stream, &packet(&payload))
    });
    let attempted = connecting(flood);
    assert_eq!(kept("packets to be ignored", &attempted), "flood");
    let words = attempted.ended.unwrap_err().to_string();
    assert_eq!(words, "more than 262144 bytes came before the login");
}

/// A whole session: connects, runs a command, and lets go.
async fn session(access: Access, addr: SocketAddr) -> Result<String, obs_scaler::ssh::SshError> {
    let shell = RemoteShell::connect(&access, &pinned(addr)).await?;
    shell.arch().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_key_and_a_banner_without_measure_open_nothing() {
    let other = Good {
        host_key: OTHER,
        ..Good::default()
    };
    let other = other.start().await;
    let attempted = tokio::task::spawn_blocking(move || connecting(other));
    assert_eq!(kept("another key", &attempted.await.unwrap()), "host_key");
    let long = Good {
        banner: Some("b".repeat(300_000)),
        ..Good::default()
    };
    let long = long.start().await;
    let attempted = tokio::task::spawn_blocking(move || connecting(long));
    let label = kept("a long banner", &attempted.await.unwrap());
    assert!(["flood", "protocol"].contains(&label), "{label}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_opens_a_worker_and_another_one_is_refused() {
    let addr = Good::default().start().await;
    let with = |password: &str| {
        let login = config::Login::Password(password.to_owned().into());
        Access::new(&config::Ssh {
            login,
            ..settings(4 * PATIENCE)
        })
        .unwrap()
    };
    assert_eq!(session(with(PASSWORD), addr).await.unwrap(), "aarch64");
    let refused = session(with("another"), addr).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the password was refused for user root"
    );
    assert_eq!(
        session(access(4 * PATIENCE), addr).await.unwrap(),
        "aarch64"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_never_ends_or_chatters_ends_at_its_deadline() {
    for nags in [false, true] {
        let addr = Good {
            takes: None,
            nags,
            ..Good::default()
        }
        .start()
        .await;
        let attempted = tokio::task::spawn_blocking(move || {
            attempt(AFTERWARDS, session(access(PATIENCE), addr))
        });
        let attempted = attempted.await.unwrap();
        let error = attempted.ended.as_ref().unwrap_err();
        assert_eq!(error.label(), "timeout", "{error}");
        assert!(attempted.took < 2 * PATIENCE + SLACK, "{attempted:?}");
        assert!(attempted.busy < BUSY, "{attempted:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_held_too_long_ends_by_itself() {
    let addr = Good::default().start().await;
    let (addr, mut told) = man_in_the_middle(addr, usize::MAX, Turn::End).await;
    let access = Access::new(&config::Ssh {
        session_timeout: 2 * PATIENCE,
        ..settings(PATIENCE)
    });
    let shell = RemoteShell::connect(&access.unwrap(), &pinned(addr))
        .await
        .unwrap();
    assert_eq!(shell.arch().await.unwrap(), "aarch64");
    let gone = async { while told.recv().await != Some(Told::ClientGone) {} };
    tokio::time::timeout(2 * PATIENCE + SLACK, gone)
        .await
        .unwrap();
    let over = shell.arch().await.unwrap_err();
    assert_eq!(over.to_string(), "the session took longer than 3 s");
}

/// How many bytes of the server a whole session has.
async fn whole(server: SocketAddr) -> usize {
    let (addr, mut told) = man_in_the_middle(server, usize::MAX, Turn::End).await;
    session(access(4 * PATIENCE), addr).await.unwrap();
    let mut whole = 0;
    while let Some(Told::Heard(heard)) = told.recv().await {
        whole = whole.max(heard);
    }
    whole
}

/// Lets a session come `lets` bytes far; says how it ended, once its connection is closed. The processor was
/// not kept busy for it.
async fn turned(
    server: SocketAddr,
    lets: usize,
    turn: Turn,
    patience: Duration,
) -> Option<&'static str> {
    let (addr, mut told) = man_in_the_middle(server, lets, turn).await;
    let session = async move {
        // connecting, and one command
        let ended = tokio::time::timeout(2 * patience + SLACK, session(access(patience), addr));
        let ended = ended.await;
        ended.unwrap_or_else(|_| panic!("{turn:?} after {lets} bytes: no end"))
    };
    let attempted = tokio::task::spawn_blocking(move || attempt(AFTERWARDS, session));
    let Attempt { ended, busy, .. } = attempted.await.unwrap();
    assert!(
        busy < BUSY,
        "{turn:?} after {lets} bytes: busy for {busy:?}"
    );
    let gone = async { while told.recv().await != Some(Told::ClientGone) {} };
    let gone = tokio::time::timeout(SLACK, gone).await;
    assert!(
        gone.is_ok(),
        "{turn:?} after {lets} bytes: the connection stays open"
    );
    ended.err().map(|error| error.label())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_turned_on_at_any_step_ends_and_closes_its_connection() {
    let server = Good::default().start().await;
    let whole = whole(server).await;
    let turns = [
        Turn::End,
        Turn::Silence,
        Turn::Noise,
        Turn::Zeros,
        Turn::Drip,
    ];
    for turn in turns {
        // what has to be waited for is waited for less long than what comes by itself
        let (lawful, patience): (&[&str], _) = match turn {
            Turn::End => (&["connect"], 20),
            Turn::Silence | Turn::Drip => (&["timeout"], 4),
            Turn::Noise | Turn::Zeros => (&["protocol", "flood", "connect"], 20),
        };
        let patience = Duration::from_secs(patience);
        let mut sessions = JoinSet::new();
        // the last bytes are of no matter: everything has been said
        for lets in (0..whole * 9 / 10).step_by(whole / 12) {
            sessions.spawn(async move { (lets, turned(server, lets, turn, patience).await) });
        }
        for (lets, ended) in sessions.join_all().await {
            let label = ended.unwrap_or("none");
            assert!(
                lawful.contains(&label),
                "{turn:?} after {lets} of {whole} bytes: {label}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_workers_are_asked_in_the_time_of_one_though_one_hangs_and_one_lies() {
    const WORKERS: usize = 60;
    let takes = Duration::from_secs(3);
    let slow = Good {
        takes: Some(takes),
        ..Good::default()
    }
    .start()
    .await;
    let liar = Good {
        host_key: OTHER,
        ..Good::default()
    }
    .start()
    .await;
    let hangs = raw(|stream| wait_for_end(&stream));
    // as long as all of them one after the other, on a machine that has other things to do
    let patience = Duration::from_secs(60);
    let begun = std::time::Instant::now();
    let mut sessions = JoinSet::new();
    for number in 0..WORKERS {
        let (addr, patience) = match number {
            7 => (liar, patience),
            11 => (hangs, 2 * takes),
            _ => (slow, patience),
        };
        sessions.spawn(async move { session(access(patience), addr).await });
    }
    let ended = sessions.join_all().await;
    let took = begun.elapsed();
    let fine = ended.iter().filter(|ended| ended.is_ok()).count();
    let mut labels: Vec<_> = ended
        .iter()
        .filter_map(|e| e.as_ref().err())
        .map(|e| e.label())
        .collect();
    labels.sort_unstable();
    assert_eq!((fine, labels), (WORKERS - 2, vec!["host_key", "timeout"]));
    // one after the other they would take sixty times as long
    assert!(took < takes * 10, "{took:?}, and one takes {takes:?}");
}

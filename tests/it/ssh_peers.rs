//! The other ends of ssh sessions: a server that behaves, one that is written byte by byte, and a man in
//! the middle who lets a session come so far and then turns on it.

use obs_scaler::config;
use obs_scaler::ssh::{Access, Pin, Pinned, SshError};
use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// A key that anybody can make again.
fn key(seed: u8) -> PrivateKey {
    PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
}

/// The host key that is pinned.
pub(crate) const HOST: u8 = 1;
/// Another one.
pub(crate) const OTHER: u8 = 2;
const CLIENT: u8 = 3;

/// The password that opens every server here.
pub(crate) const PASSWORD: &str = "correct horse";

/// The address, held to the host key that is pinned.
pub(crate) fn pinned(addr: SocketAddr) -> Pinned<SocketAddr> {
    let line = key(HOST).public_key().to_openssh().unwrap();
    Pinned::new(addr, Pin::parse(&line).unwrap())
}

/// How the servers here are reached, by key, each step within this time.
pub(crate) fn settings(patience: Duration) -> config::Ssh {
    let private = key(CLIENT).to_openssh(LineEnding::LF).unwrap();
    config::Ssh {
        user: "root".to_owned(),
        port: 22,
        forced_command: false,
        login: config::Login::Key(SecretString::from(private.as_str())),
        host_key_secret: SecretString::from("s".repeat(32)),
        known_hosts_file: None,
        connect_timeout: patience,
        command_timeout: patience,
        session_timeout: 4 * patience,
        sysconfig: "/etc/sysconfig/obs-server".to_owned(),
        proved_worker_code: Vec::new(),
        backend_hosts: BTreeMap::new(),
    }
}

/// The same, ready for use.
pub(crate) fn access(patience: Duration) -> Access {
    Access::new(&settings(patience)).unwrap()
}

/// What an attempt came to.
#[derive(Debug)]
pub(crate) struct Attempt<T> {
    pub(crate) ended: Result<T, SshError>,
    /// How long it took.
    pub(crate) took: Duration,
    /// For how long the thread that made it, and everything that it does, was busy.
    pub(crate) busy: Duration,
}

/// Makes an attempt on a thread of its own, which also stays for `after` to do what is left to do.
pub(crate) fn attempt<T: Send + 'static>(
    after: Duration,
    attempt: impl Future<Output = Result<T, SshError>> + Send + 'static,
) -> Attempt<T> {
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (begun, idle) = (Instant::now(), busy());
        let ended = runtime.block_on(attempt);
        let took = begun.elapsed();
        runtime.block_on(async { tokio::time::sleep(after).await });
        let busy = busy().checked_sub(idle).unwrap();
        Attempt { ended, took, busy }
    });
    thread.join().unwrap()
}

/// The processor time of this thread: fields 14 and 15 of its `stat`, in hundredths of a second (proc(5)).
fn busy() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: Vec<u64> = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse().unwrap())
        .collect();
    Duration::from_millis(10 * ticks.iter().sum::<u64>())
}

/// A server whose every connection is handled by `talk`, on a thread; errors of `talk` are of no interest.
pub(crate) fn raw(
    talk: impl Fn(TcpStream) -> std::io::Result<()> + Send + Clone + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (talk, stream) = (talk.clone(), stream.unwrap());
            std::thread::spawn(move || {
                let _gone = talk(stream);
            });
        }
    });
    addr
}

/// Waits until the other side has closed the connection.
pub(crate) fn wait_for_end(mut stream: &TcpStream) -> std::io::Result<()> {
    let mut heard = [0; 4096];
    while stream.read(&mut heard)? > 0 {}
    Ok(())
}

/// Says this again and again, as long as somebody listens.
pub(crate) fn repeat(mut stream: &TcpStream, words: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(words)?;
    }
}

/// A packet before any key exchange: its length, that of its padding, payload and padding (RFC 4253, 6).
pub(crate) fn packet(payload: &[u8]) -> Vec<u8> {
    let padding = 4 + (8 - (payload.len() + 9) % 8) % 8;
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}

/// A server that keeps to the protocol.
#[derive(Clone)]
pub(crate) struct Good {
    pub(crate) host_key: u8,
    /// What it shows before the login.
    pub(crate) banner: Option<String>,
    /// How long every command takes; `None`: it never ends.
    pub(crate) takes: Option<Duration>,
    /// Whether every command says a little all the time.
    pub(crate) nags: bool,
}

impl Default for Good {
    fn default() -> Self {
        Self {
            host_key: HOST,
            banner: None,
            takes: Some(Duration::ZERO),
            nags: false,
        }
    }
}

impl Good {
    /// Starts it on a free port of loopback, for the life of the runtime.
    pub(crate) async fn start(self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let config = Arc::new(Config {
            keys: vec![key(self.host_key)],
            auth_rejection_time: Duration::ZERO,
            nodelay: true,
            ..Config::default()
        });
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (config, visit) = (Arc::clone(&config), self.clone());
                tokio::spawn(async move {
                    if let Ok(session) = russh::server::run_stream(config, stream, visit).await {
                        let _ended = session.await;
                    }
                });
            }
        });
        addr
    }
}

impl Handler for Good {
    type Error = russh::Error;

    async fn authentication_banner(&mut self) -> Result<Option<String>, Self::Error> {
        Ok(self.banner.clone())
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, Self::Error> {
        Ok(if password == PASSWORD {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn auth_publickey(
        &mut self,
        _user: &str,
        shown: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let known: &PublicKey = &key(CLIENT).public_key().clone();
        Ok(if shown.public_key.key_data() == known.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _line: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let (handle, takes) = (session.handle(), self.takes);
        if self.nags {
            let handle = handle.clone();
            tokio::spawn(async move {
                while handle.data(channel, &b"."[..]).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
        }
        tokio::spawn(async move {
            match takes {
                Some(takes) => tokio::time::sleep(takes).await,
                None => std::future::pending().await,
            }
            let _gone = handle.data(channel, &b"aarch64\n"[..]).await;
            let _gone = handle.exit_status_request(channel, 0).await;
            let _gone = handle.close(channel).await;
        });
        session.channel_success(channel)
    }
}

/// What becomes of a session that was let through so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is cut off.
    End,
    /// Nothing more comes.
    Silence,
    /// Noise comes, without end.
    Noise,
    /// Nothing but zeros comes, without end.
    Zeros,
    /// What the server says comes on, a byte every tenth of a second.
    Drip,
}

/// What a man in the middle tells of a session.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// So many bytes came from the server, to the session's end.
    Heard(usize),
    /// The client has closed its connection.
    ClientGone,
}

/// Stands before a server, lets so many of its bytes through, and then turns.
pub(crate) async fn man_in_the_middle(
    server: SocketAddr,
    lets: usize,
    turn: Turn,
) -> (SocketAddr, mpsc::UnboundedReceiver<Told>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = tokio::net::TcpStream::connect(server).await.unwrap();
        let (mut from_client, to_client) = client.into_split();
        let (from_server, mut to_server) = server.into_split();
        let forth = tokio::spawn(pass(from_server, to_client, lets, turn, tell.clone()));
        let _gone = tokio::io::copy(&mut from_client, &mut to_server).await;
        forth.abort();
        let _nobody_asks = tell.send(Told::ClientGone);
    });
    (addr, told)
}

async fn pass(
    mut server: tokio::net::tcp::OwnedReadHalf,
    mut client: tokio::net::tcp::OwnedWriteHalf,
    lets: usize,
    turn: Turn,
    tell: mpsc::UnboundedSender<Told>,
) -> std::io::Result<()> {
    let (mut heard, mut bytes) = (0, [0; 4096]);
    while heard < lets {
        let most = bytes.len().min(lets - heard);
        let read = server.read(&mut bytes[..most]).await?;
        let _nobody_asks = tell.send(Told::Heard(heard + read));
        if read == 0 {
            return client.shutdown().await;
        }
        client.write_all(&bytes[..read]).await?;
        heard += read;
    }
    match turn {
        Turn::End => client.shutdown().await,
        Turn::Silence => std::future::pending().await,
        Turn::Noise => loop {
            let noise: Vec<u8> = (0..4096_u32).map(|n| (n * n % 251) as u8 ^ 0x5a).collect();
            client.write_all(&noise).await?;
        },
        Turn::Zeros => loop {
            client.write_all(&[0; 4096]).await?;
        },
        Turn::Drip => loop {
            let byte = server.read_u8().await?;
            client.write_all(&[byte]).await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        },
    }
}

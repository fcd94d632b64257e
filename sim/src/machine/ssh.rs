//! The ssh server of a machine: one key, one account, one command a channel.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{PrivateKey, PublicKey};
use russh::server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::record::Record;

/// A session that says nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(120);

pub(super) struct Server {
    config: Arc<Config>,
    authorized: PublicKey,
    /// Commands come one after the other, as far as they concern the same machine.
    record: Mutex<Record>,
}

impl Server {
    pub(super) fn new(host_key: &PrivateKey, authorized: &PublicKey, record: Record) -> Self {
        let config = Config {
            keys: vec![host_key.clone()],
            auth_rejection_time: Duration::from_millis(100),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: Some(SILENCE),
            nodelay: true,
            ..Config::default()
        };
        Self {
            config: Arc::new(config),
            authorized: authorized.clone(),
            record: Mutex::new(record),
        }
    }
}

/// Serves until it is aborted; with it goes every session.
pub(super) async fn serve(listener: TcpListener, server: Arc<Server>) {
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let server = Arc::clone(&server);
                    sessions.spawn(async move {
                        let visit = Visit { server: Arc::clone(&server), open: HashMap::new() };
                        let session = russh::server::run_stream(Arc::clone(&server.config), stream, visit);
                        let ended = match session.await {
                            Ok(session) => session.await,
                            Err(error) => Err(error),
                        };
                        tracing::debug!(?ended, "ssh session");
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "accept");
                    // Out of file descriptors, most likely: they come back with time.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = sessions.join_next(), if !sessions.is_empty() => {}
        }
    }
}

/// One session.
struct Visit {
    server: Arc<Server>,
    open: HashMap<ChannelId, Exec>,
}

/// A command whose input has not ended yet.
#[derive(Default)]
struct Exec {
    line: Option<String>,
    input: Vec<u8>,
}

impl Handler for Visit {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        if key.public_key.key_data() == self.server.authorized.key_data() {
            Ok(Auth::Accept)
        } else {
            Ok(Auth::reject())
        }
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.open.insert(channel.id(), Exec::default());
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let line = String::from_utf8_lossy(data).into_owned();
        self.open.entry(channel).or_default().line = Some(line);
        session.channel_success(channel)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        let exec = self.open.entry(channel).or_default();
        exec.input.extend_from_slice(data);
        Ok(())
    }

    /// The input is whole: now the command is answered.
    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let exec = self.open.remove(&channel).unwrap_or_default();
        if let Some(line) = exec.line {
            let input = String::from_utf8_lossy(&exec.input);
            let output = self.server.record.lock().await.run(&line, &input).await;
            session.data(channel, output.stdout.into_bytes())?;
            session.extended_data(channel, 1, output.stderr.into_bytes())?;
            session.exit_status_request(channel, output.status)?;
        }
        session.eof(channel)?;
        session.close(channel)
    }
}

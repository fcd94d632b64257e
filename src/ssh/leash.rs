//! A connection on a leash. The ssh library runs a session in a task of its own, which lives as long as
//! its connection does: so the connection itself ends, with every half-done step of the session, when
//! its holder lets go, when its time is over, and when more comes than anybody there has to say.

use super::SshError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

/// The most that may come before the login, in bytes: key exchange and banners.
pub(super) const MAX_BEFORE_LOGIN: u64 = 256 * 1024;

/// The most that may come in a session, in bytes: a dozen commands, each with all it may say.
pub(super) const MAX_IN_SESSION: u64 = 16 * 1024 * 1024;

/// The connection, as the library has it.
pub(super) struct Leash<S> {
    stream: S,
    let_go: Pin<Box<WaitForCancellationFutureOwned>>,
    end: Pin<Box<Sleep>>,
    /// How long the session may last.
    patience: Duration,
    signed_in: Arc<AtomicBool>,
    received: u64,
}

/// The hand that holds it. The connection ends when it is dropped.
pub(super) struct Grip {
    signed_in: Arc<AtomicBool>,
    _hold: DropGuard,
}

/// Puts a connection on a leash, for so long at most.
pub(super) fn leashed<S>(stream: S, patience: Duration) -> (Leash<S>, Grip) {
    let held = CancellationToken::new();
    let signed_in = Arc::new(AtomicBool::new(false));
    let leash = Leash {
        stream,
        let_go: Box::pin(held.clone().cancelled_owned()),
        end: Box::pin(sleep(patience)),
        patience,
        signed_in: Arc::clone(&signed_in),
        received: 0,
    };
    let grip = Grip {
        signed_in,
        _hold: held.drop_guard(),
    };
    (leash, grip)
}

impl Grip {
    /// The other side is who it should be, and has let us in: it may say more.
    pub(super) fn signed_in(&self) {
        self.signed_in.store(true, Ordering::Relaxed);
    }
}

impl<S> Leash<S> {
    /// Why the connection has ended, if it has; else the task is woken when it does.
    fn pulled(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.let_go.as_mut().poll(context).is_ready() {
            let why = "nobody holds the session any more";
            return Err(io::Error::other(SshError::Connect(why.to_owned())));
        }
        if self.end.as_mut().poll(context).is_ready() {
            return Err(io::Error::other(SshError::TimedOut {
                doing: "the session",
                after: self.patience,
            }));
        }
        Ok(())
    }

    fn count(&mut self, bytes: usize) -> io::Result<()> {
        self.received = self
            .received
            .saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let (when, limit) = if self.signed_in.load(Ordering::Relaxed) {
            ("in the session", MAX_IN_SESSION)
        } else {
            ("before the login", MAX_BEFORE_LOGIN)
        };
        if self.received > limit {
            return Err(io::Error::other(SshError::Flood { when, limit }));
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Leash<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let leash = self.get_mut();
        leash.pulled(context)?;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut leash.stream).poll_read(context, buffer))?;
        Poll::Ready(leash.count(buffer.filled().len().saturating_sub(before)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Leash<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let leash = self.get_mut();
        leash.pulled(context)?;
        Pin::new(&mut leash.stream).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let leash = self.get_mut();
        leash.pulled(context)?;
        Pin::new(&mut leash.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    const LONG: Duration = Duration::from_secs(60);

    fn why(error: &io::Error) -> SshError {
        let own = error.get_ref().and_then(|own| own.downcast_ref());
        own.cloned().unwrap()
    }

    #[tokio::test]
    async fn a_read_that_waits_ends_when_the_holder_lets_go_and_the_other_side_sees_it() {
        let (near, mut far) = duplex(64);
        let (mut leash, grip) = leashed(near, LONG);
        let reading = tokio::spawn(async move { leash.read_u8().await });
        tokio::task::yield_now().await;
        drop(grip);
        let ended = reading.await.unwrap().unwrap_err();
        assert_eq!(why(&ended).label(), "connect");
        assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_write_that_nobody_takes_ends_with_the_session() {
        let (near, _far) = duplex(1);
        let (mut leash, _grip) = leashed(near, Duration::from_millis(200));
        let ended = leash.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(
            why(&ended).to_string(),
            "the session took longer than 0.2 s"
        );
    }

    #[tokio::test]
    async fn who_has_not_let_us_in_may_say_little_and_who_has_may_say_more() {
        let most = usize::try_from(MAX_BEFORE_LOGIN).unwrap();
        let (near, mut far) = duplex(2 * most);
        let (mut leash, grip) = leashed(near, LONG);
        far.write_all(&vec![0; most + 2]).await.unwrap();
        leash.read_exact(&mut vec![0; most]).await.unwrap();
        let ended = leash.read_u8().await.unwrap_err();
        assert_eq!(why(&ended).label(), "flood");
        grip.signed_in();
        assert_eq!(leash.read_u8().await.unwrap(), 0);
    }
}

//! The task tree and its end: named tasks, two phases of shutdown, a bound on both.

use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long the tasks have to finish the step in hand.
const GRACE: Duration = Duration::from_secs(20);

/// Why the process ended otherwise than by a signal. systemd starts it again.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// A task that the rest depends on came to its end.
    #[error("{task} ended{}", .why.as_deref().map(|why| format!(": {why}")).unwrap_or_default())]
    Task {
        /// Its name.
        task: &'static str,
        /// What it ended with.
        why: Option<String>,
    },
    /// Signals can not be listened for.
    #[error("signals: {0}")]
    Signals(#[from] std::io::Error),
    /// A task had not finished its step in time.
    #[error("not finished within {} s of being told to stop", GRACE.as_secs())]
    Overdue,
}

type Finished = (&'static str, Result<(), String>);

/// Owns the tasks. Workers stop first; what shows them to the world stops last.
#[derive(Debug, Default)]
pub struct Supervisor {
    work: CancellationToken,
    show: CancellationToken,
    workers: JoinSet<Finished>,
    showing: JoinSet<Finished>,
}

impl Supervisor {
    /// Cancelled when the process begins to stop.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.work.clone()
    }

    /// Cancelled when every worker has finished.
    #[must_use]
    pub fn closing(&self) -> CancellationToken {
        self.show.clone()
    }

    /// Starts a task that the process can not do without.
    pub fn work<F, E>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.workers
            .spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Starts a task that outlives the workers, such as the server that shows the metrics.
    pub fn show<F, E>(&mut self, name: &'static str, task: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: std::fmt::Display,
    {
        self.showing
            .spawn(async move { (name, task.await.map_err(|error| error.to_string())) });
    }

    /// Runs until SIGTERM, SIGINT or the end of a task; then stops the workers, then the rest.
    ///
    /// # Errors
    /// Where a task ended by itself, or one did not end in time.
    pub async fn run(mut self) -> Result<(), Ended> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let ended = tokio::select! {
            _ = terminate.recv() => Ok("SIGTERM"),
            _ = interrupt.recv() => Ok("SIGINT"),
            Some(done) = self.workers.join_next() => Err(ended(done)),
            Some(done) = self.showing.join_next() => Err(ended(done)),
        };
        match &ended {
            Ok(signal) => tracing::info!(signal, "stopping: finishing the step in hand"),
            Err(why) => tracing::error!(%why, "stopping"),
        }
        let finished = tokio::time::timeout(GRACE, self.stop()).await;
        ended?;
        finished.map_err(|_| Ended::Overdue)
    }

    async fn stop(&mut self) {
        self.work.cancel();
        while self.workers.join_next().await.is_some() {}
        self.show.cancel();
        while self.showing.join_next().await.is_some() {}
    }
}

fn ended(done: Result<Finished, tokio::task::JoinError>) -> Ended {
    match done {
        Ok((task, result)) => Ended::Task {
            task,
            why: result.err(),
        },
        Err(panicked) => Ended::Task {
            task: "a task",
            why: Some(panicked.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_worker_ends_the_process_and_what_shows_it_stops_last() {
        let mut supervisor = Supervisor::default();
        let (stopping, closing) = (supervisor.stopping(), supervisor.closing());
        supervisor.work("reconciler", async { Err::<(), _>("journal: disk full") });
        let work = stopping.clone();
        supervisor.show("web", async move {
            closing.cancelled().await;
            assert!(work.is_cancelled());
            Ok::<(), String>(())
        });
        let ended = supervisor.run().await.unwrap_err();
        assert_eq!(ended.to_string(), "reconciler ended: journal: disk full");
        assert!(stopping.is_cancelled());
    }
}

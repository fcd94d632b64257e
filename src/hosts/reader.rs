//! Asks the workers, or Prometheus about them.

use super::prometheus::Prometheus;
use super::{HostError, exposition, http, proc};
use crate::config::{Config, ResourceUse};
use crate::model::{Fleet, HostCounters, HostName, OrderId, ServerStatus};
use crate::ssh::{Access, Command, HostKeys, Pinned, RemoteShell};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// How many workers are asked at once where none of them is slow.
const AT_ONCE: usize = 64;

/// A worker that can be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: HostName,
    /// Its address.
    pub ip: IpAddr,
    /// The order that bought it: its ssh host key is derived from it.
    pub order: Option<OrderId>,
}

impl Target {
    /// The servers of a fleet that run and have an address.
    #[must_use]
    pub fn all_of(fleet: &Fleet) -> Vec<Self> {
        let runs = fleet.servers.values();
        let runs = runs.filter(|server| server.status == ServerStatus::Active);
        let target = runs.filter_map(|server| {
            Some(Self {
                name: server.name.clone(),
                ip: server.ip?,
                order: server.tags.order.clone(),
            })
        });
        target.collect()
    }
}

/// A worker's counters, and when they stood so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// When the worker was asked, or Prometheus scraped it (by its clock).
    pub at: Timestamp,
    /// What it said.
    pub counters: HostCounters,
}

/// One worker, and what became of reading it.
pub(super) type Asked = (HostName, Result<Reading, HostError>);

/// What became of reading each worker.
pub type Readings = BTreeMap<HostName, Result<Reading, HostError>>;

/// Reads the resource use of workers in the configured way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    way: Arc<Way>,
    timeout: Duration,
    interval: Duration,
}

enum Way {
    NodeExporter { http: reqwest::Client, port: u16 },
    Ssh(Box<Ssh>),
    Prometheus(Prometheus),
}

struct Ssh {
    access: Access,
    keys: HostKeys,
    port: u16,
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NodeExporter { .. } => "NodeExporter",
            Self::Ssh(_) => "Ssh",
            Self::Prometheus(_) => "Prometheus",
        })
    }
}

impl Reader {
    /// As configured; `None` where resource use is not to be read.
    ///
    /// # Errors
    /// Where the HTTP client cannot be made, or the private key cannot be used.
    pub fn new(config: &Config) -> Result<Option<Self>, HostError> {
        let hosts = &config.hosts;
        let way = match hosts.resource_use {
            ResourceUse::None => return Ok(None),
            ResourceUse::NodeExporter => Way::NodeExporter {
                http: http::client(hosts.timeout, true)?,
                port: hosts.node_exporter_port,
            },
            ResourceUse::Ssh => Way::Ssh(Box::new(Ssh {
                access: Access::new(&config.ssh)?,
                keys: HostKeys::new(&config.ssh.host_key_secret),
                port: config.ssh.port,
            })),
            ResourceUse::Prometheus => Way::Prometheus(Prometheus {
                http: http::client(hosts.timeout, hosts.prometheus.starts_with("http:"))?,
                url: hosts.prometheus.clone(),
                label: hosts.prometheus_label.clone(),
                timeout: hosts.timeout,
            }),
        };
        Ok(Some(Self {
            way: Arc::new(way),
            timeout: hosts.timeout,
            interval: config.poll.hosts,
        }))
    }

    /// Reads these workers; there is an answer for each of them. `at` is now. Ends by itself within
    /// about one poll interval, if none of them answers.
    ///
    /// # Errors
    /// Where Prometheus was not read whole. A worker that was not has an error of its own.
    pub async fn read(&self, targets: Vec<Target>, at: Timestamp) -> Result<Readings, HostError> {
        if let Way::Prometheus(prometheus) = &*self.way {
            return prometheus.read(&targets, at).await;
        }
        let places = at_once(targets.len(), self.timeout, self.interval);
        let (mut asked, mut read) = (JoinSet::new(), Readings::new());
        for target in targets {
            if asked.len() >= places {
                take(&mut read, asked.join_next().await);
            }
            let reader = self.clone();
            asked.spawn(async move {
                let counters = reader.ask(&target).await;
                let reading = counters.map(|counters| Reading { at, counters });
                (target.name, reading)
            });
        }
        while !asked.is_empty() {
            take(&mut read, asked.join_next().await);
        }
        Ok(read)
    }

    async fn ask(&self, target: &Target) -> Result<HostCounters, HostError> {
        let asked = tokio::time::timeout(self.timeout, self.ask_without_end(target));
        asked
            .await
            .unwrap_or(Err(HostError::TimedOut(self.timeout)))
    }

    async fn ask_without_end(&self, target: &Target) -> Result<HostCounters, HostError> {
        match &*self.way {
            Way::NodeExporter { http, port } => {
                let addr = SocketAddr::new(target.ip, *port);
                let page = http.get(format!("http://{addr}/metrics"));
                exposition::parse(&http::fetch(page, http::OF_WORKER, self.timeout).await?)
            }
            Way::Ssh(ssh) => ssh.ask(target).await,
            Way::Prometheus(_) => Err(HostError::NoSeries),
        }
    }
}

impl Ssh {
    async fn ask(&self, target: &Target) -> Result<HostCounters, HostError> {
        let order = target.order.as_ref().ok_or(HostError::NoPin)?;
        let host = Pinned::new(
            SocketAddr::new(target.ip, self.port),
            self.keys.derive(order)?.pin().clone(),
        );
        let shell = RemoteShell::connect(&self.access, &host).await?;
        proc::parse(&shell.run(Command::ResourceUse).await?.stdout)
    }
}

/// A task that panicked leaves its worker unread; the panic itself has been printed.
fn take(read: &mut Readings, ended: Option<Result<Asked, JoinError>>) {
    if let Some(Ok((name, reading))) = ended {
        read.insert(name, reading);
    }
}

/// So many that a poll in which nobody answers ends before the next one is due.
fn at_once(count: usize, timeout: Duration, interval: Duration) -> usize {
    let rounds = interval.as_millis() / timeout.as_millis().max(1);
    let rounds = usize::try_from(rounds).unwrap_or(usize::MAX).max(1);
    count.div_ceil(rounds).max(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{NODE, config, fleet};
    use super::*;
    use crate::obs::testing::{Answer, serve};
    use std::time::Instant;

    #[tokio::test]
    async fn a_worker_that_hangs_delays_no_other_and_the_poll_ends() {
        let node = serve(|_| async { Answer::ok(NODE) }).await;
        // accepts, and never says a word
        let hangs = std::net::TcpListener::bind(("127.0.0.3", node.port())).unwrap();
        let config = config("node_exporter", node.port(), "700ms");
        let reader = Reader::new(&config).unwrap().unwrap();
        let mut ips = vec!["127.0.0.3"; 40];
        ips.extend(["127.0.0.1", "127.0.0.2"]);
        let targets = Target::all_of(&fleet(&ips));
        let begun = Instant::now();
        let read = reader.read(targets, Timestamp::UNIX_EPOCH).await.unwrap();
        // one after the other would take 28 s
        assert!(begun.elapsed() < Duration::from_secs(10));
        drop(hangs);
        let of = |name: &str| read[&HostName::new(name)].clone();
        assert_eq!(read.len(), 42);
        assert_eq!(of("w-1").unwrap_err().label(), "timeout");
        assert_eq!(of("w-42").unwrap_err().label(), "unreachable");
        assert!(of("w-41").unwrap().counters.cpu.is_some());
    }

    #[tokio::test]
    async fn a_worker_that_floods_is_not_listened_to() {
        let page = format!("{NODE}# {}\n", "x".repeat(http::OF_WORKER));
        let node = serve(move |_| {
            let page = page.clone();
            async move { Answer::ok(page) }
        });
        let config = config("node_exporter", node.await.port(), "5s");
        let reader = Reader::new(&config).unwrap().unwrap();
        let targets = Target::all_of(&fleet(&["127.0.0.1"]));
        let read = reader.read(targets, Timestamp::UNIX_EPOCH).await.unwrap();
        let said = read[&HostName::new("w-1")].clone().unwrap_err();
        assert_eq!(said, HostError::TooLarge(http::OF_WORKER));
    }

    #[test]
    fn a_poll_in_which_nobody_answers_ends_before_the_next_one() {
        let seconds = Duration::from_secs;
        assert_eq!(at_once(60, seconds(5), seconds(30)), 64);
        assert_eq!(at_once(1000, seconds(5), seconds(30)), 167);
        assert_eq!(at_once(1000, seconds(40), seconds(30)), 1000);
    }
}

//! One error, given to the program at one place, and what came of it.

use super::farm::{Farm, Setup};
use super::rows::{Row, Way};
use super::scaler::{Bell, Said, Scaler};
use jiff::Timestamp;
use obs_scaler::model::{Action, Stage, elapsed};
use obs_sim::ecs::{Faults, ServerEntry};
use std::time::{Duration, Instant};

const POOL: &str = "x86-l1";

/// How many times as fast as the true time everything goes by.
const TIMES: i32 = 30;

/// No row is about them, and a machine that is busy must not reach them.
const DEADLINES: &str = "  create_deadline: 30m\n  check_deadline: 30m\n  max_age: 10m\n";

/// What is given up for lost: half an hour of the farm.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long what is not to come is waited for.
const BRIEFLY: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the program said.
    pub(super) said: String,
    /// From the first call that was spoilt to the one that was not, in seconds of the farm; `None` where that
    /// never came.
    pub(super) after: Option<u64>,
    /// Servers that came to be.
    pub(super) bought: usize,
    /// What was billed for servers other than the worker, in server seconds.
    pub(super) wasted: i64,
    /// The zone of the worker.
    pub(super) zone: Option<String>,
    /// Disks that bill on although nobody has them, and ports.
    pub(super) leaked: usize,
    /// What was billed for disks without a server, in seconds of one.
    pub(super) disks: i64,
}

struct Trial {
    farm: Farm,
    scaler: Scaler,
    bell: Bell,
    said: Said,
    patience: Duration,
}

pub(super) async fn trial(row: &Row, number: u8) -> Seen {
    let farm = Farm::start(Setup {
        seed: number.into(),
        ceiling: 128,
        times: TIMES,
        patience: "5s",
        deadlines: DEADLINES,
        network: [127, 4, number],
    })
    .await;
    let said = Said::default();
    let mut trial = Trial {
        scaler: Scaler::start(&farm, &said),
        farm,
        bell: Bell::default(),
        said,
        patience: row.after.map_or(BRIEFLY, |_| PATIENCE),
    };
    let after = match row.way {
        Way::In => trial.way_in(row).await,
        Way::Out => trial.way_out(row).await,
    };
    trial.end(after).await
}

impl Trial {
    /// A worker is needed, and the cloud goes wrong from the start.
    async fn way_in(&mut self, row: &Row) -> Option<u64> {
        self.spoil(row);
        // what the cloud announces is read meanwhile
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.farm.queue("x86_64", "job", 2, 10_000).await;
        self.bell.ring(&self.farm, Action::Apply, POOL);
        let asked = self.farm.now();
        let served = self.wait(Self::serves).await;
        if !served {
            return None;
        }
        let ledger = self.farm.cloud.ledger();
        let worker = worker(&ledger.servers)?;
        let mut calls = ledger.create_calls.iter();
        let call = calls.find(|call| call.server_ids.contains(&worker.id))?;
        Some(seconds(asked, call.at))
    }

    /// A worker is idle, and the cloud goes wrong when it is given back.
    async fn way_out(&mut self, row: &Row) -> Option<u64> {
        self.farm.queue("x86_64", "job", 2, 30).await;
        self.bell.ring(&self.farm, Action::Apply, POOL);
        if !self.wait(Self::serves).await {
            return None;
        }
        self.spoil(row);
        self.bell.hush(Action::Apply, POOL);
        self.bell.ring(&self.farm, Action::Release, POOL);
        let tried = self.wait(|trial| row.says.iter().any(|w| trial.said.text().contains(w)));
        if !tried.await {
            return None;
        }
        let tried = self.farm.now();
        if !self.wait(Self::is_empty).await {
            return None;
        }
        let ledger = self.farm.cloud.ledger();
        let gone = ledger.servers.iter().filter_map(|s| s.deleted_at).max()?;
        Some(seconds(tried, gone))
    }

    fn spoil(&self, row: &Row) {
        let faults: Faults = serde_json::from_str(row.fault).unwrap();
        self.farm.cloud.set_faults(faults);
    }

    fn serves(&self) -> bool {
        let in_hand = self.scaler.in_hand.borrow();
        let mut members = in_hand.ledger.members.values();
        members.any(|member| member.stage == Stage::Serving)
    }

    fn is_empty(&self) -> bool {
        let in_hand = self.scaler.in_hand.borrow();
        in_hand.ledger.members.is_empty() && self.farm.cloud.ledger().totals.alive_now == 0
    }

    /// Whether it comes to that in time.
    async fn wait(&self, reached: impl Fn(&Self) -> bool) -> bool {
        let end = Instant::now() + self.patience;
        while !reached(self) {
            if Instant::now() > end {
                return false;
            }
            self.scaler.notify(&self.farm, &self.bell);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        true
    }

    async fn end(self, after: Option<u64>) -> Seen {
        // what was in vain is swept before the end
        let in_vain = |trial: &Self| {
            let servers = trial.farm.cloud.ledger().servers;
            let swept = servers.iter().filter(|s| s.deleted_at.is_none()).count() <= 1;
            swept && trial.scaler.in_hand.borrow().ledger.trails.is_empty()
        };
        self.wait(in_vain).await;
        self.scaler.kill().await;
        let ledger = self.farm.cloud.ledger();
        let worker = worker(&ledger.servers);
        let others = ledger.servers.iter();
        let others = others.filter(|s| worker.is_none_or(|worker| worker.id != s.id));
        let seen = Seen {
            said: self.said.text(),
            after,
            bought: ledger.servers.len(),
            wasted: others.map(|server| server.billed_seconds).sum(),
            zone: worker.map(|worker| worker.zone.clone()),
            leaked: ledger.totals.orphan_volumes + ledger.left_ports.len(),
            disks: ledger.leaked_volumes.iter().map(|v| v.billed_seconds).sum(),
        };
        self.farm.stop().await;
        seen
    }
}

/// The one that came into service: the last that was bought.
fn worker(servers: &[ServerEntry]) -> Option<&ServerEntry> {
    servers.iter().rfind(|server| server.launched_at.is_some())
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    elapsed(from, to).as_secs()
}

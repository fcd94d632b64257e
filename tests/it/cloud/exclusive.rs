//! Exclusive mode while two backends build: workers go to one of them few at a time, the program is killed on the
//! way, and they come back.

use super::farm::{Farm, Setup};
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::model::{
    Action, BackendName, Exclusive, Ledger, Member, PoolName, ServerId, Stage, elapsed,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POOL: &str = "arm-l1";
const AT_ONCE: u32 = 2;

/// A farm, the program on it, and what was seen of its workers.
struct Trial {
    farm: Farm,
    scaler: Scaler,
    bell: Bell,
    /// Every worker that was seen on its way.
    sent: BTreeSet<ServerId>,
    /// The most that were seen on their way at once.
    most: usize,
}

impl Trial {
    async fn begin() -> Self {
        let setup = Setup {
            seed: 12,
            ceiling: 256,
            times: 60,
            patience: "1s",
            deadlines: "",
            network: [127, 0, 217],
        };
        let farm = Farm::of_two_backends(setup).await;
        let scaler = Scaler::start(&farm, &Said::default());
        let mut bell = Bell::default();
        bell.ring(&farm, Action::Apply, POOL);
        Self {
            farm,
            scaler,
            bell,
            sent: BTreeSet::new(),
            most: 0,
        }
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.scaler.in_hand.borrow().ledger)
    }

    /// Rings until this is so of what is in hand and of what both backends say.
    async fn until(&mut self, what: &str, so: impl AsyncFn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(90);
        loop {
            self.look();
            if so(self).await {
                return;
            }
            let said = || self.scaler.said.text();
            assert!(Instant::now() < end, "never: {what}\n{}", said());
            assert!(!self.scaler.has_ended(), "it ended before: {what}");
            self.scaler.notify(&self.farm, &self.bell);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Notes who is on its way.
    fn look(&mut self) {
        let ledger = self.ledger();
        let members = ledger.members.values();
        let on_the_way = members.filter(|m| m.stage == Stage::Refitting);
        let on_the_way: Vec<ServerId> = on_the_way.map(|m| m.server.clone()).collect();
        assert!(on_the_way.len() <= AT_ONCE as usize, "{on_the_way:?}");
        self.most = self.most.max(on_the_way.len());
        self.sent.extend(on_the_way);
    }

    /// Kills the program where it stands, and starts it again.
    async fn kill(self) -> Self {
        let said = self.scaler.said.clone();
        self.scaler.kill().await;
        let scaler = Scaler::start(&self.farm, &said);
        Self { scaler, ..self }
    }

    /// Whether every worker serves, bound to this backend, and nothing is due any more.
    fn are_bound(&self, to: Option<&str>) -> bool {
        let to = to.map(BackendName::new);
        let is_bound = |m: &Member| m.stage == Stage::Serving && m.due.is_none() && m.bound == to;
        let ledger = self.ledger();
        !ledger.members.is_empty() && ledger.members.values().all(is_bound)
    }

    async fn queue(&self, prefix: &str, count: usize, seconds: u64) {
        self.farm
            .queue("aarch64", prefix, count as u64, seconds)
            .await;
    }

    async fn queue_second(&self, prefix: &str, count: usize, seconds: u64) {
        let jobs = json!({"arch": "aarch64", "count": count, "seconds": seconds, "prefix": prefix});
        self.farm.second(Method::POST, "jobs", jobs).await;
    }

    async fn states(&self) -> [Value; 2] {
        let second = self.farm.second(Method::GET, "state", json!({})).await;
        [self.farm.obs_state().await, second]
    }

    /// How many packages are so at each backend.
    async fn packages(&self, code: &str) -> [u64; 2] {
        let states = self.states().await;
        states.map(|state| state["packages"][code].as_u64().unwrap_or(0))
    }

    fn servers(&self) -> BTreeSet<ServerId> {
        self.ledger().members.keys().cloned().collect()
    }

    /// Whether each backend has this many workers at its hand.
    async fn serve(&self, workers: [usize; 2]) -> bool {
        let states = self.states().await;
        let instances = states.map(|state| {
            let of = |word: &str| state["instances"][word].as_u64().unwrap_or(0);
            of("idle") + of("building") + of("away")
        });
        instances == workers.map(|workers| 2 * workers as u64)
    }

    async fn is_each_job_built_once(&self, jobs: [usize; 2]) {
        let states = self.states().await;
        for (state, jobs) in states.iter().zip(jobs) {
            assert_eq!(state["packages"]["succeeded"], json!(jobs), "{state}");
            assert_eq!(state["ghosts"], 0, "{state}");
            assert_eq!(state["haunted"], json!({}), "{state}");
        }
        let ended = self.farm.ended("aarch64").await;
        assert_eq!(ended, jobs.map(|jobs| vec!["succeeded".to_owned(); jobs]));
    }
}

fn exclusive(farm: &Farm) -> Exclusive {
    Exclusive {
        backend: BackendName::new("main"),
        pools: BTreeSet::from([PoolName::try_from(POOL).unwrap()]),
        at_once: AT_ONCE,
        since: farm.now(),
        ending: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_go_to_one_backend_few_at_a_time_through_a_kill_and_come_back_and_each_job_is_built_once()
 {
    let mut trial = Trial::begin().await;
    trial.queue("main", 4, 400).await;
    trial.queue_second("lts", 4, 400).await;
    trial
        .until("both backends build on them", async |trial| {
            trial.are_bound(None) && trial.packages("building").await == [4, 4]
        })
        .await;

    let first = trial.servers();
    assert_eq!(first.len(), 4);

    // what is answered is kept, whatever comes next
    let mode = exclusive(&trial.farm);
    trial.scaler.exclusive(Some(mode.clone())).await;
    assert_eq!(trial.ledger().exclusive, Some(mode.clone()));
    trial = trial.kill().await;
    assert_eq!(trial.ledger().exclusive, Some(mode));

    trial.queue("more", 6, 100).await;
    trial
        .until("some are bound and some are not", async |trial| {
            let ledger = trial.ledger();
            let mut members = ledger.members.values();
            let is_done = |m: &Member| m.stage == Stage::Serving && m.due.is_none();
            members.any(is_done) && members.any(|m| m.stage == Stage::Refitting)
        })
        .await;
    trial = trial.kill().await;
    trial
        .until("all serve main alone", async |trial| {
            trial.are_bound(Some("main")) && trial.serve([trial.servers().len(), 0]).await
        })
        .await;
    assert_eq!(trial.sent, first, "new servers are told from the start");
    assert_eq!(trial.most, AT_ONCE as usize);
    let all = trial.servers();
    trial.queue_second("late", 3, 100).await;
    let since = trial.farm.now();
    trial
        .until("main has what it asked for", async |trial| {
            let passed = elapsed(since, trial.farm.now()) > Duration::from_mins(3);
            passed && trial.packages("succeeded").await[0] == 10
        })
        .await;
    let [_, waiting] = trial.packages("scheduled").await;
    assert_eq!(waiting, 3, "the jobs of the other backend wait");
    assert_eq!(trial.servers(), all, "and nothing is bought for them");

    trial.scaler.exclusive(None).await;
    trial
        .until("each has its own list again", async |trial| {
            let over = trial.ledger().exclusive.is_none();
            over && trial.are_bound(None) && trial.serve([trial.servers().len(); 2]).await
        })
        .await;
    trial
        .until("everything is built", async |trial| {
            trial.packages("succeeded").await == [10, 7]
        })
        .await;
    trial.is_each_job_built_once([10, 7]).await;
    assert_eq!(trial.sent, all, "each went on its way and came back");
    trial.scaler.terminate().await;
    trial.farm.stop().await;
}

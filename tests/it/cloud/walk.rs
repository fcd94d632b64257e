//! A random walk: alarms, jobs, faults, crashes and other people, one after the other, while everything
//! runs. What must be true is looked at after each step; at the end nothing of ours is left, and the
//! cloud's books and the journal agree.
//!
//! `WALK_SEED` and `WALK_OPS` choose another walk. The steps are the seed's; what meets what, and when,
//! is left to the machine, so that a seed does not bring back a failure for certain.

mod end;

use super::farm::{FLAVORS, Farm, OWNER, POOLS, Setup};
use super::judge::Judge;
use super::mischief;
use super::random::Random;
use super::scaler::{Bell, Said, Scaler};
use jiff::SignedDuration;
use obs_scaler::model::Action;
use obs_sim::ecs::{Foreign, ServerEntry};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// Between two steps.
const PACE: Duration = Duration::from_millis(30);
/// More servers of others than this are not bought: there are 250 addresses.
const MOST_FOREIGN: usize = 30;

/// What somebody may do to one of our servers. What can be undone is undone more often.
const HANDS: [&str; 15] = [
    "delete", "reclaim", "stop", "start", "start", "reboot", "lock", "unlock", "unlock", "freeze",
    "thaw", "thaw", "pin", "let go", "let go",
];

struct Walk {
    seed: u64,
    farm: Farm,
    scaler: Option<Scaler>,
    bell: Bell,
    random: Random,
    faults: Map<String, Value>,
    judge: Judge,
    said: Said,
    steps: Vec<String>,
    counts: Counts,
    /// In service when nothing goes wrong any more: how they end has to be known to the second.
    last: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Counts {
    starts: u32,
    faults: u32,
    jobs: u64,
    /// By how many seconds the cloud's clock is ahead.
    ahead: i64,
}

impl Walk {
    async fn start(seed: u64) -> Self {
        let setup = Setup {
            seed,
            ceiling: 384,
            times: 60,
            patience: "1s",
            deadlines: "",
            network: [127, 0, 210],
        };
        Self {
            seed,
            farm: Farm::start(setup).await,
            scaler: None,
            bell: Bell::default(),
            random: Random::new(seed),
            faults: mischief::none(),
            judge: Judge::default(),
            said: Said::default(),
            steps: Vec::new(),
            counts: Counts::default(),
            last: BTreeSet::new(),
        }
    }

    /// One step.
    async fn step(&mut self) {
        let words = match self.random.below(100) {
            0..13 => self.alarm(),
            13..25 => self.jobs().await,
            25..36 => self.break_something(),
            36..54 => self.mend_something(),
            54..57 => self.break_obs().await,
            57..66 => self.mend_obs().await,
            66..78 => self.somebody().await,
            78..81 => self.foreign(),
            81..85 => self.restart().await,
            85..88 => self.accept().await,
            88..89 => self.jump(),
            _ => "nothing".to_owned(),
        };
        self.steps.push(words);
        tokio::time::sleep(PACE).await;
    }

    fn alarm(&mut self) -> String {
        let action = *self.random.one(&[Action::Apply, Action::Release]).unwrap();
        let pool = *self.random.one(&POOLS).unwrap();
        if self.random.percent(75) {
            self.bell.ring(&self.farm, action, pool);
            format!("{action} rings for {pool}")
        } else {
            self.bell.hush(action, pool);
            format!("{action} stops for {pool}")
        }
    }

    async fn jobs(&mut self) -> String {
        let kind = [
            ("x86_64", "job"),
            ("aarch64", "job"),
            ("aarch64", "job"),
            ("x86_64", "big"),
        ];
        let (arch, prefix) = *self.random.one(&kind).unwrap();
        let (count, seconds) = (1 + self.random.below(6), 30 + self.random.below(200));
        let prefix = format!("{prefix}-{}", self.steps.len());
        self.farm.queue(arch, &prefix, count, seconds).await;
        self.counts.jobs += count;
        format!("{count} jobs {prefix} for {arch}, {seconds} s each")
    }

    fn break_something(&mut self) -> String {
        let mut names: Vec<String> = self.faults.keys().cloned().collect();
        // of one fault in thirty-five nothing would be left behind in most walks
        names.extend([(); 5].map(|()| "fail_subs".to_owned()));
        let name = self.random.one(&names).unwrap();
        let value = mischief::value(name, &mut self.random);
        let words = format!("cloud: {name} = {value}");
        self.faults.insert(name.clone(), value);
        self.farm.cloud.set_faults(mischief::set_of(&self.faults));
        self.counts.faults += 1;
        words
    }

    fn mend_something(&mut self) -> String {
        let none = mischief::none();
        let broken = self.faults.iter().filter(|(k, v)| none.get(*k) != Some(v));
        let broken: Vec<String> = broken.map(|(name, _)| name.clone()).collect();
        let mended = if self.random.percent(40) {
            broken
        } else {
            self.random.one(&broken).cloned().into_iter().collect()
        };
        for name in &mended {
            self.faults.insert(name.clone(), none[name].clone());
        }
        self.farm.cloud.set_faults(mischief::set_of(&self.faults));
        format!("cloud: mended {mended:?}")
    }

    async fn break_obs(&mut self) -> String {
        let faults = mischief::of_backend(&mut self.random);
        let words = format!("OBS: {faults}");
        self.counts.faults += 1;
        self.farm.obs(reqwest::Method::PUT, "faults", faults).await;
        words
    }

    async fn mend_obs(&mut self) -> String {
        self.farm
            .obs(reqwest::Method::PUT, "faults", json!({}))
            .await;
        "OBS: mended".to_owned()
    }

    /// One of our servers that the program knows of.
    fn server(&mut self) -> Option<ServerEntry> {
        let all = self.farm.cloud.ledger().servers.into_iter();
        let known = &self.judge.known;
        let ours: Vec<_> = all
            .filter(|s| !s.foreign && s.deleted_at.is_none() && known.contains(&s.id))
            .collect();
        self.random.one(&ours).cloned()
    }

    async fn somebody(&mut self) -> String {
        let deed = *self.random.one(&HANDS).unwrap();
        let Some(ServerEntry { id, name, .. }) = self.server() else {
            return "nobody finds a server".to_owned();
        };
        match deed {
            "delete" => {
                self.judge.taken(&id);
                self.farm.delete(&id).await;
            }
            "pin" => {
                if self.farm.pin(&id, true).await {
                    self.judge.pinned(&id, true);
                }
            }
            "let go" => {
                self.judge.pinned(&id, false);
                self.farm.pin(&id, false).await;
            }
            "reclaim" => {
                self.judge.taken(&id);
                self.farm.lay_hand(deed, &id).await;
            }
            other => {
                self.farm.lay_hand(other, &id).await;
            }
        }
        format!("somebody: {deed} {name}")
    }

    /// A server of somebody else that looks as if it were ours, in one way or another.
    fn foreign(&mut self) -> String {
        if self.judge.foreign() >= MOST_FOREIGN {
            return "enough foreign servers".to_owned();
        }
        let pool = *self.random.one(&POOLS).unwrap();
        let likeness: [&[String]; 6] = [
            &[],
            &[format!("obs-scaler-pool={pool}")],
            &[
                format!("obs-scaler-owner={OWNER}-2"),
                format!("obs-scaler-pool={pool}"),
            ],
            &["obs-scaler-owner".to_owned()],
            &[format!("my-obs-scaler-owner={OWNER}")],
            &[format!("owner=obs-scaler-owner={OWNER}")],
        ];
        let tags = self.random.one(&likeness).unwrap().to_vec();
        let number = self.random.below(0xffff_ffff);
        let foreign = Foreign {
            name: format!("obs-{pool}-{number:08x}-0001"),
            flavor: (*self.random.one(&FLAVORS).unwrap()).to_owned(),
            tags,
        };
        let words = format!("somebody buys {foreign:?}");
        let id = self.farm.cloud.add_foreign(foreign.clone());
        // a fault that is in force may be everybody's
        let there = self.farm.cloud.ledger().servers;
        if let Some(id) = id.filter(|id| there.iter().any(|server| server.id == *id)) {
            self.judge.bought_by_others(id, foreign);
        }
        words
    }

    async fn restart(&mut self) -> String {
        let Some(scaler) = self.scaler.take() else {
            return "not running".to_owned();
        };
        let how = if self.random.percent(75) {
            scaler.kill().await;
            "killed"
        } else {
            scaler.terminate().await;
            "told to end"
        };
        format!("obs-scaler is {how}")
    }

    async fn accept(&mut self) -> String {
        let pool = *self.random.one(&POOLS).unwrap();
        if let Some(scaler) = &self.scaler {
            scaler.accept(pool).await;
        }
        format!("a person accepts {pool}")
    }

    /// The cloud's clock runs ahead of ours.
    fn jump(&mut self) -> String {
        let seconds = 1 + self.random.below(60) as i64;
        self.counts.ahead += seconds;
        self.farm.cloud.advance(SignedDuration::from_secs(seconds));
        format!("the cloud's clock jumps by {seconds} s")
    }

    /// Keeps the program running and told, and looks at everything.
    async fn look(&mut self) {
        if self.scaler.is_none() {
            self.scaler = Some(Scaler::start(&self.farm, &self.said));
            self.counts.starts += 1;
        }
        let scaler = self.scaler.as_ref().unwrap();
        scaler.notify(&self.farm, &self.bell);
        let ended = scaler.has_ended();
        let in_hand = scaler.in_hand.borrow().clone();
        let known = in_hand.ledger.members.keys();
        self.judge.known.extend(known.map(ToString::to_string));
        let seen = self.judge.look(&self.farm).await;
        self.hold(!ended, "obs-scaler ended by itself");
        self.hold(seen.is_ok(), &format!("{seen:?}"));
        let odd = self.said.text().contains("the audit refused");
        self.hold(!odd, "the plan would have broken a law");
    }

    fn hold(&self, well: bool, what: &str) {
        assert!(well, "{}", self.story(what));
    }

    /// What happened, the last of it.
    fn story(&self, what: &str) -> String {
        let mut story = format!(
            "{what}\nWALK_SEED={} at step {}; {:?}\nfaults: {}\n",
            self.seed,
            self.steps.len(),
            self.counts,
            Value::Object(self.faults.clone()),
        );
        let first = self.steps.len().saturating_sub(60);
        for (number, step) in self.steps.iter().enumerate().skip(first) {
            let _infallible = writeln!(story, "{number:5} {step}");
        }
        let said = self.said.text();
        let lines: Vec<&str> = said.lines().collect();
        let last = lines.len().saturating_sub(150);
        story + &lines[last..].join("\n")
    }
}

#[allow(
    clippy::print_stderr,
    reason = "a walk that is to be had again has to say its seed"
)]
fn tell(words: &str) {
    eprintln!("{words}");
}

fn chosen(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_goes_wrong_nothing_of_ours_is_left_and_nothing_foreign_is_touched() {
    let (seed, steps) = (chosen("WALK_SEED", 1), chosen("WALK_OPS", 300));
    let begun = Instant::now();
    tell(&format!("WALK_SEED={seed} WALK_OPS={steps}"));
    let mut walk = Walk::start(seed).await;
    walk.look().await;
    for _ in 0..steps {
        walk.step().await;
        walk.look().await;
    }
    let walked = begun.elapsed();
    walk.end().await;
    let summary = walk.settle().await;
    let over = begun.elapsed();
    tell(&format!(
        "WALK_SEED={seed}: walked {walked:?}, over after {over:?}; {summary}"
    ));
}

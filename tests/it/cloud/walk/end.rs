//! The end of a walk: what is left, and what everything came to.

use super::super::books::{Sums, is_told};
use super::super::farm::POOLS;
use super::super::scaler::{Scaler, journal};
use super::{PACE, Walk};
use obs_scaler::model::{Action, PoolName, Stage, TAG_PROTECTED};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Within so long everything of ours has to be gone once nothing goes wrong any more: an hour and a half
/// of the farm.
const END: Duration = Duration::from_secs(90);

impl Walk {
    /// Nothing goes wrong any more, and everything is asked for: the queue is built, the workers go.
    pub(super) async fn end(&mut self) {
        self.farm.cloud.set_faults(Default::default());
        self.mend_obs().await;
        for server in self.farm.cloud.ledger().servers {
            let pinned = |tag: &String| tag.starts_with(TAG_PROTECTED);
            if !server.foreign && server.tags.iter().any(pinned) {
                self.judge.pinned(&server.id, false);
                self.farm.pin(&server.id, false).await;
            }
            if server.deleted_at.is_none() {
                for hand in ["start", "unlock", "thaw"] {
                    self.farm.lay_hand(hand, &server.id).await;
                }
            }
        }
        // what was refused for long is left alone for up to an hour: after a restart it is asked anew
        if let Some(scaler) = self.scaler.take() {
            self.last = self.serving(&scaler);
            scaler.terminate().await;
        }
        self.look().await;
        for pool in POOLS {
            self.bell.ring(&self.farm, Action::Apply, pool);
            self.bell.ring(&self.farm, Action::Release, pool);
        }
        let end = Instant::now() + END;
        while !self.is_over().await {
            self.accept_what_is_halted().await;
            let left = self.left().await;
            self.hold(Instant::now() < end, &left);
            tokio::time::sleep(PACE).await;
        }
    }

    fn serving(&self, scaler: &Scaler) -> BTreeSet<String> {
        let ledger = scaler.in_hand.borrow().ledger.clone();
        let members = ledger.members.values();
        let serving = members.filter(|member| member.stage == Stage::Serving);
        let ids = serving.map(|member| member.server.to_string());
        ids.filter(|id| !self.judge.is_taken(id)).collect()
    }

    /// What is missing is missing for good.
    async fn accept_what_is_halted(&self) {
        let scaler = self.scaler.as_ref().unwrap();
        let in_hand = scaler.in_hand.borrow().clone();
        for pool in POOLS {
            let pool_name = PoolName::try_from(pool).unwrap();
            let known = in_hand.ledger.supply.get(&pool_name);
            if known.is_some_and(|known| known.halted_below.is_some()) {
                scaler.accept(pool).await;
            }
        }
    }

    async fn is_over(&mut self) -> bool {
        self.look().await;
        let obs = self.farm.obs_state().await;
        let packages = |code: &str| obs["packages"][code].as_u64().unwrap_or(0);
        let built = packages("scheduled") == 0
            && packages("building") <= obs["ghosts"].as_u64().unwrap_or(0);
        let in_hand = self.scaler.as_ref().unwrap().in_hand.borrow().clone();
        let ledger = &in_hand.ledger;
        let nothing =
            ledger.members.is_empty() && ledger.orders.is_empty() && ledger.trails.is_empty();
        let bills = in_hand.bills.values();
        let ended = bills.filter(|bill| bill.end.is_some()).count() == in_hand.bills.len();
        built && nothing && ended && self.farm.cloud.ledger().totals.alive_now == 0
    }

    async fn left(&self) -> String {
        let in_hand = self.scaler.as_ref().unwrap().in_hand.borrow().clone();
        let ledger = &in_hand.ledger;
        format!(
            "not over in time: OBS {}, in hand {:#?} {:#?}, the cloud {:?}",
            self.farm.obs_state().await,
            ledger.orders,
            ledger.members,
            self.farm.cloud.ledger().totals,
        )
    }

    /// The books of the cloud and the journal, once nothing runs any more.
    pub(super) async fn settle(mut self) -> String {
        let scaler = self.scaler.take().unwrap();
        let bills = scaler.in_hand.borrow().bills.clone();
        scaler.terminate().await;
        let ledger = self.farm.cloud.ledger();
        let mut sums = Sums::default();
        for server in ledger.servers.iter().filter(|server| !server.foreign) {
            let bill = bills
                .values()
                .find(|bill| bill.server.as_str() == server.id);
            self.hold(bill.is_some(), &format!("without a bill: {server:?}"));
            let told = is_told(bill.unwrap()) || !self.last.contains(&server.id);
            self.hold(
                told,
                &format!("its end is not known to the second: {bill:?}"),
            );
            let added = sums.add(bill.unwrap(), server, self.counts.ahead);
            self.hold(added.is_ok(), &format!("{added:?}"));
        }
        self.hold(sums.agree(), &sums.to_string());
        let ended = self.judge.end(&ledger);
        self.hold(ended.is_ok(), &format!("{ended:?}"));
        let left = journal(&self.farm.state_dir()).load().unwrap();
        let empty = left.orders.is_empty() && left.members.is_empty() && left.trails.is_empty();
        self.hold(empty, &format!("left in the journal: {left:#?}"));
        let summary = format!(
            "{} steps, {:?}; {:?}; {} create calls, {} never built, {} disks left behind and swept, {} foreign; {sums}",
            self.steps.len(),
            self.counts,
            ledger.totals,
            ledger.create_calls.len(),
            ledger.never_built.len(),
            ledger.leaked_volumes.len(),
            self.judge.foreign(),
        );
        self.farm.stop().await;
        summary
    }
}

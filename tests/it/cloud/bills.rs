//! What the program says that servers cost is what the cloud's books come to, and their names come from
//! the range, whatever went wrong with them.

use super::books::{Sums, is_told};
use super::farm::{Farm, Setup};
use super::scaler::{Bell, Said, Scaler};
use obs_scaler::model::{Action, Bill, Stage};
use obs_sim::ecs::{Faults, ServerEntry};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const POOL: &str = "arm-l1";
const FLAVOR: &str = "ki1.8xlarge.4";

type Bills = BTreeMap<String, Bill>;

struct Play {
    farm: Farm,
    said: Said,
    bell: Bell,
    scaler: Scaler,
}

impl Play {
    async fn start() -> Self {
        let setup = Setup {
            seed: 7,
            ceiling: 384,
            times: 60,
            patience: "5s",
            deadlines: "",
            network: [127, 0, 211],
        };
        let (farm, said) = (Farm::start(setup).await, Said::default());
        let scaler = Scaler::start(&farm, &said);
        Self {
            farm,
            said,
            bell: Bell::default(),
            scaler,
        }
    }

    /// Lets the farm go on until this holds.
    async fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        while !holds(self) {
            assert!(Instant::now() < end, "never: {what}\n{}", self.said.text());
            assert!(!self.scaler.has_ended(), "{}", self.said.text());
            self.scaler.notify(&self.farm, &self.bell);
            // what is taken away, and what is let go, is no broken view
            self.scaler.accept(POOL).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn faults(&self, faults: Faults) {
        self.farm.cloud.set_faults(faults);
    }

    fn servers(&self) -> Vec<ServerEntry> {
        self.farm.cloud.ledger().servers
    }

    fn serving(&self) -> usize {
        let ledger = self.scaler.in_hand.borrow().ledger.clone();
        let members = ledger.members.values();
        members.filter(|m| m.stage == Stage::Serving).count()
    }

    fn bills(&self) -> Bills {
        let bills = self.scaler.in_hand.borrow().bills.clone();
        let bills = bills.iter();
        bills
            .map(|(id, bill)| (id.to_string(), Bill::clone(bill)))
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bills_are_the_clouds_books_to_the_cent_through_failures_and_a_restart() {
    let mut play = Play::start().await;
    play.faults(Faults {
        hidden_shortage: vec![FLAVOR.to_owned()],
        ..Faults::default()
    });
    play.farm.queue("aarch64", "job", 6, 400).await;
    play.bell.ring(&play.farm, Action::Apply, POOL);
    play.until("a create that comes to nothing", |play| {
        !play.farm.cloud.ledger().never_built.is_empty()
    })
    .await;
    play.faults(Faults {
        fail_next_creates: 1,
        ..Faults::default()
    });
    play.until(
        "a server in ERROR, gone again, and three in service",
        |play| {
            let broke = play
                .servers()
                .iter()
                .any(|s| s.launched_at.is_none() && s.deleted_at.is_some());
            broke && play.serving() >= 3
        },
    )
    .await;
    play.until("the bill of the broken one", |play| {
        play.bills().values().any(|bill| bill.end.is_some())
    })
    .await;
    let before = play.bills();

    play.scaler.terminate().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    play.scaler = Scaler::start(&play.farm, &play.said);
    play.until("three in service after the restart", |play| {
        play.serving() >= 3
    })
    .await;
    for (id, bill) in before.iter().filter(|(_, bill)| bill.end.is_some()) {
        assert_eq!(play.bills().get(id), Some(bill), "a restart loses no bill");
    }

    let there: Vec<_> = (play.servers().into_iter())
        .filter(|s| s.deleted_at.is_none())
        .collect();
    let taken = there[0].id.clone();
    assert!(play.farm.delete(&taken).await);
    play.bell.hush(Action::Apply, POOL);
    play.bell.ring(&play.farm, Action::Release, POOL);
    play.until("every server gone, and its end known", |play| {
        let gone = play.servers().iter().all(|s| s.deleted_at.is_some());
        gone && play.bills().values().all(|bill| bill.end.is_some())
    })
    .await;
    judge(&play, &taken);
    play.scaler.terminate().await;
    play.farm.stop().await;
}

fn judge(play: &Play, taken: &str) {
    let (servers, bills) = (play.servers(), play.bills());
    assert_eq!(servers.len(), bills.len(), "{bills:#?}");
    let numbers: Vec<String> = servers.iter().map(|s| s.name.clone()).collect();
    let in_range = |name: &String| {
        let number = name
            .strip_prefix("obs-arm-l1-")
            .filter(|number| number.len() == 3);
        number.is_some_and(|number| (1..=199).contains(&number.parse::<u32>().unwrap()))
    };
    assert!(numbers.iter().all(in_range), "{numbers:?}");
    let said = play.said.text();
    assert!(
        !said.contains("was asked for"),
        "the cloud numbers as it was asked"
    );
    let mut sums = Sums::default();
    for server in &servers {
        let bill = &bills[&server.id];
        sums.add(bill, server, 0).unwrap();
        assert!(is_told(bill) || server.id == taken, "{bill:?}");
    }
    let compared = sums.exact - sums.stopped;
    assert!(compared >= servers.len() - 1 && sums.agree(), "{sums}");
}

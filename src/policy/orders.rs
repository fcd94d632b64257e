//! What an open order asks for next. A crash or a lost answer at any point leads back to here, and
//! the client token makes a repeat harmless: the cloud answers it as it did the first time.

use super::SETTLE;
use crate::model::{Ledger, Order, Stage, elapsed, pause};
use jiff::Timestamp;
use std::time::Duration;

/// What an open order asks for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderNext {
    /// Send the create call (again), under the same token.
    Send,
    /// Ask for the cloud's job.
    Poll,
    /// Nothing now: its servers are on their way, or the cloud's list has yet to be read.
    Wait,
    /// The cloud never answered, and a list taken well after the last call shows no more of it: what
    /// is missing no longer counts as bought. A server that turns up all the same is found by its tags.
    Close,
    /// Every server of it is in service or gone.
    Done,
}

/// What became of the create calls that this process made for an order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Calls {
    /// When the last one ended.
    pub last: Option<Timestamp>,
    /// Whether one ended with its outcome not known: it may have bought servers.
    pub unanswered: bool,
    /// Whether one was refused after that. The refusal is of that call only.
    pub refused: bool,
    /// How many ended so that the same call is to be made again.
    pub in_vain: u32,
}

/// What is seen of an order from outside the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderSight {
    /// When this process began: an older intent may have been carried out by the one before.
    pub began: Timestamp,
    /// When the cloud's list was last read whole.
    pub listed: Option<Timestamp>,
    /// Whether every part of the cloud's job has ended.
    pub job_ended: bool,
    /// Whether a call about it is under way.
    pub under_way: bool,
    /// Whether the cloud refuses everything just now.
    pub refused: bool,
    /// The create calls so far.
    pub calls: Calls,
}

impl Calls {
    /// Whether a call before the one that has just ended may have bought servers, whatever that one
    /// was told. A process that `began` after the intent knows of no calls of the one before.
    #[must_use]
    pub fn are_doubtful(self, order: &Order, began: Timestamp) -> bool {
        self.unanswered || order.at < began
    }

    /// One more was in vain: how long the same call has to wait now. `fraction` is from 0 to 1.
    #[must_use]
    pub fn again(&mut self, fraction: f64) -> Duration {
        let pause = pause(self.in_vain, fraction);
        self.in_vain = self.in_vain.saturating_add(1);
        pause
    }
}

impl OrderSight {
    /// Whether the list is so much younger than any call that it shows whatever one has bought.
    fn shows_all(&self) -> bool {
        let quiet = self.calls.last.max(Some(self.began));
        let since = |at| quiet.is_some_and(|quiet| elapsed(quiet, at) >= SETTLE);
        !self.under_way && self.listed.is_some_and(since)
    }
}

/// What this order asks for next.
#[must_use]
pub fn next(
    order: &Order,
    ledger: &Ledger,
    sight: OrderSight,
    create_deadline: Duration,
    now: Timestamp,
) -> OrderNext {
    let unnamed = ledger.unnamed(order);
    if unnamed == 0 {
        return named(order, ledger, sight);
    }
    if sight.calls.refused || elapsed(order.at, now) > create_deadline {
        return if sight.shows_all() {
            OrderNext::Close
        } else {
            OrderNext::Wait
        };
    }
    let inherited = order.at < sight.began;
    let listed_since = sight.listed.is_some_and(|at| at > sight.began);
    if sight.refused || inherited && !listed_since {
        return OrderNext::Wait;
    }
    OrderNext::Send
}

/// Every server of the order has an id, or none is expected. While its job runs, one that was given up
/// may yet come to be, and until it is gone the order knows which names it may have: the order is what
/// remembers that.
fn named(order: &Order, ledger: &Ledger, sight: OrderSight) -> OrderNext {
    let mut members = ledger.members_of(&order.id);
    if members.all(|m| matches!(m.stage, Stage::Serving | Stage::Refitting)) {
        OrderNext::Done
    } else if order.job.is_some() && !sight.job_ended {
        OrderNext::Poll
    } else {
        OrderNext::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FlavorName, Member, OrderId, PoolName, ServerId, Vcpus, Why};

    const DEADLINE: Duration = Duration::from_secs(600);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn order() -> Order {
        Order {
            id: OrderId::new("o"),
            pool: PoolName::try_from("p").unwrap(),
            flavor: FlavorName::new("f"),
            vcpus: Vcpus(32),
            count: 1,
            at: at(100),
            job: None,
            body_sha256: String::new(),
            closed: None,
            names: None,
            zone: None,
        }
    }

    fn with_server(stage: Stage) -> Ledger {
        let member = Member {
            server: ServerId::new("s"),
            name: None,
            pool: order().pool,
            order: Some(order().id),
            vcpus: Vcpus(32),
            stage,
            since: at(100),
            reached: false,
            ordered_here: true,
            own: crate::model::Overrides::default(),
            bound: None,
            due: None,
        };
        let mut ledger = Ledger::default();
        ledger.members.insert(member.server.clone(), member);
        ledger
    }

    fn sight(began: i64, listed: Option<i64>) -> OrderSight {
        OrderSight {
            began: at(began),
            listed: listed.map(at),
            job_ended: false,
            under_way: false,
            refused: false,
            calls: Calls::default(),
        }
    }

    fn ask(order: &Order, ledger: &Ledger, sight: OrderSight, now: i64) -> OrderNext {
        next(order, ledger, sight, DEADLINE, at(now))
    }

    #[test]
    fn an_intent_of_an_earlier_process_waits_for_the_clouds_list() {
        let none = Ledger::default();
        assert_eq!(ask(&order(), &none, sight(200, None), 210), OrderNext::Wait);
        assert_eq!(
            ask(&order(), &none, sight(200, Some(150)), 210),
            OrderNext::Wait
        );
        assert_eq!(
            ask(&order(), &none, sight(200, Some(205)), 210),
            OrderNext::Send
        );
    }

    #[test]
    fn an_intent_whose_servers_the_list_shows_is_not_sent_again() {
        let found = with_server(Stage::Creating);
        assert_eq!(
            ask(&order(), &found, sight(200, Some(205)), 210),
            OrderNext::Wait
        );
    }

    #[test]
    fn an_order_never_answered_is_closed_at_the_create_deadline_and_not_before() {
        let none = Ledger::default();
        let sight = OrderSight {
            calls: Calls {
                last: Some(at(690)),
                ..Calls::default()
            },
            ..sight(1, Some(720))
        };
        assert_eq!(ask(&order(), &none, sight, 700), OrderNext::Send);
        assert_eq!(ask(&order(), &none, sight, 721), OrderNext::Close);
    }

    #[test]
    fn an_order_is_not_sent_again_while_the_cloud_refuses_everything() {
        let none = Ledger::default();
        let refused = OrderSight {
            refused: true,
            ..sight(1, Some(720))
        };
        assert_eq!(ask(&order(), &none, refused, 690), OrderNext::Wait);
        assert_eq!(ask(&order(), &none, refused, 721), OrderNext::Close);
        let over = OrderSight {
            refused: false,
            ..refused
        };
        assert_eq!(ask(&order(), &none, over, 690), OrderNext::Send);
    }

    #[test]
    fn an_order_is_not_closed_before_a_list_shows_what_its_last_call_bought() {
        let none = Ledger::default();
        let last = |second| Calls {
            last: Some(at(second)),
            unanswered: true,
            ..Calls::default()
        };
        let late = |calls, listed, under_way| OrderSight {
            calls,
            under_way,
            ..sight(1, listed)
        };
        for early in [
            late(last(699), None, false),
            late(last(699), Some(728), false),
            late(last(699), Some(729), true),
            sight(710, Some(739)),
        ] {
            assert_eq!(ask(&order(), &none, early, 740), OrderNext::Wait);
        }
        let sure = late(last(699), Some(729), false);
        assert_eq!(ask(&order(), &none, sure, 740), OrderNext::Close);
    }

    #[test]
    fn a_create_call_in_vain_is_made_again_after_longer_and_longer() {
        let mut calls = Calls::default();
        let pauses = [(); 3].map(|()| calls.again(1.0).as_secs());
        assert_eq!(pauses, [5, 9, 17]);
    }

    #[test]
    fn a_refusal_does_not_undo_an_earlier_call_that_was_not_answered() {
        let calls = Calls {
            last: Some(at(110)),
            unanswered: true,
            refused: true,
            in_vain: 1,
        };
        let sight = |listed| OrderSight {
            calls,
            ..sight(1, Some(listed))
        };
        assert!(calls.are_doubtful(&order(), at(1)));
        assert!(Calls::default().are_doubtful(&order(), at(101)));
        assert!(!Calls::default().are_doubtful(&order(), at(1)));
        let none = Ledger::default();
        assert_eq!(ask(&order(), &none, sight(139), 140), OrderNext::Wait);
        assert_eq!(ask(&order(), &none, sight(140), 140), OrderNext::Close);
    }

    #[test]
    fn an_order_is_not_done_before_every_server_of_it_serves_or_is_gone() {
        let mut answered = order();
        answered.job = Some("j".to_owned());
        let given_up = with_server(Stage::Cordoned {
            why: Why::NotActive,
        });
        let mut seen = sight(1, None);
        assert_eq!(ask(&answered, &given_up, seen, 800), OrderNext::Poll);
        seen.job_ended = true;
        assert_eq!(ask(&answered, &given_up, seen, 800), OrderNext::Wait);
        let none = Ledger::default();
        assert_eq!(ask(&answered, &none, seen, 800), OrderNext::Done);
    }

    #[test]
    fn an_answered_order_asks_for_its_job_and_is_done_when_its_servers_are() {
        let mut answered = order();
        answered.job = Some("j".to_owned());
        let building = with_server(Stage::Creating);
        assert_eq!(
            ask(&answered, &building, sight(1, None), 150),
            OrderNext::Poll
        );
        let serving = with_server(Stage::Serving);
        assert_eq!(
            ask(&answered, &serving, sight(1, None), 150),
            OrderNext::Done
        );
    }

    #[test]
    fn a_refused_order_is_done() {
        let mut refused = order();
        refused.closed = Some("quota".to_owned());
        assert_eq!(
            ask(&refused, &Ledger::default(), sight(1, None), 150),
            OrderNext::Done
        );
    }
}

//! What an open order asks for next. A crash or a lost answer at any point leads back to here, and
//! the client token makes a repeat harmless: the cloud answers it as it did the first time.

use crate::model::{Ledger, Order, elapsed};
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
    /// The cloud never answered and none of it can be expected any more: what is missing no longer
    /// counts as bought. A server that turns up all the same is found by its tags.
    Close,
    /// Every server of it is in service or gone.
    Done,
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
    if elapsed(order.at, now) > create_deadline {
        return OrderNext::Close;
    }
    let inherited = order.at < sight.began;
    let listed_since = sight.listed.is_some_and(|at| at > sight.began);
    if inherited && !listed_since {
        return OrderNext::Wait;
    }
    OrderNext::Send
}

/// Every server of the order has an id, or none is expected.
fn named(order: &Order, ledger: &Ledger, sight: OrderSight) -> OrderNext {
    let on_its_way = ledger.members_of(&order.id).any(|m| m.stage.is_in_flight());
    if !on_its_way {
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
    use crate::model::{FlavorName, Member, OrderId, PoolName, ServerId, Stage, Vcpus};

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
        assert_eq!(ask(&order(), &none, sight(1, None), 700), OrderNext::Send);
        assert_eq!(ask(&order(), &none, sight(1, None), 701), OrderNext::Close);
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

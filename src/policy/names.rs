//! Names of new servers: a bounded range for each pool, given out in turn. OBS keeps what it knew of a
//! worker under its name for ever, so names come back; each as late as may be, since what is still
//! said of its last bearer must not be taken for its next.

use super::View;
use crate::config::Naming;
use crate::model::{HostName, InstanceState, Ledger, Numbering, PoolName, Snapshot};
use std::collections::BTreeSet;

/// The names that must not be given out.
#[must_use]
pub fn names_in_use(snapshot: &Snapshot, ledger: &Ledger) -> BTreeSet<HostName> {
    let listed = snapshot.fleet.last().into_iter();
    let listed = listed.flat_map(|list| list.value.servers.values());
    let members = ledger.members.values().filter_map(|m| m.name.as_ref());
    let ordered = ledger.orders.values().flat_map(|order| {
        let numbering = order.names.iter();
        numbering.flat_map(|numbering| numbering.names(order.count))
    });
    let mut names: BTreeSet<HostName> = ordered.collect();
    names.extend(listed.map(|server| server.name.clone()));
    names.extend(members.cloned());
    names.extend(hosts(snapshot));
    names
}

/// The hosts of which OBS lists an instance that is more than remembered.
fn hosts(snapshot: &Snapshot) -> impl Iterator<Item = HostName> + '_ {
    let readings = snapshot.backends.values();
    let readings = readings.filter_map(|backend| backend.workers.last());
    let instances = readings.flat_map(|reading| reading.value.instances.values());
    let there = instances.filter(|instance| instance.state != InstanceState::Down);
    there.map(|instance| instance.id.host.clone())
}

/// The names for at most `count` servers of a pool, and for how many they are: the first row of so many
/// free numbers behind the last one that was used, going round once; where there is none, the longest row.
/// A row does not go over the end of the range, since the cloud counts on there. `None` where every
/// name is in use.
#[must_use]
pub fn next_names(
    naming: &Naming,
    pool: &PoolName,
    last: Option<u32>,
    in_use: &BTreeSet<HostName>,
    count: u32,
) -> Option<(Numbering, u32)> {
    let begin = last
        .filter(|last| *last < naming.range)
        .map_or(1, |last| last + 1);
    let all = naming.of(pool, 1);
    let is_free = |number: &u32| !in_use.contains(&all.name(*number));
    let row = |first: u32| {
        let end = first.saturating_add(count).min(naming.range + 1);
        let free = (first..end).take_while(is_free).count();
        u32::try_from(free).unwrap_or(u32::MAX)
    };
    let mut longest = (0, 0);
    for first in (begin..=naming.range).chain(1..begin) {
        let length = row(first);
        if length > longest.1 {
            longest = (first, length);
        }
        if length == count {
            break;
        }
    }
    let (first, length) = longest;
    (length > 0).then(|| (naming.of(pool, first), length))
}

/// The names for at most `count` servers of a pool, as things stand.
#[must_use]
pub fn names_for(view: &View<'_>, pool: &PoolName, count: u32) -> Option<(Numbering, u32)> {
    let in_use = names_in_use(view.snapshot, view.ledger);
    let last = view.ledger.last_numbers.get(pool).copied();
    next_names(&view.policy.naming, pool, last, &in_use, count)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Farm, pool};
    use super::*;
    use crate::model::Stage;
    use proptest::prelude::*;

    fn naming(range: u32) -> Naming {
        Naming {
            prefix: "obs".to_owned(),
            range,
        }
    }

    fn in_use(range: u32, numbers: &[u32]) -> BTreeSet<HostName> {
        let all = naming(range).of(&pool("p"), 1);
        numbers.iter().map(|number| all.name(*number)).collect()
    }

    /// The first number and how many, as they are given out.
    fn next(range: u32, last: Option<u32>, used: &[u32], count: u32) -> Option<(u32, u32)> {
        let given = next_names(
            &naming(range),
            &pool("p"),
            last,
            &in_use(range, used),
            count,
        );
        given.map(|(numbering, count)| (numbering.first, count))
    }

    #[test]
    fn numbers_go_round_and_step_over_names_in_use() {
        assert_eq!(next(9, None, &[], 3), Some((1, 3)));
        assert_eq!(next(9, Some(3), &[], 3), Some((4, 3)));
        assert_eq!(next(9, Some(3), &[5], 3), Some((6, 3)));
        assert_eq!(next(9, Some(9), &[], 1), Some((1, 1)));
        assert_eq!(
            next(9, Some(40), &[], 1),
            Some((1, 1)),
            "the range was larger"
        );
    }

    #[test]
    fn a_row_does_not_go_over_the_end_of_the_range() {
        assert_eq!(next(9, Some(7), &[], 3), Some((1, 3)));
        assert_eq!(next(9, Some(7), &[], 2), Some((8, 2)));
    }

    #[test]
    fn where_no_row_is_long_enough_there_are_fewer_and_where_none_is_free_none() {
        assert_eq!(next(9, Some(1), &[3, 4, 8], 5), Some((5, 3)));
        assert_eq!(next(3, Some(1), &[1, 2, 3], 1), None);
    }

    #[test]
    fn a_name_has_as_many_digits_as_the_range() {
        let first = |range| naming(range).of(&pool("p"), 1).asked(1);
        let expected = [(9, "obs-p-1"), (10, "obs-p-01"), (999, "obs-p-001")];
        for (range, name) in expected.into_iter().chain([(9999, "obs-p-0001")]) {
            assert_eq!(first(range), name);
        }
    }

    #[test]
    fn a_name_is_in_use_while_the_cloud_the_ledger_or_obs_knows_its_bearer() {
        let mut farm = Farm::new();
        farm.server("x-l1", "obs-x-l1-001");
        farm.member("x-l1", "obs-x-l1-002", Stage::Serving);
        farm.fleet
            .servers
            .retain(|_, server| server.name.as_str() != "obs-x-l1-002");
        farm.list("x-l1", "obs-x-l1-003", InstanceState::Dead, 1);
        farm.list("x-l1", "obs-x-l1-004", InstanceState::Down, 1);
        let id = farm.order("x-l1", 2);
        let naming = farm.policy.naming.clone();
        let order = farm.ledger.orders.get_mut(&id).unwrap();
        order.names = Some(naming.of(&pool("x-l1"), 5));
        let given = |farm: &Farm, count| {
            let given = farm.see(|view| names_for(view, &pool("x-l1"), count));
            given.map(|(names, count)| (names.first, count))
        };
        assert_eq!(given(&farm, 1), Some((4, 1)), "only remembered");
        assert_eq!(given(&farm, 2), Some((7, 2)));
        farm.ledger.last_numbers.insert(pool("x-l1"), 198);
        assert_eq!(given(&farm, 1), Some((199, 1)));
        assert_eq!(given(&farm, 2), Some((7, 2)), "no row goes over the end");
    }

    /// Buys of so many, each of a server that lives for so many buys.
    fn any_buys() -> impl Strategy<Value = Vec<(u32, usize)>> {
        proptest::collection::vec((1..=4u32, 0..6usize), 1..60)
    }

    proptest! {
        #[test]
        fn no_two_live_servers_have_one_name(range in 1..=30u32, buys in any_buys()) {
            let (mut last, mut live) = (None, Vec::<(u32, usize)>::new());
            for (at, (count, life)) in buys.into_iter().enumerate() {
                live.retain(|(_, until)| *until > at);
                let used: Vec<u32> = live.iter().map(|(number, _)| *number).collect();
                match next(range, last, &used, count) {
                    None => prop_assert_eq!(used.len(), usize::try_from(range).unwrap()),
                    Some((first, given)) => {
                        prop_assert!((1..=count).contains(&given));
                        let row = first..first + given;
                        prop_assert!(row.end <= range + 1);
                        prop_assert!(row.clone().all(|number| !used.contains(&number)));
                        last = Some(row.end - 1);
                        live.extend(row.map(|number| (number, at + life)));
                    }
                }
            }
        }

        #[test]
        fn a_name_that_was_just_freed_comes_after_every_other_free_one(
            range in 2..=30u32, lives in proptest::collection::vec(0..6usize, 1..100),
        ) {
            let (mut last, mut live) = (None, Vec::<(u32, usize)>::new());
            for (at, life) in lives.into_iter().enumerate() {
                live.retain(|(_, until)| *until > at);
                let used: Vec<u32> = live.iter().map(|(number, _)| *number).collect();
                let free = (1..=range).filter(|number| !used.contains(number));
                // so many numbers were given out since this one's turn
                let since = |number: &u32| (last.unwrap_or(0) + range - number) % range;
                let expected = free.max_by_key(since);
                let given = next(range, last, &used, 1).map(|(number, _)| number);
                prop_assert_eq!(given, expected);
                live.extend(given.map(|number| (number, at + life)));
                last = given.or(last);
            }
        }
    }
}

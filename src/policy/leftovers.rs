//! What becomes of volumes and ports that a server of ours left behind.
//!
//! Nothing is deleted that was not found twice, [`SETTLE`] apart, after the server was gone; and nothing
//! while a server may bear its name, since the volume of one that is being created looks the same.

use super::SETTLE;
use crate::cloud::Leftovers;
use crate::model::{HostName, Trail, elapsed};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How far the cloud's clocks and ours may be apart: more than that, and no signature is accepted.
const SKEW: Duration = Duration::from_mins(15);

/// For how long a trail is followed whose names are in use, or that the cloud does not let us follow.
const FOLLOWED: Duration = Duration::from_hours(24);

/// What a trail asks for next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrailNext {
    /// Nothing now.
    Wait,
    /// Look for leftovers, and delete those of them that are among these.
    Look(Leftovers),
    /// Nothing is left.
    Done,
    /// It was followed for a day: a person has to look.
    GiveUp,
}

/// What this trail asks for next; `found` is what the last look found, and when.
#[must_use]
pub fn follow(
    trail: &Trail,
    found: Option<&(Timestamp, Leftovers)>,
    in_use: &BTreeSet<HostName>,
    now: Timestamp,
) -> TrailNext {
    if elapsed(trail.gone, now) >= FOLLOWED {
        return TrailNext::GiveUp;
    }
    let borne = trail.names.iter().any(|name| in_use.contains(name));
    if borne || elapsed(trail.gone, now) < SETTLE {
        return TrailNext::Wait;
    }
    match found {
        None => TrailNext::Look(Leftovers::default()),
        Some((_, found)) if found.is_empty() => TrailNext::Done,
        Some((at, _)) if elapsed(*at, now) < SETTLE => TrailNext::Wait,
        Some((_, found)) => TrailNext::Look(found.clone()),
    }
}

/// Of what the cloud found, that which the server may have left.
#[must_use]
pub fn of_trail(trail: &Trail, mut found: Leftovers) -> Leftovers {
    found.volumes.retain(|volume| {
        let before = elapsed(volume.created, trail.ordered) > SKEW;
        let after = elapsed(trail.gone, volume.created) > SKEW;
        !before && !after
    });
    found
}

/// What is in both.
#[must_use]
pub fn in_both(one: &Leftovers, other: &Leftovers) -> Leftovers {
    let volumes = one.volumes.iter().filter(|v| other.volumes.contains(v));
    let ports = one.ports.iter().filter(|port| other.ports.contains(port));
    Leftovers {
        volumes: volumes.cloned().collect(),
        ports: ports.cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::LeftVolume;
    use crate::model::ServerId;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Ordered at 100, gone at 200.
    fn trail() -> Trail {
        Trail {
            server: ServerId::new("s"),
            names: vec![HostName::new("obs-p-001"), HostName::new("obs-p-002")],
            ordered: at(100),
            gone: at(200),
        }
    }

    fn volume(created: i64) -> Leftovers {
        Leftovers {
            volumes: vec![LeftVolume {
                id: format!("v-{created}"),
                name: "obs-p-001-volume-0000".to_owned(),
                gib: 40,
                created: at(created),
            }],
            ports: Vec::new(),
        }
    }

    #[test]
    fn only_what_two_looks_apart_found_is_deleted() {
        let nobody = BTreeSet::new();
        let next =
            |found: Option<&(Timestamp, Leftovers)>, now| follow(&trail(), found, &nobody, at(now));
        assert_eq!(next(None, 229), TrailNext::Wait);
        assert_eq!(next(None, 230), TrailNext::Look(Leftovers::default()));
        let found = (at(231), volume(150));
        assert_eq!(next(Some(&found), 260), TrailNext::Wait);
        assert_eq!(next(Some(&found), 261), TrailNext::Look(volume(150)));
        let nothing = (at(262), Leftovers::default());
        assert_eq!(next(Some(&nothing), 262), TrailNext::Done);
        assert_eq!(next(Some(&found), 200 + 86_400), TrailNext::GiveUp);
    }

    #[test]
    fn while_a_server_bears_one_of_its_names_nothing_is_looked_for() {
        let in_use = BTreeSet::from([HostName::new("obs-p-002")]);
        let found = (at(231), volume(150));
        assert_eq!(follow(&trail(), None, &in_use, at(300)), TrailNext::Wait);
        let next = follow(&trail(), Some(&found), &in_use, at(300));
        assert_eq!(next, TrailNext::Wait);
    }

    #[test]
    fn what_was_made_before_the_order_or_after_its_end_is_not_of_its_making() {
        for (created, left) in [(-801, false), (-800, true), (1100, true), (1101, false)] {
            let of = of_trail(&trail(), volume(created));
            assert_eq!(of.volumes.len() == 1, left, "{created}");
        }
    }

    #[test]
    fn what_is_found_anew_is_not_what_was_found_before() {
        let mut both = volume(150);
        both.ports.push("port".to_owned());
        assert_eq!(in_both(&both, &volume(150)), volume(150));
        assert!(in_both(&volume(150), &volume(151)).is_empty());
    }
}

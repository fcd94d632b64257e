//! The life of one server.

use super::super::fixtures::{Farm, NOW, at, minutes};
use super::super::{
    Absence, Act, Advance, CheckOutcome, CheckReport, Cloud, DrainOutcome, DrainReport,
    InstancesSeen, Sight, SubJob, Terms, Trial, advance,
};
use crate::model::{
    FlavorName, InstanceCounts, InstanceState, Member, Server, ServerStatus, Stage, Why,
};
use std::time::Duration;

/// Since when the member stands where it stands.
pub(super) const SINCE: i64 = NOW - 1000;

pub(super) struct Case {
    pub(super) member: Member,
    pub(super) server: Server,
    flavor: FlavorName,
}

impl Case {
    pub(super) fn new(stage: Stage) -> Self {
        let mut farm = Farm::new();
        let mut member = farm.member("x-l1", "w", stage).clone();
        member.since = at(SINCE);
        let server = farm.server("x-l1", "w").clone();
        Self {
            member,
            flavor: server.flavor.clone(),
            server,
        }
    }

    pub(super) fn unreached(stage: Stage) -> Self {
        let mut case = Self::new(stage);
        case.member.reached = false;
        case
    }

    /// The server as listed at NOW, and nothing else known.
    pub(super) fn listed(&self) -> Sight<'_> {
        Sight {
            cloud: Cloud::Listed {
                server: &self.server,
                since: at(NOW - 30),
                at: at(NOW),
            },
            sub_job: SubJob::Unknown,
            check: None,
            instances: None,
            drain: None,
            quiet: None,
            checking: false,
            held_back: false,
            trial: Trial::Passed,
            may_delete: true,
        }
    }

    pub(super) fn absent(&self, first: i64, last: i64) -> Sight<'_> {
        let (first, last) = (at(first), at(last));
        Sight {
            cloud: Cloud::Absent(Absence { first, last }),
            ..self.listed()
        }
    }

    pub(super) fn advance(&self, sight: &Sight<'_>) -> Advance {
        let terms = Terms {
            create: minutes(10),
            check: minutes(5),
            settle: Duration::from_secs(30),
            max_age: minutes(2),
            flavor: &self.flavor,
            alternatives: &[],
            instances: 7,
            kept: minutes(10),
        };
        advance(&self.member, sight, &terms, at(NOW))
    }

    pub(super) fn next(&self, sight: &Sight<'_>) -> (Stage, Act) {
        let Advance { stage, act, .. } = self.advance(sight);
        (stage, act)
    }
}

pub(super) fn booting() -> Stage {
    Stage::Booting {
        active: at(NOW - 60),
    }
}

pub(super) fn cordoned(why: Why) -> Stage {
    Stage::Cordoned { why }
}

pub(super) fn seen(second: i64, idle: u32, building: u32) -> Option<InstancesSeen> {
    let mut counts = InstanceCounts::default();
    (0..idle).for_each(|_| counts.add(InstanceState::Idle));
    (0..building).for_each(|_| counts.add(InstanceState::Building));
    let at = at(second);
    Some(InstancesSeen { at, counts })
}

fn check(second: i64, outcome: CheckOutcome) -> Option<CheckReport> {
    let at = at(second);
    Some(CheckReport {
        at,
        outcome,
        untouched: false,
    })
}

pub(super) fn drain(second: i64, outcome: DrainOutcome) -> Option<DrainReport> {
    let at = at(second);
    Some(DrainReport { at, outcome })
}

fn failed() -> CheckOutcome {
    CheckOutcome::Failed {
        check: "service".to_owned(),
        found: "failed".to_owned(),
        expected: "active".to_owned(),
    }
}

pub(super) fn unreachable() -> CheckOutcome {
    CheckOutcome::Unreachable("refused".to_owned())
}

#[test]
fn a_server_that_does_well_comes_into_service() {
    let mut case = Case::unreached(Stage::Creating);
    let boots = Stage::Booting { active: at(NOW) };
    assert_eq!(case.next(&case.listed()), (boots, Act::Check));

    case.member.stage = booting();
    let sight = Sight {
        check: check(NOW - 30, unreachable()),
        ..case.listed()
    };
    assert_eq!(case.next(&sight), (booting(), Act::Check));

    let active = at(NOW - 60);
    let sight = Sight {
        check: check(NOW - 30, failed()),
        ..case.listed()
    };
    assert_eq!(case.next(&sight), (Stage::Checking { active }, Act::Check));
    assert!(case.advance(&sight).reached);

    let sight = Sight {
        check: check(NOW - 30, CheckOutcome::Passed),
        instances: seen(NOW - 10, 6, 0),
        ..case.listed()
    };
    assert_eq!(case.next(&sight), (Stage::Joining { active }, Act::None));

    let sight = Sight {
        instances: seen(NOW - 10, 5, 2),
        ..sight
    };
    assert_eq!(case.next(&sight), (Stage::Serving, Act::None));
}

#[test]
fn instances_listed_before_the_check_may_be_a_namesakes() {
    let case = Case::new(booting());
    let sight = Sight {
        check: check(NOW - 30, CheckOutcome::Passed),
        instances: seen(NOW - 40, 7, 0),
        ..case.listed()
    };
    assert!(matches!(case.next(&sight).0, Stage::Joining { .. }));
}

#[test]
fn a_server_whose_address_is_late_is_waited_for_and_withdrawn_at_the_deadline() {
    let mut case = Case::new(Stage::Creating);
    case.server.ip = None;
    assert_eq!(
        case.next(&case.listed()),
        (cordoned(Why::NotActive), Act::Cordon)
    );
    case.member.since = at(NOW - 599);
    assert_eq!(case.next(&case.listed()), (Stage::Creating, Act::None));
}

#[test]
fn a_server_that_the_cloud_gives_up_is_withdrawn_at_once() {
    let mut case = Case::new(Stage::Creating);
    let words = "no valid host".to_owned();
    let why = Why::CloudError { words };
    let sight = Sight {
        cloud: Cloud::Unknown,
        sub_job: SubJob::Failed("no valid host".to_owned()),
        ..case.listed()
    };
    assert_eq!(case.next(&sight), (cordoned(why.clone()), Act::Cordon));
    case.server.status = ServerStatus::Error("no valid host".to_owned());
    for stage in [Stage::Creating, booting(), Stage::Serving] {
        case.member.stage = stage;
        assert_eq!(case.next(&case.listed()).0, cordoned(why.clone()));
    }
}

#[test]
fn a_server_of_another_flavor_is_withdrawn() {
    let mut case = Case::new(Stage::Creating);
    case.server.flavor = FlavorName::new("small");
    let (stage, _) = case.next(&case.listed());
    assert!(
        matches!(&stage, Stage::Cordoned { why: Why::NotInService { check } } if check.starts_with("flavor")),
        "{stage:?}"
    );
}

#[test]
fn the_check_deadline_runs_from_active_and_names_what_failed() {
    let late = Stage::Checking {
        active: at(NOW - 300),
    };
    let case = Case::new(late.clone());
    let sight = Sight {
        check: check(NOW - 30, failed()),
        ..case.listed()
    };
    let check_words = "service: found failed, expected active".to_owned();
    let why = Why::NotInService { check: check_words };
    assert_eq!(case.next(&sight), (cordoned(why), Act::Cordon));
    let unknown = Sight {
        cloud: Cloud::Unknown,
        ..sight
    };
    assert_eq!(case.next(&unknown), (late, Act::Check), "a stale list");
}

#[test]
fn a_worker_is_not_withdrawn_because_obs_can_not_be_read() {
    let case = Case::new(Stage::Joining {
        active: at(NOW - 900),
    });
    let sight = Sight {
        check: check(NOW - 800, CheckOutcome::Passed),
        ..case.listed()
    };
    assert!(matches!(case.next(&sight).0, Stage::Joining { .. }));
    let short = Sight {
        instances: seen(NOW, 3, 0),
        ..sight.clone()
    };
    assert!(matches!(case.next(&short).0, Stage::Cordoned { .. }));
    let whole = Sight {
        instances: seen(NOW, 7, 0),
        ..sight
    };
    assert_eq!(case.next(&whole).0, Stage::Serving);
}

#[test]
fn after_a_restart_a_late_worker_is_looked_at_before_it_is_judged() {
    let joining = Stage::Joining {
        active: at(NOW - 900),
    };
    let mut case = Case::new(joining.clone());
    assert_eq!(case.next(&case.listed()), (joining, Act::Check));
    let sight = Sight {
        check: check(NOW - 10, unreachable()),
        ..case.listed()
    };
    assert!(matches!(case.next(&sight).0, Stage::Cordoned { .. }));
    case.server.ip = None;
    let (stage, _) = case.next(&case.listed());
    assert!(matches!(stage, Stage::Cordoned { .. }), "nowhere to look");
}

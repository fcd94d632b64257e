use super::*;
use crate::config::Config;
use crate::model::{FlavorName, HostName, OrderId, PoolName, ServerStatus, Tags, Vcpus};
use secrecy::SecretString;
use std::path::Path;

const IP: [u8; 4] = [10, 0, 0, 7];

struct Farm {
    fleet: Fleet,
    ledger: Ledger,
    policy: Policy,
}

fn id() -> ServerId {
    ServerId::new("s-1")
}

/// One worker in service, of a pool whose workers have 7 instances for `main`.
fn farm() -> Farm {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let secrets = |_: &crate::config::SecretPlace| Ok(SecretString::from("s".repeat(40)));
    let config = Config::parse(&text, &secrets).unwrap();
    let pool = PoolName::try_from("x86-64-l1").unwrap();
    let at = Timestamp::from_second(1_795_000_000).unwrap();
    let server = Server {
        id: id(),
        name: HostName::new("obs-1"),
        status: ServerStatus::Active,
        ip: Some(IP.into()),
        flavor: FlavorName::new("c7.8xlarge.4"),
        vcpus: Vcpus(32),
        created: at,
        tags: Tags {
            pool: Some(pool.clone()),
            order: Some(OrderId::new("o")),
            ..Tags::default()
        },
    };
    let member = Member {
        server: id(),
        name: Some(server.name.clone()),
        pool,
        order: Some(OrderId::new("o")),
        vcpus: Vcpus(32),
        stage: Stage::Serving,
        since: at,
        reached: true,
        ordered_here: true,
        own: Overrides::default(),
        bound: None,
        due: None,
    };
    let mut farm = Farm {
        fleet: Fleet::default(),
        ledger: Ledger::default(),
        policy: config.policy,
    };
    farm.fleet.servers.insert(id(), server);
    farm.ledger.members.insert(id(), member);
    farm
}

fn asked(farm: &Farm, ask: Configure) -> (Row, Option<Member>) {
    let sight = Sight {
        fleet: Some(&farm.fleet),
        ledger: &farm.ledger,
        policy: &farm.policy,
    };
    let ask = Configure {
        ips: vec![IP.into(), IP.into()],
        ..ask
    };
    let mut decided = decide(&ask, sight);
    assert_eq!(decided.len(), 1, "an address that is given twice is one");
    decided.remove(0)
}

#[test]
fn what_is_not_given_stays_as_it_was_asked_for_before_until_it_is_reset() {
    let mut farm = farm();
    let member = farm.ledger.members.get_mut(&id()).unwrap();
    member.own.instances = Some(3);
    let jobs = Configure {
        jobs: Some(9),
        at_once: Some(2),
        ..Configure::default()
    };
    let (row, member) = asked(&farm, jobs.clone());
    assert_eq!(
        row.settings.as_deref(),
        Some("3 instances, 9 jobs, for main")
    );
    assert_eq!((row.outcome, member.unwrap().due), (Outcome::Due, Some(2)));
    let reset = Configure {
        reset: true,
        ..jobs
    };
    let (row, _) = asked(&farm, reset);
    assert_eq!(
        row.settings.as_deref(),
        Some("7 instances, 9 jobs, for main")
    );
}

#[test]
fn what_no_worker_can_be_told_is_refused_with_what_was_found_and_expected() {
    let farm = farm();
    let servers = |names: &[&str]| Configure {
        servers: Some(names.iter().map(|name| (*name).to_owned()).collect()),
        ..Configure::default()
    };
    for (ask, why) in [
        (
            Configure {
                instances: Some(0),
                ..Configure::default()
            },
            "instances: found 0, expected a number from 1 to 1024",
        ),
        (
            Configure {
                jobs: Some(1025),
                ..Configure::default()
            },
            "jobs: found 1025, expected a number from 1 to 1024",
        ),
        (
            Configure {
                cache_mib: Some(0),
                ..Configure::default()
            },
            "cache_mib: found 0, expected a number from 1",
        ),
        (
            servers(&["lts"]),
            "servers: found \"lts\", expected some of main",
        ),
        (
            servers(&[]),
            "servers: expected at least one backend, and none twice",
        ),
        (
            servers(&["main", "main"]),
            "servers: expected at least one backend, and none twice",
        ),
    ] {
        let (row, member) = asked(&farm, ask);
        assert_eq!(
            (row.outcome, row.why.as_deref()),
            (Outcome::Refused, Some(why))
        );
        assert_eq!(member, None);
    }
}

#[test]
fn a_worker_that_is_not_ours_not_in_service_or_not_reachable_is_refused() {
    let refused = |farm: &Farm| asked(farm, Configure::default()).0.why;
    let mut unknown = farm();
    unknown.fleet.servers.get_mut(&id()).unwrap().ip = None;
    assert_eq!(
        refused(&unknown).as_deref(),
        Some("no worker of ours has this address")
    );
    let mut new = farm();
    new.ledger.members.get_mut(&id()).unwrap().stage = Stage::Creating;
    assert_eq!(
        refused(&new).as_deref(),
        Some("it is not in service (ordered)")
    );
    let mut adopted = farm();
    adopted.fleet.servers.get_mut(&id()).unwrap().tags.order = None;
    assert!(refused(&adopted).unwrap().contains("host key is not known"));
    adopted.ledger.pinned.insert(id());
    assert_eq!(refused(&adopted), None);
}

#[test]
fn how_far_each_worker_is_is_told_with_what_it_waits_for() {
    let mut farm = farm();
    let told = |farm: &Farm| {
        let sight = Sight {
            fleet: Some(&farm.fleet),
            ledger: &farm.ledger,
            policy: &farm.policy,
        };
        let postponed = Postponed {
            server: id(),
            reason: Reason::LastFit,
        };
        let rows = progress(sight, &[postponed], |_, _| Some("1 builds".to_owned()));
        let told = rows.into_iter().map(|row| (row.outcome, row.why.unwrap()));
        told.collect::<Vec<_>>()
    };
    assert_eq!(told(&farm), []);
    farm.ledger.members.get_mut(&id()).unwrap().due = Some(1);
    assert_eq!(told(&farm), [(Outcome::Due, Reason::LastFit.to_string())]);
    farm.ledger.members.get_mut(&id()).unwrap().stage = Stage::Refitting;
    assert_eq!(told(&farm), [(Outcome::OnTheWay, "1 builds".to_owned())]);
}

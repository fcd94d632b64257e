//! What becomes of each address that a person names.

use super::letting_go::{Kept, keeps, keys_on, ours};
use super::verdict::{Adoptee, Known, Refusal, Verdict, verdict};
use crate::cloud::{Charging, ProjectServer};
use crate::config::{Config, Policy, SecretPlace, SecretSource};
use crate::model::{
    Arch, BackendName, FlavorName, Fleet, HostName, Instance, InstanceId, InstanceState, LeaseTag,
    Member, OrderId, PoolName, Scaler, ScalerId, Server, ServerId, ServerStatus, Stage, Tags,
    Unknown, Vcpus, Why, Workers,
};
use jiff::Timestamp;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

const IP: &str = "10.0.0.1";

/// The shipped configuration, with a pool for home projects beside its own.
fn policy() -> Policy {
    let shipped = include_str!("../../config.yaml");
    let home = "\n  - { name: home, arch: aarch64, level: l1, backends: [main], projects: [\"home:.*\"] }\n\n# When";
    let text = shipped.replacen("\n\n# When", home, 1);
    Config::parse(&text, &Given).unwrap().policy
}

/// Gives any secret.
struct Given;

impl SecretSource for Given {
    fn secret(&self, _: &SecretPlace) -> Result<SecretString, String> {
        Ok(SecretString::from("s".repeat(40)))
    }
}

fn ip() -> IpAddr {
    IP.parse().unwrap()
}

fn server() -> ProjectServer {
    ProjectServer {
        id: ServerId::new("s-1"),
        name: HostName::new("w-1"),
        ips: vec![ip()],
        status: ServerStatus::Active,
        flavor: FlavorName::new("ki1.8xlarge.4"),
        vcpus: Vcpus(32),
        zone: None,
        created: Timestamp::UNIX_EPOCH,
        charging: Some(Charging::Postpaid),
        tags: BTreeMap::new(),
    }
}

/// One backend's list with two instances of the host.
fn listing(host: &str, arch: Option<Arch>) -> Workers {
    let mut workers = Workers::default();
    for number in 1..=2 {
        let id = InstanceId {
            host: HostName::new(host),
            number,
        };
        let instance = Instance {
            id: id.clone(),
            arch,
            state: InstanceState::Building,
            job: None,
        };
        workers.instances.insert(id, instance);
    }
    workers
}

struct Case {
    policy: Policy,
    servers: Vec<ProjectServer>,
    workers: Result<Workers, Unknown>,
    pool: Option<&'static str>,
    home: bool,
}

impl Case {
    fn new() -> Self {
        Self {
            policy: policy(),
            servers: vec![server()],
            workers: Ok(listing("w-1", Some(Arch::Aarch64))),
            pool: Some("aarch64-l1"),
            home: false,
        }
    }

    /// What becomes of the server after this change to it.
    fn with(change: impl FnOnce(&mut ProjectServer)) -> Verdict {
        let mut case = Self::new();
        change(&mut case.servers[0]);
        case.judge()
    }

    fn judge(&self) -> Verdict {
        let backend = BackendName::new("main");
        let homes = self.home.then_some(&backend).into_iter();
        let known = Known {
            servers: &self.servers,
            workers: [(&backend, self.workers.as_ref().map_err(Clone::clone))].into(),
            homes: homes.collect::<BTreeSet<_>>(),
            policy: &self.policy,
        };
        let pool = self.pool.map(|name| PoolName::try_from(name).unwrap());
        let pool = pool.map(|name| &self.policy.pools[&name]);
        verdict(ip(), pool, &known)
    }

    fn refusal(&self) -> Refusal {
        match self.judge() {
            Verdict::Refused(why) => why,
            other => panic!("{other:?}"),
        }
    }
}

fn adopted(pool: &str, protected: Option<&str>) -> Verdict {
    Verdict::Adopt(Adoptee {
        server: ServerId::new("s-1"),
        host: HostName::new("w-1"),
        pool: PoolName::try_from(pool).unwrap(),
        protected: protected.map(str::to_owned),
    })
}

fn refused(verdict: Verdict) -> String {
    match verdict {
        Verdict::Refused(why) => why.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_worker_joins_the_pool_of_its_flavor() {
    let mut case = Case::new();
    case.pool = None;
    case.servers[0].flavor = FlavorName::new("c7.16xlarge.4");
    case.workers = Ok(listing("w-1", Some(Arch::X86_64)));
    assert_eq!(case.judge(), adopted("x86-64-l2", None));
}

#[test]
fn where_several_pools_have_the_flavor_a_person_says_which() {
    let mut case = Case::new();
    case.pool = None;
    case.servers[0].flavor = FlavorName::new("ki1.16xlarge.4");
    let words = case.refusal().to_string();
    assert!(words.contains("aarch64-l2, aarch64-l3"), "{words}");
    case.pool = Some("aarch64-l3");
    assert_eq!(case.judge(), adopted("aarch64-l3", None));
}

#[test]
fn what_can_not_be_bought_again_as_it_is_becomes_protected() {
    for (charging, why) in [
        (Some(Charging::Prepaid), "prepaid"),
        (Some(Charging::Spot), "spot"),
        (None, "charging-unknown"),
    ] {
        let verdict = Case::with(|server| server.charging = charging);
        assert_eq!(verdict, adopted("aarch64-l1", Some(why)));
    }
    let mut odd = Case::new();
    odd.pool = None;
    odd.servers[0].flavor = FlavorName::new("km1.12xlarge.8");
    odd.servers[0].vcpus = Vcpus(48);
    assert_eq!(odd.judge(), adopted("aarch64-l1", Some("odd-size")));
    odd.servers[0].vcpus = Vcpus(16);
    odd.servers[0].charging = Some(Charging::Prepaid);
    assert_eq!(odd.judge(), adopted("aarch64-l1", Some("prepaid.odd-size")));
}

#[test]
fn a_worker_of_home_projects_becomes_protected() {
    let mut case = Case::new();
    case.pool = Some("home");
    assert_eq!(case.judge(), adopted("home", Some("home")));
    case.pool = Some("aarch64-l1");
    case.home = true;
    assert_eq!(case.judge(), adopted("aarch64-l1", Some("home")));
}

#[test]
fn a_pin_that_a_person_has_put_there_is_left_as_it_is() {
    let pinned = |server: &mut ProjectServer| {
        server.charging = Some(Charging::Prepaid);
        let pin = ("obs-scaler-protected".to_owned(), "mine".to_owned());
        server.tags.extend([pin]);
    };
    assert_eq!(Case::with(pinned), adopted("aarch64-l1", None));
}

#[test]
fn an_address_of_no_server_or_of_several_is_refused() {
    let mut case = Case::new();
    case.servers[0].ips = vec!["10.0.0.11".parse().unwrap()];
    assert_eq!(case.refusal(), Refusal::NoServer);
    let mut twin = server();
    twin.id = ServerId::new("s-2");
    case.servers = vec![server(), twin];
    let both = ["s-1", "s-2"].map(str::to_owned).to_vec();
    assert_eq!(case.refusal(), Refusal::Ambiguous(both));
}

#[test]
fn a_server_of_ours_or_of_another_owner_is_left_as_it_is() {
    let tagged = |tags: &[(&str, &str)]| {
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let tags: BTreeMap<_, _> = tags.collect();
        Case::with(|server| server.tags = tags)
    };
    let ours = tagged(&[("obs-scaler-owner", "obs-scaler"), ("obs-scaler-pool", "p")]);
    let expected = Verdict::Ours {
        server: ServerId::new("s-1"),
        host: HostName::new("w-1"),
        pool: Some("p".to_owned()),
    };
    assert_eq!(ours, expected);
    let words = refused(tagged(&[("obs-scaler-owner", "obs-scaler-2")]));
    assert!(
        words.contains("belongs to the owner \"obs-scaler-2\""),
        "{words}"
    );
    // another program's tag of a similar key says nothing
    let similar = tagged(&[
        ("obs-scaler-owner2", "obs-scaler"),
        ("xobs-scaler-owner", "x"),
    ]);
    assert_eq!(similar, adopted("aarch64-l1", None));
}

#[test]
fn a_server_that_does_not_run_is_refused() {
    for (status, words) in [
        (ServerStatus::Deleting, "server s-1 is being deleted"),
        (ServerStatus::Building, "server s-1 does not run: BUILD"),
        (
            ServerStatus::Error("No valid host".to_owned()),
            "server s-1 does not run: ERROR No valid host",
        ),
        (
            ServerStatus::Other("SHUTOFF".to_owned()),
            "server s-1 does not run: SHUTOFF",
        ),
    ] {
        let verdict = Case::with(|server| server.status = status);
        assert_eq!(refused(verdict), words);
    }
}

#[test]
fn what_obs_does_not_list_is_no_worker_and_what_it_does_not_say_is_not_known() {
    let mut case = Case::new();
    case.workers = Ok(listing("w-11", Some(Arch::Aarch64)));
    assert_eq!(case.refusal(), Refusal::NotAWorker(HostName::new("w-1")));
    case.workers = Err(Unknown::Never { why: None });
    assert!(matches!(case.refusal(), Refusal::Unseen { .. }));
}

#[test]
fn a_worker_whom_obs_sees_at_another_machines_address_is_refused() {
    let mut case = Case::new();
    let seen_at = |address: &str| {
        let mut workers = listing("w-1", Some(Arch::Aarch64));
        let host = HostName::new("w-1");
        workers.addresses.insert(host, address.parse().unwrap());
        Ok(workers)
    };
    case.workers = seen_at("10.0.0.9");
    let words = refused(case.judge());
    assert!(
        words.starts_with(
            "backend main sees worker w-1 at 10.0.0.9, which is no address of server s-1"
        ),
        "{words}"
    );
    case.workers = seen_at(IP);
    assert_eq!(case.judge(), adopted("aarch64-l1", None));
}

#[test]
fn a_pool_that_the_worker_can_not_serve_is_refused() {
    let mut case = Case::new();
    case.pool = Some("x86-64-l1");
    assert!(matches!(case.refusal(), Refusal::OtherArch { .. }));
    case.pool = None;
    case.workers = Ok(listing("w-1", None));
    assert!(matches!(case.refusal(), Refusal::NoPool { .. }));
    let mut elsewhere = Case::new();
    let pool = PoolName::try_from("aarch64-l1").unwrap();
    let pool = elsewhere.policy.pools.get_mut(&pool).unwrap();
    pool.backends = vec![BackendName::new("other")];
    assert!(matches!(elsewhere.refusal(), Refusal::OtherBackends { .. }));
}

#[test]
fn a_server_whose_tags_leave_no_room_for_ours_is_refused() {
    let with = |count: usize| {
        Case::with(|server| {
            let tags = (0..count).map(|n| (format!("k{n}"), String::new()));
            server.tags = tags.collect();
        })
    };
    assert_eq!(with(6), adopted("aarch64-l1", None));
    let words = refused(with(7));
    assert!(words.starts_with("server s-1 has 7 tags"), "{words}");
}

fn listed() -> Server {
    Server {
        id: ServerId::new("s-1"),
        name: HostName::new("w-1"),
        status: ServerStatus::Active,
        ip: Some(ip()),
        flavor: FlavorName::new("f"),
        vcpus: Vcpus(32),
        created: Timestamp::UNIX_EPOCH,
        tags: Tags::default(),
    }
}

fn member(stage: Stage) -> Member {
    Member {
        server: ServerId::new("s-1"),
        name: None,
        pool: PoolName::try_from("p").unwrap(),
        order: None,
        vcpus: Vcpus(32),
        stage,
        since: Timestamp::UNIX_EPOCH,
        reached: true,
        ordered_here: false,
        own: crate::model::Overrides::default(),
        bound: None,
        due: None,
    }
}

#[test]
fn an_adopted_worker_in_service_is_let_go_and_one_on_its_way_is_not() {
    let kept = |stage| keeps(&listed(), Some(&member(stage)), false);
    assert_eq!(kept(Stage::Serving), None);
    assert_eq!(keeps(&listed(), None, false), None);
    let why = Why::Idle;
    assert_eq!(
        kept(Stage::Cordoned { why: why.clone() }),
        Some(Kept::Leaving)
    );
    assert_eq!(kept(Stage::Deleting { why }), Some(Kept::Leaving));
    assert_eq!(kept(Stage::Creating), Some(Kept::Arriving));
    let mut deleting = listed();
    deleting.status = ServerStatus::Deleting;
    assert_eq!(keeps(&deleting, None, true), Some(Kept::Leaving));
}

#[test]
fn what_an_order_bought_is_let_go_only_where_a_person_says_so() {
    let order = Some(OrderId::new("o"));
    let mut tagged = listed();
    tagged.tags.order = order.clone();
    let mut known = member(Stage::Serving);
    known.order = order;
    for (server, member) in [(&tagged, None), (&listed(), Some(&known))] {
        let kept = keeps(server, member, false);
        assert_eq!(kept, Some(Kept::Bought("o".to_owned())));
        assert_eq!(keeps(server, member, true), None);
    }
}

#[test]
fn our_server_of_an_address_is_found_and_all_our_tags_on_it() {
    let mut fleet = Fleet::default();
    assert_eq!(ours(ip(), &fleet), Err(Kept::NotOurs));
    let mut first = listed();
    let scaler = Scaler {
        since: Timestamp::UNIX_EPOCH,
        id: ScalerId::new(7),
    };
    first.tags.leases = vec![LeaseTag {
        scaler,
        renewed: Timestamp::UNIX_EPOCH,
    }];
    fleet.servers.insert(first.id.clone(), first.clone());
    assert_eq!(ours(ip(), &fleet), Ok(&first));
    let keys = keys_on(&first);
    assert_eq!(keys.len(), 5);
    assert!(keys.contains(&"obs-scaler-lease-00000007".to_owned()));
    let mut twin = first;
    twin.id = ServerId::new("s-2");
    fleet.servers.insert(twin.id.clone(), twin);
    assert_eq!(ours(ip(), &fleet), Err(Kept::Ambiguous));
}

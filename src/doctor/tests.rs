//! What answers mean.

use super::finding::{Finding, Verdict};
use super::{cloud, here};
use crate::config::{Config, SecretPlace};
use crate::ecs::{EcsError, Image, KeyPair, Network, Refusal, Right};
use crate::model::{
    Arch, Availability, FlavorName, FlavorStock, Fleet, HostName, Limit, OrderId, Price, PriceList,
    Quota, Results, Server, ServerId, ServerStatus, Stock, Tags, Vcpus, Workers, ZoneName,
};
use crate::ssh::{Service, SshKey};
use Verdict::{Fail, Ok as Fine, Warn};
use secrecy::SecretString;

/// The shipped configuration: a ceiling of 1792 vCPU, its smallest servers have 32.
fn config() -> Config {
    let given = |_: &SecretPlace| Ok(SecretString::from("swordfish".repeat(4)));
    Config::parse(include_str!("../../config.yaml"), &given).unwrap()
}

fn refusal(operation: &'static str, status: u16, code: &str) -> EcsError {
    EcsError::Refused(Box::new(Refusal {
        operation,
        status,
        code: code.to_owned(),
        detail: None,
        message: String::new(),
        request_id: None,
        said_so: true,
    }))
}

fn server(vcpus: u32, order: Option<&str>) -> Server {
    Server {
        id: ServerId::new(format!("id-{vcpus}")),
        name: HostName::new("obs-1"),
        status: ServerStatus::Active,
        ip: None,
        flavor: FlavorName::new("f"),
        vcpus: Vcpus(vcpus),
        created: "2026-01-22T10:15:30Z".parse().unwrap(),
        tags: Tags {
            order: order.map(OrderId::new),
            ..Tags::default()
        },
    }
}

#[test]
fn what_was_bought_takes_room_from_the_ceiling_and_what_was_adopted_does_not() {
    let mut fleet = Fleet::default();
    for server in [server(64, Some("o")), server(128, None)] {
        fleet.servers.insert(server.id.clone(), server);
    }
    let room = cloud::room(&config().policy, &fleet);
    assert_eq!((room.vcpus, room.servers), (1792 - 64, 54));
}

fn quota(cores: Option<u64>, instances: Option<u64>) -> Vec<Verdict> {
    let limit = |max| Limit { max, used: 10 };
    let quota = Quota {
        cores: limit(cores),
        instances: limit(instances),
        ram_mib: limit(None),
    };
    let room = cloud::Room {
        vcpus: 100,
        servers: 5,
    };
    let found = cloud::quota(&Ok(quota), room);
    found.iter().map(|finding| finding.verdict).collect()
}

#[test]
fn a_quota_below_the_ceiling_warns_and_one_that_is_used_up_fails() {
    assert_eq!(quota(None, None), [Fine, Fine]);
    assert_eq!(quota(Some(110), Some(15)), [Fine, Fine]);
    assert_eq!(quota(Some(109), Some(14)), [Warn, Warn]);
    assert_eq!(quota(Some(10), Some(10)), [Fail, Fail]);
}

#[test]
fn a_call_that_is_refused_names_the_action_that_it_needs() {
    let room = cloud::Room {
        vcpus: 1,
        servers: 1,
    };
    let error = refusal("limits", 403, "Ecs.0110");
    let [finding] = &cloud::quota(&Err(error), room)[..] else {
        panic!("one finding");
    };
    assert_eq!(finding.verdict, Fail);
    assert!(
        finding.mend.contains("ecs:cloudServerQuotas:get"),
        "{finding}"
    );
}

#[test]
fn an_image_has_to_be_there_active_of_the_arch_and_small_enough() {
    let image = |status: &str, arch, min_disk| Image {
        name: "worker".to_owned(),
        status: status.to_owned(),
        arch,
        min_disk,
    };
    let verdict = |found| cloud::image(Arch::Aarch64, "i", 40, &Ok(found));
    for (found, mend) in [
        (None, "correct ecs.images.aarch64"),
        (
            Some(image("queued", Arch::Aarch64, 40)),
            "wait until it is made",
        ),
        (
            Some(image("active", Arch::X86_64, 40)),
            "correct ecs.images.aarch64",
        ),
        (
            Some(image("active", Arch::Aarch64, 41)),
            "raise ecs.root_volume_gib",
        ),
    ] {
        let finding = verdict(found);
        assert_eq!(finding.verdict, Fail, "{finding}");
        assert!(finding.mend.starts_with(mend), "{finding}");
    }
    let fit = verdict(Some(image("active", Arch::Aarch64, 40)));
    assert_eq!(fit.verdict, Fine);
}

#[test]
fn the_subnet_has_to_be_in_the_vpc() {
    let verdict = |vpc: Option<&str>| cloud::subnet("s", "v", &Ok(vpc.map(str::to_owned))).verdict;
    assert_eq!(
        [verdict(Some("v")), verdict(Some("w")), verdict(None)],
        [Fine, Fail, Fail]
    );
    let gone = cloud::exists("VPC", "v", "ecs.vpc_id", &Ok(false));
    assert_eq!(
        (gone.verdict, gone.mend.as_str()),
        (Fail, "correct ecs.vpc_id")
    );
}

#[test]
fn a_subnet_without_addresses_for_the_ceiling_warns_and_a_full_one_fails() {
    let room = cloud::Room {
        vcpus: 320,
        servers: 10,
    };
    let verdict = |used| {
        let network = Network { total: 250, used };
        cloud::addresses(&Ok(Some(network)), room).verdict
    };
    assert_eq!(
        [verdict(240), verdict(241), verdict(250), verdict(251)],
        [Fine, Warn, Fail, Fail]
    );
    assert_eq!(cloud::addresses(&Ok(None), room).verdict, Fail);
}

fn sold(arch: Arch, vcpus: u32, zones: &[(&str, Availability)]) -> Stock {
    let zones = zones
        .iter()
        .map(|(zone, sale)| (ZoneName::new(*zone), *sale));
    let offered = FlavorStock {
        arch,
        vcpus: Vcpus(vcpus),
        memory_mib: None,
        local_disk: false,
        zones: zones.collect(),
        elsewhere: Availability::NotOffered,
    };
    let mut stock = Stock::default();
    stock
        .flavors
        .insert(FlavorName::new("ki1.8xlarge.4"), offered);
    stock
}

#[test]
fn a_flavor_has_to_be_what_its_pool_takes_it_for_and_to_be_had_in_a_zone() {
    use Availability::{NotOffered, OnSale, SoldOut};
    let config = config();
    let mut pools = config.policy.pools.values();
    let pool = pools
        .find(|pool| pool.flavor.as_str() == "ki1.8xlarge.4")
        .unwrap();
    let zones = ["a", "b"].map(ZoneName::new);
    let verdict = |stock: &Stock| cloud::flavor(pool, &pool.flavor, &zones, stock).verdict;
    let arm = |zones: &[(&str, Availability)]| sold(Arch::Aarch64, 32, zones);
    assert_eq!(verdict(&arm(&[("a", SoldOut), ("b", OnSale)])), Fine);
    assert_eq!(verdict(&arm(&[("a", SoldOut), ("b", NotOffered)])), Warn);
    assert_eq!(verdict(&arm(&[("c", OnSale)])), Fail);
    assert_eq!(verdict(&sold(Arch::X86_64, 32, &[("a", OnSale)])), Fail);
    assert_eq!(verdict(&sold(Arch::Aarch64, 64, &[("a", OnSale)])), Fail);
    assert_eq!(verdict(&Stock::default()), Fail);
    let anywhere = cloud::flavor(pool, &pool.flavor, &[], &arm(&[("c", OnSale)]));
    assert_eq!(anywhere.verdict, Fine);
}

#[test]
fn a_price_that_is_not_the_clouds_is_said_with_the_clouds() {
    let name = FlavorName::new("f");
    let list = |price: &[f64]| {
        let prices = price
            .iter()
            .map(|price| (name.clone(), Price::new(*price).unwrap()));
        prices.collect::<std::collections::BTreeMap<_, _>>()
    };
    let finding = |ours: &[f64], theirs: &[f64]| {
        let theirs = PriceList {
            currency: "CNY".to_owned(),
            flavors: list(theirs),
        };
        let mut found = cloud::prices(std::slice::from_ref(&name), &list(ours), &Ok(theirs));
        found.remove(0)
    };
    assert_eq!(finding(&[5.6], &[5.61]).verdict, Fine);
    let other = finding(&[5.6], &[8.4]);
    assert_eq!(other.verdict, Warn);
    assert!(other.expected.starts_with("8.4 CNY"), "{other}");
    assert_eq!(finding(&[], &[8.4]).verdict, Warn);
    assert_eq!(finding(&[5.6], &[]).verdict, Warn);
    let refused = cloud::prices(&[], &list(&[]), &Err(refusal("price", 403, "CBC.0151")));
    assert_eq!(refused[0].verdict, Warn);
}

#[test]
fn a_dry_run_that_finds_nothing_left_warns_and_any_other_refusal_fails() {
    let config = config();
    let pool = config.policy.pools.values().next().unwrap();
    let verdict = |found| cloud::dry_run(pool, &pool.flavor, &found).verdict;
    assert_eq!(verdict(Ok(())), Fine);
    assert_eq!(verdict(Err(refusal("dry_run", 400, "Ecs.0319"))), Warn);
    assert_eq!(verdict(Err(refusal("dry_run", 400, "Ecs.0031"))), Fail);
    let forbidden = cloud::dry_run(
        pool,
        &pool.flavor,
        &Err(refusal("dry_run", 403, "Ecs.0110")),
    );
    assert!(
        forbidden.mend.contains("ecs:cloudServers:createServers"),
        "{forbidden}"
    );
}

const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYgAAAJgAIAxdACAM
XQAAAAtzc2gtZWQyNTUxOQAAACCzPq7zfqLffKoBDe/eo04kH2XxtSmk9D7RQyf1xUqrYg
AAAEC2BsIi0QwW2uFscKTUUXNHLsYX4FxlaSDSblbAj7WR7bM+rvN+ot98qgEN796jTiQf
ZfG1KaT0PtFDJ/XFSqtiAAAAEHVzZXJAZXhhbXBsZS5jb20BAgMEBQ==
-----END OPENSSH PRIVATE KEY-----
";
const PUBLIC: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti x@y";

#[test]
fn the_key_pair_has_to_be_that_of_the_private_key() {
    let key = SshKey::parse(&KEY.into()).unwrap();
    let pair = |public_key: &str| KeyPair {
        public_key: public_key.to_owned(),
    };
    let verdict = |found| here::key_pair("k", &Ok(found), Some(&key)).verdict;
    assert_eq!(verdict(Some(pair(PUBLIC))), Fine);
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert_eq!(verdict(Some(pair(other))), Fail);
    assert_eq!(verdict(Some(pair("ssh-rsa"))), Fail);
    assert_eq!(verdict(None), Fail);
    assert_eq!(
        here::key_pair("k", &Ok(Some(pair(other))), None).verdict,
        Fine
    );
}

#[test]
fn keys_that_open_nothing_are_found() {
    assert_eq!(here::login(Some(&SshKey::parse(&KEY.into()))).verdict, Fine);
    assert_eq!(
        here::login(Some(&SshKey::parse(&"rubbish".into()))).verdict,
        Fail
    );
    assert_eq!(here::host_key_secret(32).verdict, Fine);
    assert_eq!(here::host_key_secret(31).verdict, Fail);
}

#[test]
fn the_state_directory_has_to_be_there_and_is_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(here::state_dir(dir.path()).verdict, Fine);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(here::state_dir(&dir.path().join("none")).verdict, Fail);
}

#[test]
fn backends_and_workers_say_why_they_cannot_be_read() {
    let why = || "connection refused".to_owned();
    let findings: [Finding; 3] = [
        here::workers("main", &Err(why())),
        here::results("main", &Err(why())),
        here::worker(&server(32, None), &Err(why())),
    ];
    for finding in findings {
        assert_eq!(finding.verdict, Fail);
        assert!(
            finding.to_string().contains("found connection refused"),
            "{finding}"
        );
    }
    let service = Service {
        unit: "active".to_owned(),
        processes: Vec::new(),
    };
    assert_eq!(here::workers("main", &Ok(Workers::default())).verdict, Fine);
    assert_eq!(here::results("main", &Ok(Results::default())).verdict, Fine);
    assert_eq!(here::worker(&server(32, None), &Ok(service)).verdict, Fine);
}

#[test]
fn a_right_is_there_where_a_call_is_not_refused_and_unknown_where_its_answer_tells_nothing() {
    let found = |said| cloud::right("list ports", &said);
    let refused = |status, code| found(Err(refusal("delete_port", status, code)));
    assert_eq!(found(Ok(Right::Granted)).verdict, Fine);
    for (finding, verdict, mend) in [
        (found(Ok(Right::Withheld)), Fail, "allow vpc:ports:get"),
        (found(Ok(Right::Untold)), Warn, "look again once"),
        (refused(403, "Ecs.0110"), Fail, "allow vpc:ports:delete"),
        (refused(400, "VPC.0302"), Warn, "nothing, where"),
        (refused(403, "Ecs.0067"), Warn, "put the account right"),
    ] {
        assert_eq!(finding.verdict, verdict, "{finding}");
        assert!(finding.mend.starts_with(mend), "{finding}");
    }
}

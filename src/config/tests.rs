//! Promises of the loading as a whole.

mod backends;

use super::*;
use std::collections::BTreeSet;
use std::path::Path;

const SHIPPED: &str = include_str!("../../config.yaml");

/// Any secret that is asked for, of a length that suits all of them.
#[expect(clippy::unnecessary_wraps, reason = "the shape of a SecretSource")]
fn given(_: &SecretPlace) -> Result<SecretString, String> {
    Ok(SecretString::from("swordfish".repeat(4)))
}

fn parse(text: &str) -> Result<String, String> {
    Config::parse(text, &given)
        .map(|config| format!("{config:#?}"))
        .map_err(|faults| faults.to_string())
}

fn shipped() -> String {
    parse(SHIPPED).unwrap()
}

/// The shipped document with one passage replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(SHIPPED.matches(old).count(), 1, "{old}");
    SHIPPED.replace(old, new)
}

/// Asserts that replacing a passage gives this one fault (without its position).
fn one_fault(old: &str, new: &str, fault: &str) {
    let faults = Config::parse(&with(old, new), &given).unwrap_err().all;
    let [found] = faults.as_slice() else {
        panic!("{old} -> {new}: {faults:#?}");
    };
    let said = format!(
        "{}: found {}, expected {}",
        found.path, found.found, found.expected
    );
    assert_eq!(said, fault, "{old} -> {new}");
}

#[test]
fn every_default_that_the_shipped_file_names_is_the_real_one() {
    let lines: Vec<_> = SHIPPED.lines().collect();
    let named = |line: &&&str| !line.trim_start().starts_with('#') && line.contains("# default");
    let without = |drop: &dyn Fn(&str) -> bool| {
        let kept: Vec<_> = lines.iter().copied().filter(|line| !drop(line)).collect();
        parse(&kept.join("\n")).unwrap()
    };
    let defaults: Vec<_> = lines.iter().filter(named).collect();
    assert!(defaults.len() > 30, "{}", defaults.len());
    for line in &defaults {
        let (set, said) = line.split_once(" # default").unwrap();
        let (_, value) = set.split_once(": ").unwrap();
        if let Some(said) = said.strip_prefix(' ') {
            assert_eq!(value, said, "{line}");
        }
        assert_eq!(without(&|other| other == **line), shipped(), "{line}");
    }
    assert_eq!(
        without(&|line| defaults.iter().any(|d| **d == line)),
        shipped()
    );
}

#[test]
fn every_key_there_is_stands_in_the_shipped_file() {
    let unknown_everywhere = "{zz: 1, web: {zz: 1}, backends: [{zz: 1}], flavors: {aarch64: {l1: {zz: 1}}}, \
        levels: {zz: 1, l1: {zz: 1}, packages: [{zz: 1}]}, pools: [{zz: 1, flavor: {zz: 1}}], \
        scaling: {zz: 1, release: {zz: 1}}, history: {zz: 1}, poll: {zz: 1}, ecs: {zz: 1}, ssh: {zz: 1}, \
        hosts: {zz: 1}, workers: {zz: 1}}";
    let faults = Config::parse(unknown_everywhere, &given).unwrap_err().all;
    let unknown = faults
        .iter()
        .filter(|fault| fault.found == "an unknown key");
    let known: Vec<_> = unknown
        .map(|f| f.expected.trim_start_matches("one of "))
        .collect();
    assert_eq!(known.len(), unknown_everywhere.matches("zz").count());
    let words = SHIPPED.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let words: Vec<_> = words.collect();
    for key in known.iter().flat_map(|keys| keys.split(", ")) {
        assert!(words.contains(&key), "{key}");
    }
}

#[test]
fn all_faults_are_reported_at_once_each_where_it_stands() {
    let text = include_str!("../../tests/data/config/faulty.yaml");
    let faults = parse(text).unwrap_err();
    let expected = include_str!("../../tests/data/config/faulty.expected");
    assert_eq!(faults.trim(), expected.trim(), "\n{faults}");
}

#[test]
fn what_cannot_be_is_refused() {
    one_fault(
        "ceiling_vcpus: 1792",
        "ceiling_vcpus: -1",
        "scaling.ceiling_vcpus: found -1, expected a whole number from 0 to 1000000",
    );
    one_fault(
        "max_age: 2m",
        "max_age: 100s",
        "scaling.max_age: found 100s, with 60s as poll.history, expected at least 120s, two polls",
    );
    one_fault(
        "hysteresis: 0.1 #",
        "hysteresis: 10 #",
        "levels.hysteresis: found 10, expected a number from 0 to 0.5",
    );
    one_fault(
        "below: 5m",
        "below: 15m",
        "levels.l2.below: found 600s, where l1 has 900s, expected more than l1.below",
    );
    one_fault(
        "  - { name: x86-64-l3, arch: x86_64, level: l3, backends: [main] }\n",
        "",
        "pools: found no pool with main for x86_64 l3, \
         expected each backend, arch and level in one pool without projects of its own",
    );
    one_fault(
        "  - { name: x86-64-l3",
        "  - { name: twice, arch: x86, level: l2, backends: [main] }\n  - { name: x86-64-l3",
        "pools[5].backends[0]: found main for x86_64 l2, which pool x86-64-l2 has as well, \
         expected each backend, arch and level in one pool without projects of its own",
    );
    one_fault(
        "    x86_64: 00000000-0000-0000-0000-000000000000\n",
        "",
        "ecs.images: found no image for x86_64, which pool x86-64-l1 has, \
         expected an image for each arch that a pool has",
    );
    one_fault(
        "    l3: { name: c7.32xlarge.4, vcpus: 128, instances: 12, jobs: all, price: 22.4 }\n",
        "",
        "pools[5]: found no flavor for x86_64 l3, \
         expected flavors.x86_64.l3, or flavor and instances of its own",
    );
}

#[test]
fn a_project_has_one_pool_and_each_place_one_for_the_rest() {
    let line = "  - { name: x86-64-l3, arch: x86_64, level: l3, backends: [main] }\n";
    let more = |name: &str, projects: &str| {
        let at = "arch: x86_64, level: l3, backends: [main]";
        format!("{line}  - {{ name: {name}, {at}, projects: [{projects}] }}\n")
    };
    let home = more("home", "'home:.*'");
    assert!(parse(&with(line, &home)).is_ok());
    one_fault(
        line,
        &home.replace(line, ""),
        "pools: found no pool with main for x86_64 l3, \
         expected each backend, arch and level in one pool without projects of its own",
    );
    let twice = |pattern: &str| {
        let other = more("open", pattern);
        format!(
            "{}{}",
            more("own", "'openEuler:M.*'"),
            other.replace(line, "")
        )
    };
    assert!(parse(&with(line, &twice("openEuler:N.*"))).is_ok());
    one_fault(
        line,
        &twice("home:.*, 'openEuler:.*'"),
        "pools[7].projects: found openEuler:Mainline of main for x86_64 l3, which pool own has as well, \
         expected patterns of which one pool's name a project",
    );
    one_fault(
        line,
        &more("own", ""),
        "pools[6].projects: found an empty list, expected at least one item",
    );
}

#[test]
fn a_repository_architecture_gets_its_hosts_by_the_map_and_a_host_its_own() {
    let text = with("  i686: x86_64 #", "  riscv64: x86 #");
    let policy = Config::parse(&text, &given).unwrap().policy;
    let hosts = ["aarch64", "armv7l", "riscv64", "i686", "x86", "ppc64le"];
    let of = |word| policy.host_arch(word).map(Arch::as_str);
    let (arm, x86) = (Some("aarch64"), Some("x86_64"));
    assert_eq!(hosts.map(of), [arm, arm, x86, x86, None, None]);
    one_fault(
        "  i686: x86_64 #",
        "  aarch64: x86_64 #",
        "archs.aarch64: found an unknown key, \
         expected a repository architecture such as i586, none of a host",
    );
}

#[test]
fn nothing_is_named_twice() {
    one_fault(
        "name: x86-64-l3",
        "name: x86-64-l2",
        "pools[5].name: found \"x86-64-l2\" again, expected a name of its own for each pool",
    );
    one_fault(
        "      - openEuler:Mainline\n",
        "      - openEuler:Mainline\n      - openEuler:Mainline\n",
        "backends[0].projects[1]: found \"openEuler:Mainline\" again, \
         expected each project once, over all backends",
    );
    one_fault(
        "    x86_64: 00000000",
        "    x86: i\n    x86_64: 00000000",
        "ecs.images.x86_64: found the same key again, expected each key once",
    );
}

#[test]
fn what_is_no_yaml_is_one_fault_with_its_line() {
    let faults = parse("web:\n  listen: x\n token: swordfish\n").unwrap_err();
    assert!(
        faults.starts_with("3:2: .: found no YAML (did not find expected key"),
        "{faults}"
    );
    assert!(!faults.contains("swordfish"), "{faults}");
}

#[test]
fn server_names_fit_what_the_cloud_takes() {
    let named = |name: &str| {
        let text = with("name_prefix: obs #", "name_prefix: a-prefix-of-20-chars #");
        parse(&text.replace("name: x86-64-l3", &format!("name: {name}")))
    };
    assert!(named("a-name-of-thirty-characters-xx").is_ok());
    let faults = named("a-name-of-thirty-one-characters").unwrap_err();
    let name = "a-name-of-thirty-one-characters";
    let said = format!("pools[5].name: found {name:?}, with server names of 60 characters");
    assert!(faults.contains(&said), "{faults}");
}

#[test]
fn the_ceiling_lets_in_a_server_of_some_pool_that_buys() {
    let text = with("mode: observe #", "mode: apply #");
    let fits = text.replace("ceiling_vcpus: 1792", "ceiling_vcpus: 32");
    assert!(parse(&fits).is_ok());
    let text = text.replace("ceiling_vcpus: 1792", "ceiling_vcpus: 31");
    let faults = parse(&text).unwrap_err();
    assert!(
        faults.ends_with("expected at least 32, the smallest server of a pool that buys"),
        "{faults}"
    );
}

#[test]
fn a_pool_overrides_its_flavor() {
    let own = "flavor: { name: kc1.4xlarge.4, vcpus: 16 }, instances: 1 }";
    let text = with(
        "level: l3, backends: [main] }\n  - { name: x86-64-l1",
        &format!("level: l3, backends: [main], {own}\n  - {{ name: x86-64-l1"),
    );
    let config = Config::parse(&text, &given).unwrap();
    let pool = &config.policy.pools[&PoolName::try_from("aarch64-l3").unwrap()];
    let has = (pool.flavor.as_str(), pool.vcpus, pool.instances, pool.jobs);
    assert_eq!(has, ("kc1.4xlarge.4", Vcpus(16), 1, 16));
}

#[test]
fn workers_are_told_of_their_cache_and_proxy_and_a_pool_may_have_a_cache_of_its_own() {
    let text = SHIPPED.replace("    # cache_mib: 102400", "    cache_mib: 102400");
    let told = "workers: { cache_mib: 51200, cache_dir: /var/cache/obs, binaries_proxy: 'http://10.0.0.7:5254' }";
    let config = Config::parse(&format!("{text}{told}\n"), &given).unwrap();
    let pool = |name: &str| &config.policy.pools[&PoolName::try_from(name).unwrap()];
    let own = crate::policy::setup::of_pool(pool("aarch64-l1"));
    assert_eq!(own.cache_mib, Some(102_400));
    let common = crate::policy::setup::of_pool(pool("x86-64-l1"));
    assert_eq!(common.cache_mib, Some(51_200));
    assert_eq!(common.cache_dir.as_deref(), Some("/var/cache/obs"));
    let proxy = common.binaries_proxy.as_deref();
    assert_eq!(proxy, Some("http://10.0.0.7:5254"));
    for wrong in ["/", "var/cache", "/var/../etc", "/a b", "//"] {
        let text = format!("{SHIPPED}workers: {{ cache_dir: {wrong} }}\n");
        let faults = parse(&text).unwrap_err();
        assert!(faults.contains("workers.cache_dir"), "{wrong}: {faults}");
    }
}

#[test]
fn a_fresh_checkout_is_valid_and_serve_refuses_its_missing_secrets() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.yaml");
    let Notices { unread, warnings } = check(&path).unwrap();
    assert_eq!(warnings.to_string(), "");
    let paths: Vec<_> = unread.all.iter().map(|fault| fault.path.as_str()).collect();
    let secrets = [
        "web.token_file",
        "ecs.access_key_env",
        "ecs.secret_key_env",
        "ssh.private_key_file",
        "ssh.host_key_secret_file",
    ];
    assert_eq!(paths, secrets);
    let refused = Config::load(&path).unwrap_err().to_string();
    assert_eq!(refused, unread.to_string());
    let named = "found the variable OBS_SCALER_ACCESS_KEY, which is not set, expected a secret";
    assert!(refused.contains(named), "{refused}");
}

#[test]
fn hosts_of_backends_and_proved_worker_code_are_read_or_refused_by_name() {
    let key = "  sysconfig: /etc/sysconfig/obs-server";
    let known = "  known_hosts_file: /etc/obs-scaler/known_hosts\n";
    let add = |more: &str| with(key, &format!("{more}{known}{key}"));
    let code = "0123456789abcdef0123456789abcdef";
    let text = add(&format!(
        "  proved_worker_code: [\"{code}\"]\n  backend_hosts:\n    main:\n      address: 10.0.0.5\n"
    ));
    let ssh = Config::parse(&text, &given).unwrap().ssh;
    assert_eq!(ssh.proved_worker_code, [code]);
    let host = &ssh.backend_hosts[&BackendName::new("main")];
    assert_eq!(host.address.to_string(), "10.0.0.5:22");
    assert_eq!((host.user.as_str(), &host.workers_dir), ("root", &None));
    for (more, place) in [
        (
            "  proved_worker_code: [\"abc\"]\n",
            "ssh.proved_worker_code[0]",
        ),
        (
            "  backend_hosts: {mian: {address: 10.0.0.5}}\n",
            "ssh.backend_hosts.mian",
        ),
        (
            "  backend_hosts: {main: {address: obs}}\n",
            "ssh.backend_hosts.main.address",
        ),
        (
            "  backend_hosts: {main: {user: root}}\n",
            "ssh.backend_hosts.main.address",
        ),
    ] {
        let faults = Config::parse(&add(more), &given).unwrap_err().all;
        let places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(places, [place]);
    }
}

#[test]
fn a_host_of_a_backend_that_can_not_be_reached_is_refused() {
    let key = "  sysconfig: /etc/sysconfig/obs-server";
    let known = "  known_hosts_file: /etc/obs-scaler/known_hosts\n";
    let read = |host: &str, more: &str, forced: bool| {
        let host = format!("  backend_hosts: {{main: {{address: 10.0.0.5{host}}}}}\n");
        let text = with(key, &format!("{host}{more}{key}"));
        let forced = format!("forced_command: {forced}");
        parse(&text.replace("forced_command: false", &forced))
    };
    let dir = ", workers_dir: /srv/obs/workers";
    assert!(read(dir, known, false).is_ok());
    assert!(read("", known, true).is_ok());
    let unpinned = read("", "", false).unwrap_err();
    let words =
        "ssh.known_hosts_file: found nothing, expected a file with the host keys of backend_hosts";
    assert!(unpinned.contains(words), "{unpinned}");
    let two = read(dir, known, true).unwrap_err();
    let words = "ssh.backend_hosts.main.workers_dir: found a directory beside forced_command: true, \
        expected no workers_dir beside it (leave it out, or forced_command)";
    assert!(two.contains(words), "{two}");
}

#[test]
fn no_secret_is_ever_shown() {
    assert!(!shipped().contains("swordfish"));
    let short = |_: &SecretPlace| Ok(SecretString::from("swordfish\u{7f}"));
    let faults = Config::parse(SHIPPED, &short).unwrap_err();
    assert_eq!(faults.all.len(), 4, "{faults}");
    assert!(!format!("{faults} {faults:?}").contains("swordfish"));
    for misplaced in [
        "token_env: swordfish",
        "token_file: swordfish",
        "token: swordfish",
        "token_env: [swordfish]",
        "token_env: A\n  token_file: /swordfish",
    ] {
        let text = with("token_file: /etc/obs-scaler/webhook-token", misplaced);
        let faults = Config::parse(&text, &given).unwrap_err();
        assert!(
            !format!("{faults} {faults:?}").contains("swordfish"),
            "{faults}"
        );
    }
}

#[test]
fn a_pool_may_be_bought_in_several_zones_and_flavors_each_named_once() {
    let other = "alternatives: [{ name: kc1.8xlarge.4, price: 3.9 }], ";
    let first = "{ name: ki1.8xlarge.4, vcpus: 32, ";
    let zones = "\nscaling:\n  availability_zones: [b, a]";
    let text = SHIPPED.replace("\nscaling:", zones);
    let text = text.replace(first, &format!("{first}{other}"));
    let config = Config::parse(&text, &given).unwrap();
    let pools = &config.policy.pools;
    let pool = pools
        .values()
        .find(|pool| pool.name.as_str() == "aarch64-l1");
    let offers = config.policy.offers(pool.unwrap()).map(|o| o.to_string());
    let expected = [
        "ki1.8xlarge.4 in b",
        "ki1.8xlarge.4 in a",
        "kc1.8xlarge.4 in b",
        "kc1.8xlarge.4 in a",
    ];
    assert_eq!(offers.collect::<Vec<_>>(), expected);
    let price = config.prices.get(&FlavorName::new("kc1.8xlarge.4"));
    assert_eq!(price.map(|price| price.per_hour()), Some(3.9));
    for wrong in ["[b, b]", "b"] {
        let zones = format!("\nscaling:\n  availability_zones: {wrong}");
        let text = SHIPPED.replace("\nscaling:", &zones);
        let faults = Config::parse(&text, &given).unwrap_err().to_string();
        assert!(faults.contains("scaling.availability_zones"), "{faults}");
    }
    let twice = "alternatives: [{ name: ki1.8xlarge.4 }], ";
    let text = SHIPPED.replace(first, &format!("{first}{twice}"));
    let faults = Config::parse(&text, &given).unwrap_err().to_string();
    assert!(faults.contains("flavor ki1.8xlarge.4 again"), "{faults}");
}

#[test]
fn local_disks_are_named_or_none_or_as_the_cloud_says() {
    let key = "  min_free_gib: 0 ";
    let read = |list: &str| {
        let text = with(key, &format!("{list}{key}"));
        Config::parse(&text, &given).unwrap().checks.local_disks
    };
    assert_eq!(read(""), None);
    assert_eq!(read("  local_disks: []\n"), Some(BTreeSet::new()));
    let named = Some(BTreeSet::from([FlavorName::new("ki1")]));
    assert_eq!(read("  local_disks: [ki1]\n"), named);
}

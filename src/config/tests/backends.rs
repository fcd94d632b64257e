//! Where a backend is read from, and which projects are its own.

use super::*;

const SERVERS: &str = "    source_server: http://127.0.0.1:5352
    repository_server: http://127.0.0.1:5252
    # Where workers reach them, HOST:PORT, when that is elsewhere.
    worker_source_server: 127.0.0.1:5352 # default: the host and port of source_server
    worker_repository_server: 127.0.0.1:5252 # default: the host and port of repository_server
";
const TOLD: &str =
    "    worker_source_server: 10.0.0.1:5352\n    worker_repository_server: 10.0.0.1:5252\n";
const FRONTEND: &str = "    frontend: https://build.example.org\n    frontend_user: scaler\n    frontend_password_env: PASSWORD\n";

/// The shipped document with other servers, and a maximum age that suits a frontend.
fn reading(servers: &str) -> String {
    with(SERVERS, servers).replace("max_age: 2m #", "max_age: 200s #")
}

fn main_backend(text: &str) -> Backend {
    let config = Config::parse(text, &given).unwrap();
    config.backends[&BackendName::new("main")].clone()
}

fn faults(text: &str) -> Vec<String> {
    let faults = Config::parse(text, &given).unwrap_err().all;
    let said = |f: &Fault| format!("{}: found {}, expected {}", f.path, f.found, f.expected);
    faults.iter().map(said).collect()
}

#[test]
fn a_backend_is_read_from_two_servers_from_one_or_from_the_frontend() {
    assert!(matches!(
        main_backend(SHIPPED).access,
        Access::Servers { .. }
    ));
    let alone =
        "    source_server: http://10.0.0.5:5352\n    worker_repository_server: 10.0.0.5:5252\n";
    let alone = main_backend(&reading(alone));
    assert!(matches!(alone.access, Access::SourceServer { .. }));
    assert_eq!(alone.worker_source_server, "10.0.0.5:5352");
    let frontend = main_backend(&reading(&format!("{FRONTEND}{TOLD}")));
    let Access::Frontend { url, user, .. } = &frontend.access else {
        panic!("{:?}", frontend.access);
    };
    assert_eq!(
        (url.as_str(), user.as_str()),
        ("https://build.example.org", "scaler")
    );
    assert!(!format!("{frontend:?}").contains("swordfish"));
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let lacks = "HOST:PORT, as workers reach it: what this backend is read from does not say";
    let repository =
        format!("backends[0].worker_repository_server: found nothing, expected {lacks}");
    let source = format!("backends[0].worker_source_server: found nothing, expected {lacks}");
    let alone = "    source_server: http://10.0.0.5:5352\n";
    assert_eq!(faults(&reading(alone)), std::slice::from_ref(&repository));
    let mut both = faults(&reading(FRONTEND));
    both.sort();
    assert_eq!(both, [repository, source]);
    let more = format!("{FRONTEND}{TOLD}    repository_server: http://10.0.0.5:5252\n");
    let beside = "backends[0].repository_server: found a server beside a frontend, \
        expected frontend alone, or source_server and perhaps repository_server";
    assert_eq!(faults(&reading(&more)), [beside]);
    let none = faults(&reading(TOLD));
    let expected = "backends[0].source_server: found nothing, expected source_server or frontend";
    assert_eq!(none, [expected]);
    let user = format!("{alone}    worker_repository_server: a:1\n    frontend_user: x\n");
    let expected = "backends[0].frontend_user: found credentials without a frontend, expected frontend beside it";
    assert_eq!(faults(&reading(&user)), [expected]);
}

#[test]
fn a_password_goes_over_the_network_in_tls_only() {
    let at = |url: &str| {
        let frontend = FRONTEND.replace("https://build.example.org", url);
        Config::parse(&reading(&format!("{frontend}{TOLD}")), &given).is_ok()
    };
    assert!(at("http://127.0.0.1:3000") && at("http://localhost:3000") && at("http://[::1]:3000"));
    assert!(!at("http://10.0.0.5:3000") && !at("http://build.example.org"));
}

#[test]
fn a_frontends_cache_needs_a_maximum_age_that_outlives_it() {
    let text = reading(&format!("{FRONTEND}{TOLD}"));
    let short = text.replace("max_age: 200s #", "max_age: 199s #");
    let expected = "scaling.max_age: found 199s, with a frontend for backend main, expected at least \
        200s: 180s for which a frontend keeps what it says of workers, and two polls";
    assert_eq!(faults(&short), [expected]);
}

#[test]
fn a_found_project_belongs_to_the_backend_that_names_it_else_to_the_first_whose_pattern_matches() {
    let second = "  - { name: second, source_server: 'http://b', repository_server: 'http://b:1', \
        projects: [home:named], projects_matching: ['home:.*', 'x'] }\n";
    let own = "    projects_matching: ['home:a.*', 'home:named', 'home:both']\n";
    let text = with(
        "      - openEuler:Mainline\n",
        &format!("      - openEuler:Mainline\n{own}{second}"),
    );
    let text = text.replace("backends: [main]", "backends: [main, second]");
    let config = Config::parse(&text, &given).unwrap();
    let takes = |project: &str| {
        let backends = config.backends.values();
        let takes = backends.filter(|b| b.discovery.takes(project));
        takes.map(|b| b.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(takes("home:abc"), ["main"]);
    assert_eq!(takes("home:z"), ["second"]);
    assert_eq!(takes("home:both"), ["main"]);
    assert_eq!(takes("home:named"), [""; 0]);
    assert_eq!(takes("openEuler:Mainline"), [""; 0]);
    assert_eq!(takes("xx"), [""; 0]);
    let twice = text.replace("'home:both'", "'home:.*'");
    let expected = "backends[1].projects_matching[0]: found the same pattern again, \
        expected each pattern once, over all backends";
    assert_eq!(faults(&twice), [expected]);
}

#[test]
fn a_backend_may_have_patterns_alone() {
    let text = with(
        "    projects:\n      - openEuler:Mainline\n",
        "    projects_matching: ['openEuler:.*']\n",
    );
    assert!(main_backend(&text).projects.is_empty());
    let none = with("    projects:\n      - openEuler:Mainline\n", "");
    let expected = "backends[0].projects: found nothing, expected the projects that it schedules, or projects_matching";
    assert_eq!(faults(&none), [expected]);
}

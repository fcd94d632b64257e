//! Names as odd as they come, and names that come twice: Prometheus has to take the page all the same.

use super::rules::promtool;
use super::*;

const ODD: [&str; 4] = ["a\"} 1\n# EOF\nb{c=\"", "\\", "ünï\u{fffd}\r\n", "{}, #"];

/// Every name that comes from outside is odd, and two pools tell of the same host and the same job.
fn hostile() -> FleetState {
    let mut state = state();
    let snapshot = Arc::make_mut(&mut state.snapshot);
    let key = |odd: &str| [odd; 4].map(str::to_owned).into();
    let results = Results {
        jobs: vec![],
        packages: ODD.map(|odd| (key(odd), 1)).into(),
    };
    let daemon = |odd: &str| Daemon {
        kind: odd.to_owned(),
        arch: Some(odd.to_owned()),
        state: DaemonState::Running,
        started: None,
        queue: BTreeMap::from([(odd.to_owned(), 3)]),
    };
    let twice = ODD.iter().chain(&ODD).copied();
    let workers = Workers {
        daemons: twice.map(daemon).collect(),
        ..workers(&[(1, InstanceState::Idle)])
    };
    let view = BackendView {
        results: Observed::known(at(NOW), results),
        workers: Observed::known(at(NOW), workers),
        ..BackendView::default()
    };
    let backends = &mut snapshot.backends;
    backends.values_mut().for_each(|b| *b = view.clone().into());
    for facts in state.pools.values_mut() {
        for (wait, odd) in (100..).zip(ODD) {
            let job = [odd; 3].map(str::to_owned).into();
            facts.watched.insert(job, at(NOW - wait));
            let of = (BackendName::new("a"), odd.to_owned(), JobState::Blocked);
            facts.jobs.insert(of, 1);
            facts.hosts.insert(HostName::new(odd));
        }
        facts.hosts.insert(HostName::new("w1"));
    }
    let far = state.pools.get_mut(&name("far")).unwrap();
    let job = ["kernel", "P:A", "aarch64"].map(str::to_owned).into();
    far.watched.insert(job, at(NOW - 950));
    state
}

#[test]
fn a_series_comes_once_whatever_the_names() {
    let page = page(hostile());
    let mut series = BTreeSet::new();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (named, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(series.insert(named.to_owned()), "{named} comes twice");
    }
    let longest = "obs_watched_job_scheduled_timestamp_seconds{package=\"kernel\",project=\"P:A\",arch=\"aarch64\"} 999050.0";
    assert_shows(&page, &[longest]);
    promtool(&page);
}

//! What is said of single workers.

use super::*;

/// The checks of `w1`, at this stage and with this outcome of the last run.
fn checks(stage: Stage, outcome: Option<CheckOutcome>) -> Vec<String> {
    let mut state = state();
    let ledger = Arc::make_mut(&mut state.ledger);
    ledger.members.get_mut(&ServerId::new("s1")).unwrap().stage = stage;
    let report = outcome.map(|outcome| CheckReport {
        untouched: false,
        at: at(NOW),
        outcome,
    });
    let report = report.map(|report| (ServerId::new("s1"), report));
    state.checks = Arc::new(report.into_iter().collect());
    let shown = page(state);
    let of_check = |line: &str| {
        let rest = line.strip_prefix("obs_worker_check{worker=\"w1\",check=\"")?;
        Some(rest.replace("\"}", ""))
    };
    shown.lines().filter_map(of_check).collect()
}

#[test]
fn a_check_that_was_not_made_is_not_shown() {
    let checking = || Stage::Checking { active: at(1) };
    let failed = |check: &str| Some(checked(check).outcome);
    assert_eq!(checks(checking(), failed("machine")), ["machine 0"]);
    let at_service = ["machine 1", "disk 1", "clock 1", "config 1", "service 0"];
    assert_eq!(checks(checking(), failed("service")), at_service);
    for unknown in [
        failed("session"),
        Some(CheckOutcome::Unreachable(String::new())),
        None,
    ] {
        assert!(checks(checking(), unknown).is_empty());
    }
    let all =
        |registered: &str| format!("machine 1,disk 1,clock 1,config 1,service 1,{registered}");
    let all = |registered| {
        all(registered)
            .split(',')
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let joining = Stage::Joining { active: at(1) };
    assert_eq!(
        checks(joining, Some(CheckOutcome::Passed)),
        all("registered 0")
    );
    assert_eq!(
        checks(Stage::Serving, Some(CheckOutcome::Passed)),
        all("registered 1")
    );
}

#[test]
fn a_worker_in_service_that_lacks_instances_is_not_registered() {
    let mut state = state();
    let ledger = Arc::make_mut(&mut state.ledger);
    let lacks = InstanceId::parse("w1:1").unwrap();
    ledger.gaps.insert(lacks, (Gap::Absent, at(NOW)));
    assert_shows(
        &page(state),
        &["obs_worker_check{worker=\"w1\",check=\"registered\"} 0"],
    );
}

#[test]
fn each_worker_has_one_stage() {
    let mut state = state();
    let hosts = ["w1", "theirs"].map(HostName::new);
    state.pools.get_mut(&name("near")).unwrap().hosts = hosts.into();
    let page = page(state);
    assert_shows(
        &page,
        &[
            "obs_worker_stage{worker=\"w1\",stage=\"serving\"} 1",
            "obs_worker_stage{worker=\"theirs\",stage=\"unmanaged\"} 1",
        ],
    );
    assert_eq!(page.matches("obs_worker_stage{").count(), 2);
}

#[test]
fn costs_are_shown_for_each_flavor_and_left_out_while_the_list_is_not_known() {
    let near = "pool=\"near\",arch=\"aarch64\",level=\"l2\",flavor=\"ki1.16xlarge.4\"";
    let gauge = format!("obs_scaler_cost_per_hour{{{near}}} 8.4");
    let total = format!("obs_scaler_cost_total{{{near}}} 8.4");
    let idle = format!("obs_scaler_idle_cost_total{{{near}}} 4.2");
    let mut state = state();
    assert_shows(&page(state.clone()), &[&gauge, &total, &idle]);
    state.costs = None;
    let page = page(state);
    assert!(!page.contains("obs_scaler_cost_per_hour"));
    assert_shows(&page, &[&total]);
}

//! Where the workers' node_exporter is to be found, in the format of Prometheus' HTTP service discovery
//! (<https://prometheus.io/docs/prometheus/latest/http_sd/>).

use crate::model::{Server, ServerStatus, Stage, Unknown};
use crate::policy::View;
use serde_json::{Value, json};
use std::net::SocketAddr;

/// A target for each managed server of a configured pool that runs and is not being deleted, with the
/// labels `pool, arch, level, worker`; `port` is where its node_exporter listens.
///
/// # Errors
/// Where the cloud's list is not young enough: not an empty list, by which every target would be lost.
pub fn discover(view: &View<'_>, port: u16) -> Result<Value, Unknown> {
    let fleet = view.fleet()?;
    let servers = fleet.value().servers.values();
    let targets = servers.filter_map(|server| target(view, server, port));
    Ok(targets.collect())
}

fn target(view: &View<'_>, server: &Server, port: u16) -> Option<Value> {
    let member = view.ledger.members.get(&server.id);
    let deleted = member
        .is_some_and(|member| matches!(member.stage, Stage::Deleting { .. } | Stage::Gone { .. }));
    if deleted || server.status != ServerStatus::Active {
        return None;
    }
    // What we know wins over the tag, since it is what we act on.
    let pool = member
        .map(|member| &member.pool)
        .or(server.tags.pool.as_ref())?;
    let pool = view.policy.pools.get(pool)?;
    let labels = json!({
        "pool": pool.name.as_str(),
        "arch": pool.arch.as_str(),
        "level": pool.level.as_str(),
        "worker": server.name.as_str(),
    });
    let addr = SocketAddr::new(server.ip?, port);
    Some(json!({ "targets": [addr.to_string()], "labels": labels }))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{config, fleet};
    use super::*;
    use crate::config::Config;
    use crate::model::{Alarms, Fleet, Ledger, Member, Observed, PoolName, Snapshot, Vcpus, Why};
    use jiff::Timestamp;
    use std::sync::Arc;

    fn discovered(fleet: Observed<Fleet>, ledger: &Ledger) -> Result<Value, Unknown> {
        let config: Config = config("none", 9100, "5s");
        let snapshot = Snapshot {
            fleet: Arc::new(fleet),
            ..Snapshot::default()
        };
        let view = View {
            snapshot: &snapshot,
            ledger,
            alarms: &Alarms::default(),
            policy: &config.policy,
            now: Timestamp::from_second(1000).unwrap(),
        };
        discover(&view, config.hosts.node_exporter_port)
    }

    fn known(fleet: Fleet) -> Observed<Fleet> {
        Observed::known(Timestamp::from_second(990).unwrap(), fleet)
    }

    fn member(server: &Server, pool: &str, stage: Stage) -> Ledger {
        let member = Member {
            server: server.id.clone(),
            name: None,
            pool: PoolName::try_from(pool).unwrap(),
            order: None,
            vcpus: Vcpus(32),
            stage,
            since: Timestamp::UNIX_EPOCH,
            reached: true,
            ordered_here: true,
            own: crate::model::Overrides::default(),
            bound: None,
            due: None,
        };
        let mut ledger = Ledger::default();
        ledger.members.insert(server.id.clone(), member);
        ledger
    }

    #[test]
    fn a_worker_has_its_address_and_its_pool_s_labels() {
        let targets = discovered(
            known(fleet(&["10.0.0.7", "2001:db8::7"])),
            &Ledger::default(),
        );
        let labels = |worker| json!({"pool": "aarch64-l1", "arch": "aarch64", "level": "l1", "worker": worker});
        let expected = json!([
            {"targets": ["10.0.0.7:9100"], "labels": labels("w-1")},
            {"targets": ["[2001:db8::7]:9100"], "labels": labels("w-2")},
        ]);
        assert_eq!(targets, Ok(expected));
    }

    #[test]
    fn a_list_that_is_not_known_is_an_error_and_not_a_farm_without_workers() {
        assert!(discovered(Observed::default(), &Ledger::default()).is_err());
        let stale = Observed::known(Timestamp::from_second(879).unwrap(), fleet(&["10.0.0.7"]));
        assert!(discovered(stale, &Ledger::default()).is_err());
        let none = discovered(known(fleet(&[])), &Ledger::default());
        assert_eq!(none, Ok(json!([])));
    }

    #[test]
    fn a_worker_is_scraped_until_it_is_being_deleted() {
        let one = fleet(&["10.0.0.7"]);
        let server = one.servers.values().next().unwrap().clone();
        let listed = |stage| {
            let ledger = member(&server, "x86-64-l2", stage);
            let targets = discovered(known(one.clone()), &ledger).unwrap();
            targets.get(0).map(|t| t["labels"]["pool"].clone())
        };
        assert_eq!(
            listed(Stage::Cordoned { why: Why::Idle }),
            Some(json!("x86-64-l2"))
        );
        assert_eq!(listed(Stage::Deleting { why: Why::Idle }), None);
    }

    #[test]
    fn what_does_not_run_or_has_no_pool_of_ours_is_not_scraped() {
        let mut fleet = fleet(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        let mut servers = fleet.servers.values_mut();
        servers.next().unwrap().status = ServerStatus::Deleting;
        servers.next().unwrap().ip = None;
        servers.next().unwrap().tags.pool = None;
        servers.next().unwrap().tags.pool = PoolName::try_from("gone").ok();
        assert_eq!(discovered(known(fleet), &Ledger::default()), Ok(json!([])));
    }
}

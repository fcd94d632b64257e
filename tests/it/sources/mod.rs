//! What `/metrics` and the rules say while a source is killed, hangs, is cut off or lies: one fault after
//! the other on one of two backends, the cloud's list, and obs-scaler itself. `docs/sources.md` is the
//! table of it.

mod farm;

use farm::{Farm, Seen};
use std::fmt::Write as _;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sources.md");

/// Which pools show their jobs and instances: backend a's own, those of both, backend b's own.
type Shown = [bool; 3];
const ALL: Shown = [true; 3];
const ONLY_B: Shown = [false, false, true];
const NONE: Shown = [false; 3];

/// Why nothing is bought in each of these: the label `reason`. Jobs wait in all of them, so that all that
/// keeps a pool from buying where all is well is its mode, `observe`.
type Plan = [&'static str; 3];
const WANTS: Plan = ["observe"; 3];
const HELD_A: Plan = ["stale", "stale", "observe"];
const HELD_ALL: Plan = ["stale"; 3];

/// Three workers of x86_64, with two instances each.
const INSTANCES_OF_B: f64 = 6.0;

/// Where a fault is set.
#[derive(Debug, Clone, Copy)]
enum At {
    /// Routes of backend a: what the simulator's control takes.
    Backend(&'static str),
    /// A daemon of backend a, which is shown as dead.
    Daemon(&'static str),
    /// The cloud.
    Cloud(&'static str),
    /// Backend a is not there at all.
    BackendGone,
    /// obs-scaler is killed.
    Scaler,
}

/// A fault, and what is promised meanwhile.
struct Row {
    source: &'static str,
    fault: &'static str,
    at: At,
    /// `obs_up` of backend a; b is up in every row.
    up: bool,
    plan: Plan,
    /// The collectors whose last success stands still.
    stands: &'static [&'static str],
    shown: Shown,
    /// Alerts that become pending, or fire at once.
    alerts: &'static [&'static str],
    says: &'static str,
}

const WORKERS: &[&str] = &["workers"];
const RESULTS: &[&str] = &["results"];
const UNREACHABLE: &[&str] = &["ObsBackendUnreachable"];
const HELD: &str = "the pools that a feeds are held: nothing is bought or released there. ObsScalerStale after 5 min";

const fn broken(
    source: &'static str,
    fault: &'static str,
    set: &'static str,
    stands: &'static [&'static str],
) -> Row {
    Row {
        source,
        fault,
        at: At::Backend(set),
        up: false,
        plan: HELD_A,
        stands,
        shown: ONLY_B,
        alerts: UNREACHABLE,
        says: HELD,
    }
}

const ROWS: &[Row] = &[
    broken("workers", "hangs", r#"{"workerstatus":"hang"}"#, WORKERS),
    broken(
        "workers",
        "trickles, a few bytes a second",
        r#"{"workerstatus":"slow"}"#,
        WORKERS,
    ),
    broken(
        "workers",
        "is cut off in the middle",
        r#"{"workerstatus":"cut"}"#,
        WORKERS,
    ),
    broken(
        "workers",
        "is a proxy's error page, with status 200",
        r#"{"workerstatus":"garbage"}"#,
        WORKERS,
    ),
    broken(
        "workers",
        "answers 500",
        r#"{"workerstatus":"error"}"#,
        WORKERS,
    ),
    Row {
        source: "workers",
        fault: "lies: a whole list without any worker",
        at: At::Backend(r#"{"workerstatus":"empty"}"#),
        up: true,
        plan: ["halted", "halted", "observe"],
        stands: &[],
        shown: ALL,
        alerts: &["ObsPoolHalted"],
        says: "the pools that a feeds are halted: fewer than 70 % of the last hour's instances. Nothing is bought \
            or released there until they are back, or a person says so",
    },
    broken("results", "hangs", r#"{"result":"hang"}"#, RESULTS),
    broken(
        "results",
        "is cut off in the middle",
        r#"{"result":"cut"}"#,
        RESULTS,
    ),
    broken("results", "answers 500", r#"{"result":"error"}"#, RESULTS),
    broken(
        "results",
        "is a proxy's error page, with status 200",
        r#"{"result":"garbage"}"#,
        RESULTS,
    ),
    Row {
        source: "results",
        fault: "lies: a whole list without any package",
        at: At::Backend(r#"{"result":"empty"}"#),
        up: true,
        plan: ["enough", "observe", "observe"],
        stands: &[],
        shown: ALL,
        alerts: &[],
        says: "NOT NOTICED: the queue of a reads as empty. Nothing is bought for it, and idle workers may be given \
            back after ObsIdle's time; none that builds",
    },
    Row {
        source: "job history",
        fault: "answers 500",
        at: At::Backend(r#"{"jobhistory":"error"}"#),
        up: true,
        plan: WANTS,
        stands: &["history"],
        shown: ALL,
        alerts: &[],
        says: "levels rest on the builds known so far; nothing is held. ObsScalerStale (info) after half an hour",
    },
    Row {
        source: "job history",
        fault: "hangs",
        at: At::Backend(r#"{"jobhistory":"hang"}"#),
        up: true,
        plan: WANTS,
        stands: &["history"],
        shown: ALL,
        alerts: &[],
        says: "as above",
    },
    Row {
        source: "backend a",
        fault: "shows its dispatcher as dead",
        at: At::Daemon("dispatcher"),
        up: true,
        plan: WANTS,
        stands: &[],
        shown: ALL,
        alerts: &["ObsDaemonDown"],
        says: "no pool that a feeds counts as fresh for the rules, so that no alert asks for anything there. The plan itself does not look at daemons",
    },
    Row {
        source: "backend a",
        fault: "is not there: connections are refused",
        at: At::BackendGone,
        up: false,
        plan: HELD_A,
        stands: &["workers", "results", "history"],
        shown: ONLY_B,
        alerts: UNREACHABLE,
        says: HELD,
    },
    Row {
        source: "the cloud's list",
        fault: "hangs",
        at: At::Cloud(r#"{"hang":["list"]}"#),
        up: true,
        plan: HELD_ALL,
        stands: &["ecs"],
        shown: NONE,
        alerts: &[],
        says: "every pool is held: neither what is bought nor which hosts are ours is known. ObsScalerStale after 5 min",
    },
    Row {
        source: "the cloud's list",
        fault: "is cut off, with a length that fits",
        at: At::Cloud(r#"{"list_truncate_bytes":10}"#),
        up: true,
        plan: HELD_ALL,
        stands: &["ecs"],
        shown: NONE,
        alerts: &[],
        says: "as above",
    },
    Row {
        source: "obs-scaler",
        fault: "is killed",
        at: At::Scaler,
        up: false,
        plan: [""; 3],
        stands: &[],
        shown: NONE,
        alerts: &["ObsScalerAbsent"],
        says: "its series end, and with them ObsBusy and ObsIdle; nothing is decided. What was in hand stands in \
            the journal",
    },
];

const HEAD: &str = "\
# When a source fails

What `/metrics` and the rules say while a source fails. `tests/it/sources` makes each fault happen, on one of two
backends (a), with the real obs-scaler and the real Prometheus, and holds this page to what was seen;
`UPDATE_DOCS=1 cargo test --test it sources` writes it. In every row backend b is up and its own pools show all
they have: a fault delays and hides nothing else. When it is over, everything returns by itself.

\"Gone\" are the series of jobs, instances and workers of a pool: absent means not known, and never zero. The alerts
are those that begin to wait for their `for` within seconds.

Jobs wait in every pool, and the mode is `observe`: `plan` is the reason for which `plan apply` buys nothing for the
pools of a, of both, and of b. Where it says `observe`, the mode alone keeps the pool from it.

| source | fault | `obs_up` of a | stands still | pools gone | plan | alerts | so |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

const TAIL: &str = "
These are not made to happen here; what the other tests hold them to:

| what fails | who says so | held by |
| --- | --- | --- |
| Prometheus or Alertmanager dies | no Watchdog is heard: after 5 minutes nothing is released. ObsScalerNoWatchdog, if Prometheus lives | `src/policy/tests`, `alerting-rules/tests` |
| node_exporter of a worker dies | the worker's `obs_worker_cpu_usage_ratio` and its like go after `scaling.max_age`; nothing is decided by them | `src/metrics/tests/hosts.rs` |

What can not be told from outside: answers that are whole and plausible and do not change. A backend that serves them
for ever looks like a farm in which nothing happens; ObsQueueNotMoving is the alert for that.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in ROWS {
        let none = |text: String| {
            if text.is_empty() {
                "none".to_owned()
            } else {
                text
            }
        };
        let gone: Vec<_> = (["a's own", "those of both", "b's own"]
            .iter()
            .zip(row.shown))
        .filter(|(_, shown)| !shown)
        .map(|(pools, _)| *pools)
        .collect();
        let (up, plan) = match row.at {
            At::Scaler => ("gone", String::new()),
            _ if row.up => ("1", row.plan.join(", ")),
            _ => ("0", row.plan.join(", ")),
        };
        let _infallible = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.source,
            row.fault,
            up,
            none(row.stands.join(", ")),
            none(gone.join(", ")),
            none(plan),
            none(row.alerts.join(", ")),
            row.says
        );
    }
    page + TAIL
}

#[test]
fn the_page_of_failing_sources_is_what_is_promised() {
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == wanted,
        "UPDATE_DOCS=1 cargo test --test it sources writes docs/sources.md anew"
    );
}

#[tokio::test]
async fn a_source_that_fails_hides_and_holds_what_it_feeds_and_nothing_else() {
    let mut farm = Farm::start().await;
    let well = Seen {
        up: [true, true],
        plan: WANTS.map(str::to_owned),
        stands: Vec::new(),
        shown: ALL,
        instances_of_b: INSTANCES_OF_B,
        alerts: Vec::new(),
    };
    farm.shows(&well, "at first").await;
    for row in ROWS {
        let name = format!("{} {}", row.source, row.fault);
        match row.at {
            At::Backend(routes) => farm.backend_fault(routes).await,
            At::Daemon(name) => farm.daemon_dies(name).await,
            At::Cloud(faults) => farm.cloud_fault(faults).await,
            At::BackendGone => farm.backend_goes().await,
            At::Scaler => {
                farm.scaler_dies();
                farm.is_absent(row.alerts).await;
                farm.mend().await;
                farm.shows(&well, &format!("after: {name}")).await;
                continue;
            }
        }
        let seen = Seen {
            up: [row.up, true],
            plan: row.plan.map(str::to_owned),
            stands: row.stands.to_vec(),
            shown: row.shown,
            instances_of_b: if row.shown[2] { INSTANCES_OF_B } else { 0.0 },
            alerts: row.alerts.to_vec(),
        };
        farm.shows(&seen, &name).await;
        farm.mend().await;
        farm.shows(&well, &format!("after: {name}")).await;
    }
    farm.stop().await;
}

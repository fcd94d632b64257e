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

/// Where a fault is set.
#[derive(Debug, Clone, Copy)]
enum At {
    /// A route of backend a: what the simulator's control takes.
    Backend(&'static str),
    /// The cloud.
    Cloud(&'static str),
    /// Backend a is not there at all.
    BackendGone,
}

/// A fault, and what is promised meanwhile.
struct Row {
    source: &'static str,
    fault: &'static str,
    at: At,
    /// `obs_up` of backend a; b is up in every row.
    up: bool,
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
    Row {
        source: "job history",
        fault: "answers 500",
        at: At::Backend(r#"{"jobhistory":"error"}"#),
        up: true,
        stands: &["history"],
        shown: ALL,
        alerts: &[],
        says: "levels rest on the builds known so far; nothing is held. ObsScalerStale (info) after half an hour",
    },
    Row {
        source: "backend a",
        fault: "is not there: connections are refused",
        at: At::BackendGone,
        up: false,
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
        stands: &["ecs"],
        shown: NONE,
        alerts: &[],
        says: "as above",
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

| source | fault | `obs_up` of a | stands still | pools gone | alerts | so |
| --- | --- | --- | --- | --- | --- | --- |
";

const TAIL: &str = "
| what fails | who says so |
| --- | --- |
| a scheduler or the dispatcher dies | `obs_daemon_up` is 0, ObsDaemonDown, and no pool of the backend counts as fresh: no alert asks for anything |
| obs-scaler dies | its series end; ObsScalerAbsent. ObsBusy and ObsIdle end too, and `resolved` never releases |
| Prometheus or Alertmanager dies | no Watchdog is heard: after 5 minutes nothing is released. What is in hand is finished |
| node_exporter of a worker dies | the worker's `obs_worker_cpu_usage_ratio` and its like go after `scaling.max_age`; nothing is decided by them |

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
        let _infallible = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.source,
            row.fault,
            u8::from(row.up),
            none(row.stands.join(", ")),
            none(gone.join(", ")),
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
        stands: Vec::new(),
        shown: ALL,
        alerts: Vec::new(),
    };
    farm.shows(&well, "at first").await;
    for row in ROWS {
        let name = format!("{} {}", row.source, row.fault);
        match row.at {
            At::Backend(routes) => farm.backend_fault(routes).await,
            At::Cloud(faults) => farm.cloud_fault(faults).await,
            At::BackendGone => farm.backend_goes().await,
        }
        let seen = Seen {
            up: [row.up, true],
            stands: row.stands.to_vec(),
            shown: row.shown,
            alerts: row.alerts.to_vec(),
        };
        farm.shows(&seen, &name).await;
        farm.mend().await;
        farm.shows(&well, &format!("after: {name}")).await;
    }
    farm.stop().await;
}

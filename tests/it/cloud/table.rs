//! What the program does about each class of error, wherever the cloud gives it. `docs/cloud-faults.md` is
//! the table of it.

use super::rows::{ALWAYS, ROWS, Row};
use super::trial::{Seen, trial};
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/cloud-faults.md");

/// Trials that run at once: most of their time is waiting.
const AT_ONCE: usize = 10;

/// How much later than promised something may come, in seconds of the farm: ten true ones, for a machine
/// that is busy.
const LATE: u64 = 300;

const HEAD: &str = "\
# When the cloud refuses

What the program does about each class of error, where it is given, and what that costs. `tests/it/cloud` gives each of
these to the real program over HTTP, with a pool that buys in two zones, and holds this page to what was seen;
`UPDATE_DOCS=1 cargo test --test it cloud` writes it. In every row one worker is needed and goes into service, or is
released, in the end.

\"Goes on\" is when the call is made, at the earliest, that the error kept from being made. \"Bought\" are the servers that came to be, of which
one is needed. The cost is what was billed for others, in server seconds; the worker's own comes on top, until it is gone.

| where | class | such as | so many times | the program | goes on | bought | cost |
| --- | --- | --- | --- | --- | --- | --- | --- |
";

const TAIL: &str = "
Classes that are missing from a place have no code that is given there. The reaction of each class is written once
(`Class::reaction`, [operations](operations.md#when-the-cloud-refuses)); a while that is doubled by a second refusal is held
to that by `src/model/offer.rs`.

## A random walk with all faults on

`tests/it/cloud/walk.rs` lets alarms, jobs, faults of any call that the simulated cloud has, crashes, jumps of the clock and other people
meet in any order, and looks after each step: the ceiling holds, no token buys twice, nothing of others is touched, what is pinned stays,
no build is killed by us. At the end nothing of ours is left (servers, disks, ports, open orders), and each bill is held against the
cloud's books: to the second where a deletion's job told the moment, between the two lists otherwise. Two walks of 2,000 steps, run on
2026-11-24 on two cores (`make long` walks another one each time; the gate 300 steps of seed 1):

| `WALK_SEED` | starts | faults | jobs | servers | create calls | never built | disks left behind and swept | ends told, not told | told ends: by the program, by the cloud |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
| 2411 | 93 | 280 | 810 | 41 | 29 | 2 | 0 | 17, 24 (1,151 s in all) | 30.04, 30.04 |
| 2412 | 90 | 275 | 754 | 37 | 27 | 5 | 2 | 12, 25 (1,944 s in all) | 40.27, 40.27 |

Ends are not told of what other people delete or the cloud reclaims, and where the faults hide the job. The sums leave out servers that
somebody had stopped: the cloud bills those for less, and the program from creation to end.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for row in ROWS {
        let goes_on = match row.after {
            None => "not within the test: after 5 min".to_owned(),
            Some(0) => "at once".to_owned(),
            Some(seconds) if seconds % 60 == 0 => format!("after {} min", seconds / 60),
            Some(seconds) => format!("after {seconds} s"),
        };
        let times = match row.times {
            ALWAYS => "always".to_owned(),
            times => times.to_string(),
        };
        let cost = match (row.wasted, row.disks) {
            (0, 0) => "nothing".to_owned(),
            (0, most) => format!("at most {most} s of its disk"),
            (most, _) => format!("at most {most} s"),
        };
        let _infallible = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            row.place, row.class, row.such_as, times, row.does, goes_on, row.bought, cost
        );
    }
    page + TAIL
}

/// What was seen that is not what the row promises.
fn differs(row: &Row, seen: &Seen) -> Vec<String> {
    let mut odd = Vec::new();
    let mut hold = |well: bool, words: String| {
        if !well {
            odd.push(words);
        }
    };
    for words in row.says {
        hold(seen.said.contains(words), format!("never said {words:?}"));
    }
    for words in row.never {
        hold(!seen.said.contains(words), format!("said {words:?}"));
    }
    match (row.after, seen.after) {
        (None, after) => hold(after.is_none(), format!("went on after {after:?}")),
        (Some(_), None) => hold(false, "never went on".to_owned()),
        (Some(least), Some(after)) => {
            let in_time = (least..=least + LATE).contains(&after);
            hold(in_time, format!("went on after {after} s"));
        }
    }
    hold(seen.bought == row.bought, format!("bought {}", seen.bought));
    hold(
        seen.wasted <= row.wasted,
        format!("{} s wasted", seen.wasted),
    );
    let zone = seen.zone.as_deref();
    hold(
        zone.is_none_or(|zone| zone == row.zone),
        format!("in {zone:?}"),
    );
    hold(
        seen.leaked == row.leaked,
        format!("{} disks and ports leaked", seen.leaked),
    );
    hold(
        seen.disks <= row.disks,
        format!("{} s of disks leaked", seen.disks),
    );
    odd
}

#[test]
fn the_page_of_the_clouds_faults_is_what_is_promised() {
    let wanted = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        found == wanted,
        "UPDATE_DOCS=1 cargo test --test it cloud writes docs/cloud-faults.md anew"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_class_of_error_has_its_reaction_wherever_it_comes_up() {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let only = std::env::var("ROW").ok();
    let mut trials = JoinSet::new();
    for (number, row) in (1_u8..).zip(ROWS) {
        let name = format!("{number}: {}, {}, {}", row.place, row.class, row.such_as);
        if only.as_ref().is_some_and(|only| !name.contains(only)) {
            continue;
        }
        let places = Arc::clone(&places);
        trials.spawn(async move {
            let _place = places.acquire().await.unwrap();
            (name, row, trial(row, number).await)
        });
    }
    let mut odd = String::new();
    for (name, row, seen) in trials.join_all().await {
        let differs = differs(row, &seen);
        if !differs.is_empty() {
            let _infallible = writeln!(odd, "{name}: {differs:?}\n{}", seen.said);
        }
    }
    assert!(odd.is_empty(), "{odd}");
}

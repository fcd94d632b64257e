//! Bills: when one begins and ends, and what they come to.

use super::pool_of_server;
use crate::config::{Config, Policy};
use crate::model::{Amount, Bill, Disk, End, FlavorName, PoolName, Price, Rate, Server, elapsed};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the moment of a deletion is asked for after the server went missing. After that it is gone at
/// the first list without it.
pub const PATIENCE: Duration = Duration::from_hours(1);

/// How long a bill is kept after its server's end: a year, and what it takes to look back at it.
pub const KEPT: Duration = Duration::from_hours(400 * 24);

/// What things cost.
#[derive(Debug, Clone, Copy)]
pub struct Tariff<'a> {
    /// Servers.
    pub flavors: &'a BTreeMap<FlavorName, Price>,
    /// The size of a bought server's system disk, in GiB.
    pub disk_gib: u32,
    /// Its type.
    pub disk_kind: &'a str,
    /// What a GiB of it costs.
    pub disk: Option<Price>,
}

impl<'a> Tariff<'a> {
    /// As configured.
    #[must_use]
    pub fn of(config: &'a Config) -> Self {
        Self {
            flavors: &config.prices,
            disk_gib: config.ecs.root_volume_gib,
            disk_kind: &config.ecs.root_volume_type,
            disk: config.ecs.root_volume_price,
        }
    }

    /// What a server's disk costs in an hour: that of one that no order bought is not known.
    #[must_use]
    pub fn disk_per_hour(&self, server: &Server) -> f64 {
        let bought = server.tags.order.is_some();
        let price = self.disk.filter(|_| bought);
        price.map_or(0.0, |price| price.per_hour() * f64::from(self.disk_gib))
    }
}

/// The bill of a server that is listed for the first time.
#[must_use]
pub fn opened(server: &Server, policy: &Policy, tariff: &Tariff<'_>, now: Timestamp) -> Bill {
    let rate = |price: Price| Rate::per_hour(price.per_hour());
    let bought = server.tags.order.is_some();
    let disk = bought.then(|| Disk {
        gib: tariff.disk_gib,
        kind: tariff.disk_kind.to_owned(),
        price: tariff.disk.map(rate),
    });
    Bill {
        server: server.id.clone(),
        name: server.name.clone(),
        pool: pool_of_server(server, policy).cloned(),
        flavor: server.flavor.clone(),
        order: server.tags.order.clone(),
        created: if bought { server.created } else { now },
        price: tariff.flavors.get(&server.flavor).copied().map(rate),
        disk,
        deletions: Vec::new(),
        leaving: None,
        missing: None,
        end: None,
    }
}

/// The bill of a server that a list has, as one that is being deleted or not: it is not missing, and where
/// it was taken for gone, it is not. The list before it was read at `before`.
#[must_use]
pub fn listed(bill: &Bill, deleting: bool, before: Option<Timestamp>) -> Bill {
    let taken_for_gone = bill.end.is_some() && bill.end == bill.missing;
    let since = bill.leaving.or(before).unwrap_or(bill.created);
    Bill {
        leaving: deleting.then_some(since),
        missing: None,
        end: bill.end.filter(|_| !taken_for_gone),
        ..bill.clone()
    }
}

/// The bill of a server that a list lacks, read by `now`; the last one was read at `before`. Its end is
/// when the deletion's job ended, if that can be learnt, and else the first list without it.
#[must_use]
pub fn unlisted(bill: &Bill, before: Option<Timestamp>, now: Timestamp) -> Bill {
    let last = bill.leaving.or(before).unwrap_or(bill.created);
    let bound = End {
        at: now,
        not_before: last.clamp(bill.created.min(now), now),
    };
    let missing = bill.missing.unwrap_or(bound);
    let hopeless = bill.deletions.is_empty() || elapsed(missing.at, now) > PATIENCE;
    Bill {
        missing: Some(missing),
        end: bill.end.or_else(|| hopeless.then_some(missing)),
        ..bill.clone()
    }
}

/// The bill after a look at a job that deletes the server: `Some(Some(…))` where it has ended well, at that
/// moment; `Some(None)` where it came to nothing, or tells no moment.
#[must_use]
pub fn job_ended(bill: &Bill, job: &str, at: Option<Timestamp>) -> Bill {
    let mut bill = bill.clone();
    match at {
        Some(at) => {
            bill.end = Some(End { at, not_before: at });
            bill.missing = None;
            bill.deletions.clear();
        }
        None => bill.deletions.retain(|other| other != job),
    }
    bill
}

/// Whether nothing has to be known of it any more.
#[must_use]
pub fn is_old(bill: &Bill, now: Timestamp) -> bool {
    bill.end.is_some_and(|end| elapsed(end.at, now) > KEPT)
}

/// What the servers of one pool and flavor came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// How many there were.
    pub servers: u32,
    /// Of these, still there.
    pub running: u32,
    /// For how long, all together.
    pub seconds: u64,
    /// What they cost, volumes included.
    pub total: Amount,
    /// Of it the volumes.
    pub volumes: Amount,
    /// By how many seconds their ends are not known.
    pub uncertain_seconds: u64,
    /// Servers without a price: they cost nothing here.
    pub unpriced: u32,
    /// Servers whose volumes have no price, or are not known.
    pub unpriced_volumes: u32,
}

/// A line for each pool and flavor.
pub type Lines = BTreeMap<(Option<PoolName>, FlavorName), Line>;

/// What the servers came to in a span. Those that are there are billed until its end.
#[must_use]
pub fn summary<'a>(
    bills: impl Iterator<Item = &'a Bill>,
    from: Timestamp,
    until: Timestamp,
) -> Lines {
    let mut lines = Lines::new();
    for bill in bills {
        let seconds = bill.seconds(from, until);
        if seconds == 0 && bill.end.is_some_and(|end| end.at < from) {
            continue;
        }
        let cost = bill.cost(from, until);
        let line = lines
            .entry((bill.pool.clone(), bill.flavor.clone()))
            .or_default();
        line.servers += 1;
        line.running += u32::from(bill.end.is_none());
        line.seconds += seconds;
        line.total = line.total + cost.total();
        line.volumes = line.volumes + cost.volumes;
        line.uncertain_seconds += bill.uncertain_seconds();
        line.unpriced += u32::from(bill.price.is_none());
        let disk = bill.disk.as_ref().and_then(|disk| disk.price);
        line.unpriced_volumes += u32::from(disk.is_none());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{Farm, NOW, at};
    use super::*;
    use crate::model::{FlavorName, OrderId, ServerStatus};

    fn prices() -> BTreeMap<FlavorName, Price> {
        [(FlavorName::new("x86_64.32"), Price::new(3.6).unwrap())].into()
    }

    fn tariff(flavors: &BTreeMap<FlavorName, Price>) -> Tariff<'_> {
        Tariff {
            flavors,
            disk_gib: 40,
            disk_kind: "SSD",
            disk: Price::new(0.09),
        }
    }

    /// The bill of a server that was created at this second, and first seen 10 s later.
    fn bill(created: i64, bought: bool) -> Bill {
        let mut farm = Farm::new();
        let server = farm.server("x-l1", "w");
        server.created = at(created);
        server.status = ServerStatus::Error("broke".to_owned());
        server.tags.order = bought.then(|| OrderId::new("o"));
        let server = server.clone();
        opened(&server, &farm.policy, &tariff(&prices()), at(created + 10))
    }

    fn cost(bill: &Bill) -> (u128, u128) {
        let cost = bill.cost(at(0), at(NOW));
        (cost.server.cents(), cost.volumes.cents())
    }

    #[test]
    fn a_server_is_billed_from_its_creation_to_the_moment_of_its_deletion_volumes_included() {
        let mut bill = bill(1000, true);
        bill.deletions.push("j".to_owned());
        let missing = unlisted(&bill, Some(at(1090)), at(1120));
        assert_eq!(missing.end, None, "the job will tell");
        let late = at(1100).checked_add(Duration::from_millis(700)).unwrap();
        let ended = job_ended(&missing, "j", Some(late));
        assert_eq!(cost(&ended), (10, 10), "100 s at 0.001 a second each");
        assert_eq!(ended.uncertain_seconds(), 0);
        let still = listed(&ended, true, Some(at(1110)));
        assert_eq!(still.end, ended.end, "the list has it for a while yet");
    }

    #[test]
    fn a_server_that_somebody_else_deleted_is_billed_to_the_first_list_without_it() {
        let gone = unlisted(&bill(1000, true), Some(at(1090)), at(1120));
        assert_eq!((cost(&gone), gone.uncertain_seconds()), ((12, 12), 30));
        let back = listed(&gone, false, Some(at(1120)));
        assert_eq!((back.end, back.missing), (None, None), "it was not gone");
        let leaving = listed(&bill(1000, true), true, Some(at(1030)));
        let leaving = listed(&leaving, true, Some(at(1060)));
        let gone = unlisted(&leaving, Some(at(1090)), at(1120));
        assert_eq!(
            gone.uncertain_seconds(),
            90,
            "since it was shown as being deleted"
        );
        let never = unlisted(&bill(1000, true), None, at(1120));
        assert_eq!(never.uncertain_seconds(), 120);
    }

    #[test]
    fn a_deletion_that_came_to_nothing_or_can_not_be_read_for_an_hour_leaves_the_list_to_tell() {
        let mut bill = bill(1000, true);
        bill.deletions.push("j".to_owned());
        let failed = job_ended(&bill, "j", None);
        assert_eq!(
            unlisted(&failed, Some(at(1090)), at(1120)).uncertain_seconds(),
            30
        );
        let missing = unlisted(&bill, Some(at(1090)), at(1120));
        let later = |second| unlisted(&missing, Some(at(1200)), at(second)).end;
        assert_eq!(later(1120 + 3600), None);
        assert_eq!(later(1120 + 3601).map(|end| end.at), Some(at(1120)));
    }

    #[test]
    fn an_adopted_server_is_billed_since_it_was_first_listed_and_without_its_volumes() {
        let adopted = unlisted(&bill(1000, false), Some(at(1090)), at(1110));
        assert_eq!(cost(&adopted), (10, 0));
    }

    #[test]
    fn a_summary_counts_what_falls_into_the_span_and_says_what_has_no_price() {
        let ended = unlisted(&bill(1000, true), Some(at(1100)), at(1100));
        let mut unpriced = bill(1000, false);
        unpriced.price = None;
        let all = [ended, bill(1050, true), unpriced];
        let lines = summary(all.iter(), at(1060), at(1150));
        let line = lines.values().next().unwrap();
        assert_eq!(
            (line.servers, line.running, line.seconds),
            (3, 2, 40 + 90 + 90)
        );
        assert_eq!((line.total.cents(), line.volumes.cents()), (26, 13));
        assert_eq!((line.unpriced, line.unpriced_volumes), (1, 1));
        assert_eq!(
            summary(all.iter().take(1), at(1101), at(1150)),
            Lines::new()
        );
    }
}

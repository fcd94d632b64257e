//! What the cloud's answers mean for this configuration.

use super::finding::Finding;
use super::refused::{allow, refused};
use crate::config::{Policy, Pool};
use crate::ecs::{EcsError, Image, Network, Right};
use crate::model::{
    Arch, Availability, Class, FlavorName, Fleet, Limit, Price, PriceList, Quota, Stock, Vcpus,
};
use std::collections::{BTreeMap, BTreeSet};

/// What the ceiling still lets be bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// vCPU.
    pub(super) vcpus: u64,
    /// The most servers that these can be.
    pub(super) servers: u64,
}

/// The ceiling, less what was bought already; of the smallest servers that a pool has.
pub(super) fn room(policy: &Policy, fleet: &Fleet) -> Room {
    let bought = |server: &&crate::model::Server| server.tags.order.is_some();
    let bought = fleet.servers.values().filter(bought);
    let bought: u64 = bought.map(|server| u64::from(server.vcpus.0)).sum();
    let vcpus = u64::from(policy.ceiling.0).saturating_sub(bought);
    let sizes = policy.pools.values().map(|pool| u64::from(pool.vcpus.0));
    let smallest = sizes.filter(|size| *size > 0).min().unwrap_or(1);
    Room {
        vcpus,
        servers: vcpus / smallest,
    }
}

/// Whether the quota lets the ceiling be reached.
pub(super) fn quota(quota: &Result<Quota, EcsError>, room: Room) -> Vec<Finding> {
    match quota {
        Err(error) => vec![refused("quota", error)],
        Ok(quota) => vec![
            left("quota of vCPU", quota.cores, room.vcpus),
            left("quota of servers", quota.instances, room.servers),
        ],
    }
}

fn left(what: &str, limit: Limit, wanted: u64) -> Finding {
    let Some(max) = limit.max else {
        return Finding::ok(what, format!("no end, {} used", limit.used));
    };
    let left = limit.left().unwrap_or_default();
    enough(
        what,
        left,
        wanted,
        format!("{left} left of {max}"),
        "ask the cloud for a larger quota, or lower scaling.ceiling_vcpus",
    )
}

fn enough(what: &str, left: u64, wanted: u64, found: String, mend: &str) -> Finding {
    if left >= wanted {
        return Finding::ok(what, found);
    }
    let expected = format!("{wanted}, what the ceiling still allows");
    let finding = Finding::fail(what, found, expected, mend);
    if left == 0 {
        return finding;
    }
    finding.only_a_warning()
}

/// Whether servers of an arch can be made of its image.
pub(super) fn image(
    arch: Arch,
    id: &str,
    root_gib: u32,
    found: &Result<Option<Image>, EcsError>,
) -> Finding {
    let what = format!("image of {arch}");
    let correct = format!("correct ecs.images.{arch}");
    let image = match found {
        Err(error) => return refused(what, error),
        Ok(None) => {
            let expected = "an image that this account may use";
            return Finding::fail(what, format!("no image {id}"), expected, correct);
        }
        Ok(Some(image)) => image,
    };
    let described = format!(
        "{:?}, {}, for {}, of {} GiB",
        image.name, image.status, image.arch, image.min_disk
    );
    let (expected, mend) = if image.status != "active" {
        (
            "active".to_owned(),
            "wait until it is made, or name another".to_owned(),
        )
    } else if image.arch != arch {
        (format!("one for {arch}"), correct)
    } else if image.min_disk > root_gib {
        (
            format!("at most {root_gib} GiB"),
            "raise ecs.root_volume_gib".to_owned(),
        )
    } else {
        return Finding::ok(what, described);
    };
    Finding::fail(what, described, expected, mend)
}

/// Whether something that the configuration names is there.
pub(super) fn exists(what: &str, id: &str, key: &str, found: &Result<bool, EcsError>) -> Finding {
    match found {
        Err(error) => refused(what, error),
        Ok(true) => Finding::ok(what, id),
        Ok(false) => Finding::fail(
            what,
            format!("none of id {id}"),
            "one that is there",
            format!("correct {key}"),
        ),
    }
}

/// Whether the subnet is there, in the VPC.
pub(super) fn subnet(id: &str, vpc: &str, found: &Result<Option<String>, EcsError>) -> Finding {
    match found {
        Ok(Some(its)) if its == vpc => Finding::ok("subnet", id),
        Ok(Some(its)) => Finding::fail(
            "subnet",
            format!("in VPC {its}"),
            format!("in VPC {vpc}"),
            "correct ecs.vpc_id or ecs.subnet_id",
        ),
        Ok(None) => exists("subnet", id, "ecs.subnet_id (the network id)", &Ok(false)),
        Err(error) => refused("subnet", error),
    }
}

/// Whether the subnet has an address for every server that the ceiling allows.
pub(super) fn addresses(found: &Result<Option<Network>, EcsError>, room: Room) -> Finding {
    let what = "addresses of the subnet";
    match found {
        Err(error) => refused(what, error),
        Ok(None) => exists(
            what,
            "of the network",
            "ecs.subnet_id (the network id)",
            &Ok(false),
        ),
        Ok(Some(network)) => {
            let left = network.total.saturating_sub(network.used);
            let said = format!("{left} left of {}", network.total);
            enough(
                what,
                left,
                room.servers,
                said,
                "give back addresses, or name a larger subnet",
            )
        }
    }
}

/// Whether a flavor is what its pool takes it for, and can be had.
pub(super) fn flavor(
    pool: &Pool,
    name: &FlavorName,
    zones: &[crate::model::ZoneName],
    stock: &Stock,
) -> Finding {
    let what = format!("flavor {name} of pool {}", pool.name);
    let mend = format!("correct the flavor of pool {}", pool.name);
    let Some(offered) = stock.flavors.get(name) else {
        return Finding::fail(
            what,
            "the cloud has no such flavor",
            "one that it has",
            mend,
        );
    };
    let described = |arch: Arch, Vcpus(vcpus): Vcpus| format!("{arch}, {vcpus} vCPU");
    let (is, wanted) = (
        described(offered.arch, offered.vcpus),
        described(pool.arch, pool.vcpus),
    );
    if is != wanted {
        return Finding::fail(what, is, wanted, mend);
    }
    let best = if zones.is_empty() {
        Some(stock.of(name, None))
    } else {
        zones.iter().map(|zone| stock.of(name, Some(zone))).max()
    };
    match best.unwrap_or(Availability::NotOffered) {
        Availability::OnSale => Finding::ok(what, format!("{is}, on sale")),
        Availability::SoldOut => Finding::fail(
            what,
            "sold out in every zone of the configuration",
            "on sale",
            "wait, or name further flavors or zones",
        )
        .only_a_warning(),
        Availability::NotOffered => Finding::fail(
            what,
            "offered in no zone of the configuration",
            "on sale",
            "name other zones, or another flavor",
        ),
    }
}

/// Every flavor of every pool.
pub(super) fn flavors(policy: &Policy, stock: &Result<Stock, EcsError>) -> Vec<Finding> {
    let stock = match stock {
        Err(error) => return vec![refused("flavors", error)],
        Ok(stock) => stock,
    };
    let pools = policy.pools.values();
    let each = pools.flat_map(|pool| pool.flavors().map(move |name| (pool, name)));
    each.map(|(pool, name)| flavor(pool, name, &policy.zones, stock))
        .collect()
}

/// The flavors that may be bought.
pub(super) fn bought(policy: &Policy) -> Vec<FlavorName> {
    let all: BTreeSet<&FlavorName> = policy.pools.values().flat_map(Pool::flavors).collect();
    all.into_iter().cloned().collect()
}

/// By how much a price may differ before it is said: the cloud's have six decimals.
const CLOSE: f64 = 0.01;

/// The configuration's prices against the cloud's. A wrong one makes wrong costs and nothing else.
pub(super) fn prices(
    named: &[FlavorName],
    configured: &BTreeMap<FlavorName, Price>,
    found: &Result<PriceList, EcsError>,
) -> Vec<Finding> {
    let list = match found {
        Err(error) => return vec![refused("prices", error).only_a_warning()],
        Ok(list) => list,
    };
    let each = named.iter().map(|name| {
        let what = format!("price of {name}");
        let said = |price: Option<&Price>| {
            price.map_or("none".to_owned(), |price| price.per_hour().to_string())
        };
        let (ours, theirs) = (configured.get(name), list.flavors.get(name));
        let close = |(ours, theirs): (&Price, &Price)| {
            (ours.per_hour() - theirs.per_hour()).abs() <= theirs.per_hour() * CLOSE
        };
        if theirs.is_some() && ours.zip(theirs).is_some_and(close) {
            return Finding::ok(what, format!("{} {} an hour", said(ours), list.currency));
        }
        let expected = match theirs {
            None => "a price that the cloud has too".to_owned(),
            theirs => format!("{} {}, which the cloud asks", said(theirs), list.currency),
        };
        Finding::fail(
            what,
            said(ours),
            expected,
            "correct `price` of the flavor, or the costs that are shown are wrong",
        )
        .only_a_warning()
    });
    each.collect()
}

/// Whether something may be done, by a call that did it to nothing.
pub(super) fn right(what: &str, said: &Result<Right, EcsError>) -> Finding {
    let what = format!("right to {what}");
    match said {
        Ok(Right::Granted) => Finding::ok(what, "the call is not refused"),
        Ok(Right::Withheld) => Finding::fail(
            what,
            "an empty list for a server that runs",
            "its ports",
            allow("vpc:ports:get"),
        ),
        Ok(Right::Untold) => Finding::fail(
            what,
            "an empty list, which tells nothing before a server runs",
            "the ports of one",
            "look again once a server of ours runs",
        )
        .only_a_warning(),
        Err(error) if error.class() == Class::Permission => refused(what, error),
        Err(error) => other_than_hoped(what, error).only_a_warning(),
    }
}

/// The words of the cloud for what is not there may be others than those that are known.
fn other_than_hoped(what: String, error: &EcsError) -> Finding {
    match error.class() {
        Class::Request | Class::State | Class::Unknown => Finding::fail(
            what,
            error.to_string(),
            "that there is nothing of this id",
            "nothing, where the words mean just that; else look again in a minute",
        ),
        _ => refused(what, error),
    }
}

/// Whether the cloud would take an order for a pool.
pub(super) fn dry_run(pool: &Pool, flavor: &FlavorName, found: &Result<(), EcsError>) -> Finding {
    let what = format!("dry run of an order of {flavor} for pool {}", pool.name);
    match found {
        Ok(()) => Finding::ok(what, "it would be taken"),
        Err(error) if error.class() == Class::Capacity => refused(what, error).only_a_warning(),
        Err(error) => refused(what, error),
    }
}

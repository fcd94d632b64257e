//! What the cloud has, how much of it may be had, and what it costs.

use super::{Arch, FlavorName, Vcpus, ZoneName};
use std::collections::BTreeMap;

/// Whether servers of a flavor can be bought in a zone. It is what the cloud says: an order may find the
/// flavor sold out nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Availability {
    /// It is not sold there, or no longer.
    NotOffered,
    /// It is offered there, and there is none left.
    SoldOut,
    /// It can be bought.
    OnSale,
}

impl Availability {
    /// Every one, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::OnSale, Self::SoldOut, Self::NotOffered];

    /// The word in labels and output.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::OnSale => "on_sale",
            Self::SoldOut => "sold_out",
            Self::NotOffered => "not_offered",
        }
    }
}

/// One flavor, as the cloud offers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlavorStock {
    /// The architecture of its hosts.
    pub arch: Arch,
    /// Its size.
    pub vcpus: Vcpus,
    /// Its memory, in MiB, where the cloud says it.
    pub memory_mib: Option<u32>,
    /// Whether its servers have local NVMe disks.
    pub local_disk: bool,
    /// The zones that the cloud names.
    pub zones: BTreeMap<ZoneName, Availability>,
    /// Every zone that it does not name.
    pub elsewhere: Availability,
}

/// A flavor, and what the cloud says of it where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flavor {
    /// Its name.
    pub name: FlavorName,
    /// Its offer.
    pub offer: Option<FlavorStock>,
}

/// Every flavor that the cloud offers.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The flavors by name.
    pub flavors: BTreeMap<FlavorName, FlavorStock>,
}

impl Stock {
    /// Whether this flavor can be bought in this zone. Without a zone the cloud chooses, and the best of
    /// those it names counts. A flavor that a whole answer does not name is not offered.
    #[must_use]
    pub fn of(&self, flavor: &FlavorName, zone: Option<&ZoneName>) -> Availability {
        let Some(offer) = self.flavors.get(flavor) else {
            return Availability::NotOffered;
        };
        let named = match zone {
            Some(zone) => offer.zones.get(zone),
            None => offer.zones.values().max(),
        };
        named.copied().unwrap_or(offer.elsewhere)
    }
}

/// How much of something may be used, and is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The most; `None` where there is no end.
    pub max: Option<u64>,
    /// In use, by anybody in the project.
    pub used: u64,
}

impl Limit {
    /// What is left; `None` where there is no end.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        self.max.map(|max| max.saturating_sub(self.used))
    }
}

/// What the project may have. It is not reserved by an order: what two orders ask for at once may be more
/// than there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Servers.
    pub instances: Limit,
    /// vCPU.
    pub cores: Limit,
    /// Memory, in MiB.
    pub ram_mib: Limit,
}

/// What the cloud says of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    /// What can be bought.
    pub stock: Stock,
    /// How much of it.
    pub quota: Quota,
}

/// What an hour of a server costs, in whatever unit the configuration has its prices: finite, and not
/// below 0.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Price(f64);

impl Price {
    /// The largest: what is larger is a slip of the pen.
    const MOST: f64 = 1e6;

    /// A price; `None` where the number is none.
    #[must_use]
    pub fn new(per_hour: f64) -> Option<Self> {
        (0.0..=Self::MOST)
            .contains(&per_hour)
            .then_some(Self(per_hour))
    }

    /// The price for an hour.
    #[must_use]
    pub const fn per_hour(self) -> f64 {
        self.0
    }
}

/// What the cloud asks for servers that are paid as they are used.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct PriceList {
    /// The currency, such as `CNY`.
    pub currency: String,
    /// By flavor. One that is not in here has no price that is known.
    pub flavors: BTreeMap<FlavorName, Price>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stock(zones: &[(&str, Availability)], elsewhere: Availability) -> Stock {
        let zones = zones
            .iter()
            .map(|(zone, sale)| (ZoneName::new(*zone), *sale));
        let offer = FlavorStock {
            arch: Arch::Aarch64,
            vcpus: Vcpus(32),
            memory_mib: Some(131_072),
            local_disk: true,
            zones: zones.collect(),
            elsewhere,
        };
        Stock {
            flavors: [(FlavorName::new("f"), offer)].into(),
        }
    }

    #[test]
    fn a_named_zone_wins_over_what_is_said_of_all() {
        use Availability::{NotOffered, OnSale, SoldOut};
        let stock = stock(&[("a", SoldOut), ("b", OnSale)], NotOffered);
        let flavor = FlavorName::new("f");
        let of = |zone: &str| stock.of(&flavor, Some(&ZoneName::new(zone)));
        assert_eq!([of("a"), of("b"), of("c")], [SoldOut, OnSale, NotOffered]);
        assert_eq!(stock.of(&flavor, None), OnSale);
        assert_eq!(stock.of(&FlavorName::new("g"), None), NotOffered);
    }

    #[test]
    fn without_an_end_nothing_is_ever_used_up() {
        let limit = |max, used| Limit { max, used };
        assert_eq!(limit(None, 900).left(), None);
        assert_eq!(limit(Some(10), 12).left(), Some(0));
    }
}

//! What one server costs, from its creation to its end, in whole numbers.

use super::{FlavorName, HostName, OrderId, PoolName, ServerId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::Add;
use std::time::Duration;

const HOUR: u128 = 3600;
const NANO: u128 = 1_000_000_000;

/// What an hour costs, in thousand-millionths of the unit of the configured prices: a GiB of a volume costs
/// very little in an hour.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u64);

impl Rate {
    /// The rate of a price for an hour: finite, and not below 0.
    #[must_use]
    pub fn per_hour(price: f64) -> Self {
        // a duration of so many seconds counts them in nanoseconds, rounded
        let nanos = Duration::try_from_secs_f64(price)
            .unwrap_or_default()
            .as_nanos();
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The rate of so many.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self(self.0.saturating_mul(count as u64))
    }

    /// What so many seconds cost.
    #[must_use]
    pub fn over(self, seconds: u64) -> Amount {
        Amount(u128::from(self.0) * u128::from(seconds))
    }
}

/// An amount of money, exact: the sum of rates times seconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(u128);

impl Amount {
    /// In hundredths of the unit, half a hundredth rounded up.
    #[must_use]
    pub const fn cents(self) -> u128 {
        let cent = HOUR * NANO / 100;
        (self.0 + cent / 2) / cent
    }

    /// In the unit, for counters.
    #[must_use]
    pub fn units(self) -> f64 {
        units(self.0 / HOUR)
    }

    /// In the unit, rounded to hundredths.
    #[must_use]
    pub fn rounded(self) -> f64 {
        units(self.cents() * (NANO / 100))
    }
}

fn units(nanos: u128) -> f64 {
    let whole = u64::try_from(nanos / NANO).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % NANO).unwrap_or_default();
    Duration::new(whole, rest).as_secs_f64()
}

impl Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.cents();
        f.pad(&format!("{}.{:02}", cents / 100, cents % 100))
    }
}

/// The system disk of a server that was bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size.
    pub gib: u32,
    /// Its type, such as `SSD`.
    pub kind: String,
    /// What a GiB of it costs; `None` where no price was configured.
    pub price: Option<Rate>,
}

/// When a server was gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Until when it is billed.
    pub at: Timestamp,
    /// It was still there at this time. The same where the cloud told the moment.
    pub not_before: Timestamp,
}

/// What is known of one server's cost. It is written when the server is first listed and when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: HostName,
    /// Its pool; `None` where no tag and no flavor tells.
    pub pool: Option<PoolName>,
    /// Its flavor.
    pub flavor: FlavorName,
    /// The order that bought it; `None` for an adopted one.
    pub order: Option<OrderId>,
    /// Since when it is billed: its creation, or for one that no order bought when it was first listed.
    pub created: Timestamp,
    /// What the flavor cost at that time; `None` where no price was configured.
    pub price: Option<Rate>,
    /// Its system disk; `None` for a server that no order bought.
    pub disk: Option<Disk>,
    /// The cloud's jobs that delete it, as far as they are not known to have failed.
    pub deletions: Vec<String>,
    /// The last list before the cloud showed it as being deleted: of those that show it so, the last ones
    /// may be of a server that is gone.
    pub leaving: Option<Timestamp>,
    /// The lists between which it went missing, while a deletion's job may still tell the moment.
    pub missing: Option<End>,
    /// When it was gone; `None` while it is there.
    pub end: Option<End>,
}

/// A cost with its parts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Of the server.
    pub server: Amount,
    /// Of its volumes.
    pub volumes: Amount,
}

impl Cost {
    /// Both.
    #[must_use]
    pub fn total(self) -> Amount {
        self.server + self.volumes
    }
}

impl Bill {
    /// The seconds that are billed in a span. The cloud bills by the second; they are counted between whole
    /// seconds of the clock, since `created` tells no more.
    #[must_use]
    pub fn seconds(&self, from: Timestamp, until: Timestamp) -> u64 {
        let end = self.end.map_or(until, |end| end.at.min(until));
        let from = self.created.max(from);
        let seconds = end.as_second().saturating_sub(from.as_second());
        u64::try_from(seconds).unwrap_or_default()
    }

    /// What it costs in a span.
    #[must_use]
    pub fn cost(&self, from: Timestamp, until: Timestamp) -> Cost {
        let seconds = self.seconds(from, until);
        let disk = self.disk.iter();
        let disk = disk.filter_map(|disk| Some(disk.price?.times(disk.gib)));
        Cost {
            server: self.price.unwrap_or_default().over(seconds),
            volumes: disk.map(|rate| rate.over(seconds)).sum(),
        }
    }

    /// By how many seconds its end is not known.
    #[must_use]
    pub fn uncertain_seconds(&self) -> u64 {
        let between = self.end.map_or(0, |end| {
            end.at
                .as_second()
                .saturating_sub(end.not_before.as_second())
        });
        u64::try_from(between).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_exact_and_rounded_only_when_it_is_shown() {
        let third = Rate::per_hour(0.01).over(1200);
        let sum: Amount = [third; 3].into_iter().sum();
        assert_eq!((third.cents(), sum.cents()), (0, 1));
        assert_eq!(Rate::per_hour(5.6).over(3600).to_string(), "5.60");
        let disk = Rate::per_hour(0.000_972_3).times(200).over(86_400);
        assert_eq!(
            (disk.to_string(), disk.rounded()),
            ("4.67".to_owned(), 4.67)
        );
        assert_eq!(Rate::per_hour(0.5).over(1800).units(), 0.25);
    }
}

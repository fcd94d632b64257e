//! The subnet's addresses: handed out in turn, never one that is in use.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A closed range of addresses, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressRange {
    first: u32,
    last: u32,
}

impl Default for AddressRange {
    /// `127.0.2.1-127.0.2.250`: loopback, so that machines of a demo can have them.
    fn default() -> Self {
        let bits = |host| Ipv4Addr::new(127, 0, 2, host).to_bits();
        Self {
            first: bits(1),
            last: bits(250),
        }
    }
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shape = || format!("{text:?} is not FIRST-LAST, such as 127.0.2.1-127.0.2.250");
        let (first, last) = text.split_once('-').ok_or_else(shape)?;
        let bits = |part: &str| part.trim().parse().map(Ipv4Addr::to_bits);
        let (first, last) = (
            bits(first).map_err(|_| shape())?,
            bits(last).map_err(|_| shape())?,
        );
        if first > last {
            return Err(format!("{text:?}: the first address comes after the last"));
        }
        Ok(Self { first, last })
    }
}

/// The addresses of a range and which of them are in use.
pub(super) struct Addresses {
    range: AddressRange,
    next: u32,
    used: BTreeSet<u32>,
}

impl Addresses {
    pub(super) fn new(range: AddressRange) -> Self {
        Self {
            range,
            next: range.first,
            used: BTreeSet::new(),
        }
    }

    /// The next free one after the last that was handed out; None when all are in use.
    pub(super) fn take(&mut self) -> Option<Ipv4Addr> {
        let after = self.next..=self.range.last;
        let before = self.range.first..self.next;
        let free = after.chain(before).find(|bits| !self.used.contains(bits))?;
        self.used.insert(free);
        self.next = if free >= self.range.last {
            self.range.first
        } else {
            free + 1
        };
        Some(Ipv4Addr::from_bits(free))
    }

    pub(super) fn total(&self) -> u32 {
        (self.range.last - self.range.first).saturating_add(1)
    }

    pub(super) fn used(&self) -> usize {
        self.used.len()
    }

    pub(super) fn give_back(&mut self, address: Ipv4Addr) {
        self.used.remove(&address.to_bits());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_out_in_turn_and_never_while_in_use() {
        let mut pool = Addresses::new("127.0.2.1-127.0.2.3".parse().unwrap());
        let [a, b, c] = [(); 3].map(|()| pool.take().unwrap());
        assert_eq!(a.to_string(), "127.0.2.1");
        assert_eq!(pool.take(), None);
        pool.give_back(b);
        assert_eq!(pool.take(), Some(b));
        pool.give_back(a);
        pool.give_back(c);
        assert_eq!(pool.take(), Some(c), "in turn, not the lowest");
    }

    #[test]
    fn a_range_must_make_sense() {
        assert!("127.0.2.9-127.0.2.1".parse::<AddressRange>().is_err());
        assert!("127.0.2.9".parse::<AddressRange>().is_err());
    }
}

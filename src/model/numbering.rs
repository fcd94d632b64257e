//! The names that an order's servers are to have: `STEM` and a number of a fixed width.

use super::HostName;
use serde::{Deserialize, Serialize};

/// A row of numbers in the names of one order's servers, one for each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbering {
    /// What stands before the number, such as `obs-aarch64-l1-`.
    pub stem: String,
    /// The number of the first server.
    pub first: u32,
    /// How many digits a number has, with zeros in front.
    pub digits: u8,
}

impl Numbering {
    /// The name with this number.
    #[must_use]
    pub fn name(&self, number: u32) -> HostName {
        let Self { stem, digits, .. } = self;
        let width = usize::from(*digits);
        HostName::new(format!("{stem}{number:0width$}"))
    }

    /// The number of the last of so many servers.
    #[must_use]
    pub const fn last(&self, count: u32) -> u32 {
        self.first.saturating_add(count.saturating_sub(1))
    }

    /// The names of so many servers.
    pub fn names(&self, count: u32) -> impl Iterator<Item = HostName> + '_ {
        let last = self.first.saturating_add(count);
        (self.first..last).map(|number| self.name(number))
    }

    /// What a create call for so many servers is told. The cloud takes one name as it is, and for several
    /// `name[first,digits]`, from which it counts on (ECS API, "Creating an ECS", `name`; FAQ ecs_faq_0620).
    #[must_use]
    pub fn asked(&self, count: u32) -> String {
        let Self {
            stem,
            first,
            digits,
        } = self;
        if count == 1 {
            self.name(*first).as_str().to_owned()
        } else {
            format!("{stem}[{first},{digits}]")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_is_named_and_several_are_numbered_by_the_cloud() {
        let numbering = Numbering {
            stem: "obs-p-".to_owned(),
            first: 7,
            digits: 3,
        };
        assert_eq!(numbering.asked(1), "obs-p-007");
        assert_eq!(numbering.asked(2), "obs-p-[7,3]");
        let names: Vec<_> = numbering.names(2).collect();
        assert_eq!(names, ["obs-p-007", "obs-p-008"].map(HostName::new));
    }
}

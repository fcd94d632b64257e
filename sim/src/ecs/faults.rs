//! What goes wrong on request: the set that `PUT /_sim/faults` replaces.

use serde::{Deserialize, Serialize};

/// The faults in force. Every field may be left out; left out means that nothing goes wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// A create call takes effect at once, and its answer is held for so many seconds.
    pub create_answer_delay_seconds: f64,
    /// A create call takes effect, then the connection is closed without an answer.
    pub drop_create_answer: bool,
    /// A create call takes effect, then answers 500.
    pub create_5xx_after_effect: bool,
    /// So many of the next create calls answer 500 without any effect.
    pub refuse_next_creates: u32,
    /// Flavors that the list shows as sellable and that no host is found for: `Ecs.0219` in the
    /// sub job.
    pub hidden_shortage: Vec<String>,
    /// Flavors that are visibly sold out: `Ecs.0018` at submission. `FLAVOR@ZONE` sells out one
    /// zone only: `Ecs.0319` for who asks for that zone.
    pub sold_out: Vec<String>,
    /// So many of the next servers fail while they are built, and stay behind in ERROR.
    pub fail_next_creates: u32,
    /// A list answer ends after so many bytes.
    pub list_truncate_bytes: Option<usize>,
    /// Calls that are read and never answered; nothing takes effect.
    pub hang: Vec<Hang>,
    /// Addresses appear so many seconds later than they would (not divided by the speed).
    pub address_delay_seconds: f64,
    /// So many of the next calls answer 429 `APIGW.0308`.
    pub throttle_next: u32,
}

/// A kind of call that can be made to hang.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hang {
    /// `POST …/cloudservers`
    Create,
    /// `GET …/cloudservers/detail`
    List,
    /// `POST …/cloudservers/delete`
    Delete,
    /// `GET …/jobs/{id}`
    Job,
}

impl Faults {
    pub(super) fn is_sold_out(&self, flavor: &str, zone: &str) -> bool {
        let here = format!("{flavor}@{zone}");
        self.sold_out
            .iter()
            .any(|entry| entry == flavor || *entry == here)
    }

    pub(super) fn has_hidden_shortage(&self, flavor: &str) -> bool {
        self.hidden_shortage.iter().any(|entry| entry == flavor)
    }
}

/// Counts a "so many of the next" down; says whether this one is among them.
pub(super) fn take_one(left: &mut u32) -> bool {
    let hit = *left > 0;
    *left = left.saturating_sub(1);
    hit
}

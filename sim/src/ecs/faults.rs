//! What goes wrong on request: the set that `PUT /_sim/faults` replaces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::route::Operation;

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
    /// sub job. `FLAVOR@ZONE` is short in one zone only.
    pub hidden_shortage: Vec<String>,
    /// Flavors that are visibly sold out: `Ecs.0018` at submission. `FLAVOR@ZONE` sells out one
    /// zone only: `Ecs.0319` for who asks for that zone.
    pub sold_out: Vec<String>,
    /// How many servers of `FLAVOR@ZONE` can still be built: counted down as they are placed, and given
    /// nothing back. At 0 the zone is shown and refused as sold out; who was accepted before fails with
    /// `Ecs.0219`.
    pub stock: BTreeMap<String, u32>,
    /// What `cond:operation:az` says of `FLAVOR@ZONE`: `normal`, `abandon`, `sellout`, `obt`,
    /// `obt_sellout`, `promotion`. Refused as sold out unless `normal`, `obt` or `promotion`.
    pub zone_status: BTreeMap<String, String>,
    /// So many of the next servers fail while they are built, and stay behind in ERROR.
    pub fail_next_creates: u32,
    /// Sub jobs of creates that fail.
    pub fail_subs: Vec<FailSub>,
    /// The quota of servers, instead of the one that the simulator was started with.
    pub quota_instances: Option<u32>,
    /// The quota of vCPU, instead of the one that the simulator was started with.
    pub quota_cores: Option<u32>,
    /// A list answer ends after so many bytes.
    pub list_truncate_bytes: Option<usize>,
    /// List answers that lack a server which is there.
    pub list_omits: Vec<Omit>,
    /// A list has a deleted server for so many seconds after its job's success, instead of 3–8.
    pub ghost_seconds: Option<f64>,
    /// Calls that are read and never answered; nothing takes effect.
    pub hang: Vec<Operation>,
    /// Answers are held for so many seconds after the effect, by operation.
    pub delay_seconds: BTreeMap<Operation, f64>,
    /// Calls that are refused without effect.
    pub refuse: Vec<Refuse>,
    /// Calls that take effect and whose answer is spoilt.
    pub spoil: Vec<Spoil>,
    /// Addresses appear so many seconds later than they would (not divided by the speed).
    pub address_delay_seconds: f64,
    /// So many of the next calls answer 429 `APIGW.0308`.
    pub throttle_next: u32,
    /// More reading calls in a second answer 429; those that were refused count as well.
    pub reads_per_second: Option<u32>,
    /// More changing calls in a minute answer 429; those that were refused count as well.
    pub writes_per_minute: Option<u32>,
    /// The account owes: creates and power actions answer 403 `Ecs.0067`.
    pub arrears: bool,
    /// Operations that the caller has no right to: 403 `Ecs.0110`; but VPC shows such a caller an empty list of ports
    /// (page "Ports" of its permissions).
    pub forbidden: Vec<Operation>,
    /// Access keys that were disabled.
    pub disabled_keys: Vec<String>,
    /// More than 5 bad signatures in a row lock the access key for 5 minutes, as the real gateway does (API
    /// Request Signing Guide).
    pub lock_key: bool,
    /// How long a new IAM token is good, instead of 24 h.
    pub token_life_seconds: Option<f64>,
    /// How long a new temporary key of the agency is good, instead of 24 h.
    pub agency_life_seconds: Option<f64>,
    /// The metadata service has no tokens (no IMDSv2): it answers 404 to who asks for one.
    pub metadata_without_tokens: bool,
    /// The metadata service wants a token.
    pub metadata_wants_token: bool,
    /// VPCs, subnets, security groups, images and key pairs that do not exist. Everything else with a
    /// well-formed id does.
    pub missing: Vec<String>,
    /// Job answers have no sub jobs for so many seconds after the call.
    pub job_shows_late_seconds: f64,
    /// The `entities` of sub jobs are an array.
    pub job_entities_array: bool,
    /// The answer to a create has no `serverIds`.
    pub create_without_ids: bool,
    /// So many of the next deletions fail with `Ecs.0501`, and their servers stay.
    pub fail_next_deletes: u32,
    /// So many of the next deletions are accepted and never done: the job runs for ever.
    pub stall_next_deletes: u32,
}

/// Calls that are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refuse {
    /// Which.
    pub operation: Operation,
    /// The error's code, such as `Common.1503`.
    pub code: String,
    /// The HTTP status; left out, the one that goes with the code.
    #[serde(default)]
    pub status: Option<u16>,
    /// The error's text; left out, one that says that it was injected.
    #[serde(default)]
    pub message: Option<String>,
    /// How many more; left out, all of them until the faults change.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Calls whose answer is spoilt after they took effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoil {
    /// Which.
    pub operation: Operation,
    /// In what way.
    pub how: How,
    /// How many more; left out, all of them until the faults change.
    #[serde(default)]
    pub times: Option<u32>,
}

/// How an answer is spoilt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The connection is closed.
    Drop,
    /// 500 `Common.0001`.
    ServerError,
    /// 202 with `Common.0024`.
    Busy,
    /// 200 and no JSON.
    Garbage,
    /// 200 and nothing at all.
    Empty,
    /// 502 with a page of HTML, as a proxy gives it.
    Html,
    /// The first half, with a length that fits.
    Truncated,
}

/// Sub jobs of creates that fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailSub {
    /// Which of a job, from 1; left out, each.
    #[serde(default)]
    pub sub: Option<u32>,
    /// Of this flavor only.
    #[serde(default)]
    pub flavor: Option<String>,
    /// The sub job's `error_code`. `Ecs.0401`, `0402`, `0403` and `0405` are failed rollbacks: they leave a
    /// port, a system disk, a server in ERROR, the data disks.
    pub code: String,
    /// The sub job's `fail_reason`.
    #[serde(default)]
    pub message: Option<String>,
    /// What stays behind besides.
    #[serde(default)]
    pub leaves: Vec<Left>,
    /// How many more; left out, all of them until the faults change.
    #[serde(default)]
    pub times: Option<u32>,
}

/// What a failed create leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// A server in ERROR, with everything that belongs to it.
    ErrorServer,
    /// A system disk without a server.
    SystemDisk,
    /// Its data disks.
    DataDisks,
    /// A port, which holds its address.
    Port,
}

/// A server that list answers lack.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Omit {
    /// Its id or name; left out, the newest that the list has.
    #[serde(default)]
    pub server: Option<String>,
    /// In how many more answers; left out, in all of them until the faults change.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Faults {
    pub(super) fn is_sold_out(&self, flavor: &str, zone: &str) -> bool {
        !matches!(self.zone_word(flavor, zone), "normal" | "obt" | "promotion")
    }

    /// What `cond:operation:az` says of a flavor in a zone.
    pub(super) fn zone_word(&self, flavor: &str, zone: &str) -> &str {
        let here = format!("{flavor}@{zone}");
        let listed = |entry: &String| entry == flavor || *entry == here;
        if self.sold_out.iter().any(listed) || self.stock.get(&here) == Some(&0) {
            return "sellout";
        }
        self.zone_status.get(&here).map_or("normal", String::as_str)
    }

    pub(super) fn has_hidden_shortage(&self, flavor: &str, zone: &str) -> bool {
        let here = format!("{flavor}@{zone}");
        let listed = |entry: &String| entry == flavor || *entry == here;
        self.hidden_shortage.iter().any(listed)
    }

    /// Takes one out of a stock that is counted; says whether there was one.
    pub(super) fn take_stock(&mut self, flavor: &str, zone: &str) -> bool {
        let stock = self.stock.get_mut(&format!("{flavor}@{zone}"));
        stock.is_none_or(take_one)
    }

    pub(super) fn is_missing(&self, id: &str) -> bool {
        self.missing.iter().any(|entry| entry == id)
    }

    pub(super) fn forbids(&self, operation: Operation) -> bool {
        self.forbidden.contains(&operation)
    }

    /// Whether this call is refused without effect, and how.
    pub(super) fn take_refusal(&mut self, operation: Operation) -> Option<ApiError> {
        if operation != Operation::Ports && self.forbids(operation) {
            let text = "Policy doesn't allow this operation to be performed.";
            return Some(ApiError::service(403, "Ecs.0110", text));
        }
        if self.arrears && matches!(operation, Operation::Create | Operation::Power) {
            let text = "the account balance is insufficient";
            return Some(ApiError::service(403, "Ecs.0067", text));
        }
        let mut all = self
            .refuse
            .iter_mut()
            .filter(|fault| fault.operation == operation);
        let hit = all.find_map(|fault| take_time(&mut fault.times).then_some(fault))?;
        let status = hit.status.unwrap_or_else(|| status_of(&hit.code));
        let text = hit.message.as_deref().unwrap_or("injected");
        Some(ApiError::coded(status, &hit.code, text))
    }

    pub(super) fn take_spoil(&mut self, operation: Operation) -> Option<How> {
        let mut all = self
            .spoil
            .iter_mut()
            .filter(|fault| fault.operation == operation);
        all.find_map(|fault| take_time(&mut fault.times).then_some(fault.how))
    }

    /// Whether sub job `index` (from 0) of a create is to fail.
    pub(super) fn take_sub(&mut self, index: usize, flavor: &str) -> Option<FailSub> {
        let number = u32::try_from(index + 1).ok();
        let fits = |fault: &FailSub| {
            fault.sub.is_none_or(|sub| Some(sub) == number)
                && fault
                    .flavor
                    .as_deref()
                    .is_none_or(|wanted| wanted == flavor)
        };
        let mut all = self.fail_subs.iter_mut().filter(|fault| fits(fault));
        all.find_map(|fault| take_time(&mut fault.times).then(|| fault.clone()))
    }
}

/// The status that DOC24 错误码.md gives a code; 400 for all that are not named here.
fn status_of(code: &str) -> u16 {
    match code {
        "Common.0024" => 202,
        "Common.0013" | "APIGW.0301" | "APIGW.0303" | "APIGW.0307" => 401,
        "Ecs.0003" | "Ecs.0066" | "Ecs.0067" | "Ecs.0069" | "Ecs.0070" | "Ecs.0071"
        | "Ecs.0110" | "Pdp.0001" => 403,
        "Ecs.0114" | "Ecs.0614" | "APIGW.0101" => 404,
        "APIGW.0308" => 429,
        "Ecs.1000" | "Common.0001" => 500,
        "Ecs.0603" => 501,
        "Common.1503" => 503,
        _ => 400,
    }
}

/// Counts a "so many of the next" down; says whether this one is among them.
pub(super) fn take_one(left: &mut u32) -> bool {
    let hit = *left > 0;
    *left = left.saturating_sub(1);
    hit
}

/// The same where none means always.
pub(super) fn take_time(left: &mut Option<u32>) -> bool {
    left.as_mut().is_none_or(take_one)
}

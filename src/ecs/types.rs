//! A server's record, as ECS writes it, to a [`Server`].

use crate::model::{
    FlavorName, HostName, LeaseTag, OrderId, PoolName, Server, ServerId, ServerStatus, TAG_ORDER,
    TAG_OWNER, TAG_POOL, TAG_PROTECTED, Tags, Vcpus,
};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The most bytes of a tag's value (page "Creating an ECS", `server_tags`). A key has 36.
const MAX_TAG_VALUE: usize = 43;

/// Checks a value for a tag of ours: such that no filter or `key=value` can read it otherwise.
///
/// # Errors
/// Says what is wrong with it.
pub(super) fn tag_value(what: &str, value: &str) -> Result<(), String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if (1..=MAX_TAG_VALUE).contains(&value.len()) && value.bytes().all(plain) {
        return Ok(());
    }
    Err(format!(
        "{what} {value:?} is no tag value: 1 to {MAX_TAG_VALUE} of letters, digits, '-', '_', '.'"
    ))
}

/// A time as the services write it: with a zone, or without one and in UTC.
///
/// # Errors
/// Says that it is no time.
pub(super) fn timestamp(text: &str) -> Result<Timestamp, String> {
    let zoned: Result<Timestamp, _> = text.parse();
    if let Ok(at) = zoned {
        return Ok(at);
    }
    let naive = text.parse::<DateTime>().ok();
    let at = naive.and_then(|at| TimeZone::UTC.to_timestamp(at).ok());
    at.ok_or_else(|| format!("{text:?} is no time"))
}

/// What a record of the cloud stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// A server of ours.
    Ours(Box<Server>),
    /// A server that does not carry our owner tag with our value.
    NotOurs,
    /// A server that was deleted, and is still shown.
    Deleted,
}

/// A record's id, which every record has.
///
/// # Errors
/// Says that it has none.
pub(super) fn id(record: &Value) -> Result<&str, String> {
    let id = record.get("id").and_then(Value::as_str);
    id.filter(|id| !id.is_empty())
        .ok_or_else(|| "a server without an id".to_owned())
}

/// Reads a record of `GET /v1/{project}/cloudservers/detail` or `/{server}`.
///
/// # Errors
/// Names the server and what cannot be understood. A record that is not ours needs only its tags
/// and its status.
pub(super) fn read(record: &Value, owner: &str) -> Result<Record, String> {
    let id = id(record)?;
    let unclear = |why: serde_json::Error| format!("server {id}: {why}");
    let outline = Outline::deserialize(record).map_err(unclear)?;
    if matches!(outline.status.as_str(), "DELETED" | "SOFT_DELETED") {
        return Ok(Record::Deleted);
    }
    let tags = tags(&outline.tags);
    if tags.get(TAG_OWNER) != Some(&owner) {
        return Ok(Record::NotOurs);
    }
    let detail = Detail::deserialize(record).map_err(unclear)?;
    Ok(Record::Ours(Box::new(Server {
        id: ServerId::new(id),
        status: status(&outline.status, &detail),
        ip: detail.ip(),
        name: HostName::new(detail.name),
        flavor: FlavorName::new(detail.flavor.id),
        vcpus: detail.flavor.vcpus,
        created: detail.created,
        tags: ours(&tags),
    })))
}

/// What tells whether a server is ours.
#[derive(Deserialize)]
pub(super) struct Outline {
    pub(super) status: String,
    pub(super) tags: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct Detail {
    pub(super) name: String,
    pub(super) created: Timestamp,
    #[serde(rename = "OS-EXT-STS:task_state", default)]
    task_state: Option<String>,
    #[serde(default)]
    pub(super) addresses: Addresses,
    pub(super) flavor: Flavor,
    #[serde(default)]
    fault: Option<Fault>,
}

/// A server's addresses by network.
#[derive(Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Addresses(Option<BTreeMap<String, Vec<Address>>>);

impl Addresses {
    /// Those in private networks. One that cannot be read has not come.
    pub(super) fn fixed(&self) -> impl Iterator<Item = IpAddr> {
        self.0
            .iter()
            .flat_map(BTreeMap::values)
            .flatten()
            .filter(|address| matches!(address.kind.as_deref(), None | Some("fixed")))
            .filter_map(|address| address.addr.parse().ok())
    }
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    addr: String,
    #[serde(rename = "OS-EXT-IPS:type", default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Flavor {
    pub(super) id: String,
    #[serde(deserialize_with = "vcpus")]
    pub(super) vcpus: Vcpus,
}

#[derive(Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

impl Detail {
    /// The first fixed IPv4 address. It comes late.
    fn ip(&self) -> Option<IpAddr> {
        self.addresses.fixed().find(IpAddr::is_ipv4)
    }
}

/// A string in a server's record, a number in other answers. Zero would cost nothing of the
/// ceiling, and is refused.
pub(super) fn vcpus<'de, D: Deserializer<'de>>(from: D) -> Result<Vcpus, D::Error> {
    let value = Value::deserialize(from)?;
    let number = match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_u64().and_then(|n| u32::try_from(n).ok()),
    };
    let number = number.filter(|n| *n > 0);
    number
        .map(Vcpus)
        .ok_or_else(|| serde::de::Error::custom(format!("vcpus is {value}, not a number above 0")))
}

/// A server under deletion goes on reading `ACTIVE`: the task state tells.
pub(super) fn status(word: &str, detail: &Detail) -> ServerStatus {
    match (detail.task_state.as_deref(), word) {
        (Some("deleting" | "soft-deleting"), _) => ServerStatus::Deleting,
        (_, "BUILD") => ServerStatus::Building,
        (_, "ACTIVE") => ServerStatus::Active,
        (_, "ERROR") => {
            let words = detail.fault.as_ref().map(|fault| fault.message.clone());
            ServerStatus::Error(words.unwrap_or_default())
        }
        (_, other) => ServerStatus::Other(other.to_owned()),
    }
}

/// `key=value`, or `key` alone for an empty value.
pub(super) fn tags(all: &[String]) -> BTreeMap<&str, &str> {
    all.iter()
        .map(|tag| tag.split_once('=').unwrap_or((tag, "")))
        .collect()
}

fn ours(tags: &BTreeMap<&str, &str>) -> Tags {
    Tags {
        pool: tags
            .get(TAG_POOL)
            .and_then(|name| PoolName::try_from(*name).ok()),
        order: tags.get(TAG_ORDER).map(|id| OrderId::new(*id)),
        protected: tags.contains_key(TAG_PROTECTED),
        leases: tags
            .iter()
            .filter_map(|(key, value)| LeaseTag::read(key, value))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A server as the API reference shows one, with the fields of `change` in place of its own.
    fn record(change: &Value) -> Value {
        let mut record = json!({
            "id": "4f4b3dfa-eb70-47cf-a60a-998a53bd598a",
            "name": "bw-kp-0001",
            "status": "ACTIVE",
            "created": "2026-01-22T10:15:32Z",
            "OS-EXT-STS:vm_state": "active",
            "OS-EXT-STS:task_state": null,
            "addresses": {"vpc": [
                {"version": "4", "addr": "100.1.2.3", "OS-EXT-IPS:type": "floating"},
                {"version": "6", "addr": "fe80::1", "OS-EXT-IPS:type": "fixed"},
                {"version": "4", "addr": "192.168.0.17", "OS-EXT-IPS:type": "fixed"}]},
            "flavor": {"id": "ki1.8xlarge.4", "vcpus": "32", "ram": "131072"},
            "tags": ["obs-scaler-owner=me", "obs-scaler-pool=arm-l1", "a=b", "c",
                     "obs-scaler-order=46436810-d999-454c-bd85-e515fd258600"],
            "fault": null
        });
        for (key, value) in change.as_object().unwrap() {
            record[key] = value.clone();
        }
        record
    }

    fn server(change: &Value) -> Server {
        match read(&record(change), "me") {
            Ok(Record::Ours(server)) => *server,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_read_as_the_reference_shows_it() {
        let server = server(&json!({}));
        assert_eq!(server.name, HostName::new("bw-kp-0001"));
        assert_eq!(server.status, ServerStatus::Active);
        assert_eq!(server.ip, Some("192.168.0.17".parse().unwrap()));
        assert_eq!(server.vcpus, Vcpus(32));
        assert_eq!(server.created.to_string(), "2026-01-22T10:15:32Z");
        assert_eq!(server.tags.pool.unwrap().as_str(), "arm-l1");
        assert!(!server.tags.protected);
    }

    #[test]
    fn a_server_under_deletion_is_not_active() {
        let server = server(&json!({"OS-EXT-STS:task_state": "deleting"}));
        assert_eq!(server.status, ServerStatus::Deleting);
    }

    #[test]
    fn an_address_that_has_not_come_is_none() {
        assert_eq!(
            server(&json!({"status": "BUILD", "addresses": {}})).ip,
            None
        );
    }

    #[test]
    fn a_size_is_read_as_text_or_number_and_never_as_nothing() {
        let flavor = |vcpus: Value| json!({"flavor": {"id": "f", "vcpus": vcpus}});
        assert_eq!(server(&flavor(json!(64))).vcpus, Vcpus(64));
        for wrong in [json!("0"), json!(""), json!(null), json!("many")] {
            let error = read(&record(&flavor(wrong)), "me").unwrap_err();
            assert!(error.contains("4f4b3dfa"), "{error}");
        }
    }

    #[test]
    fn the_cloud_s_words_for_a_broken_server_are_kept() {
        let fault = json!({"status": "ERROR", "fault": {"code": 500, "message": "No valid host"}});
        let expected = ServerStatus::Error("No valid host".to_owned());
        assert_eq!(server(&fault).status, expected);
    }

    #[test]
    fn only_our_owner_tag_with_our_very_value_makes_a_server_ours() {
        for tag in [
            "obs-scaler-owner=me2",
            "xobs-scaler-owner=me",
            "obs-scaler-owner",
        ] {
            let other = record(&json!({"tags": [tag], "flavor": "of no concern"}));
            assert_eq!(read(&other, "me"), Ok(Record::NotOurs), "{tag}");
        }
        let untold = read(&record(&json!({"tags": null})), "me");
        assert!(untold.is_err(), "{untold:?}");
    }

    #[test]
    fn a_pin_holds_whatever_its_value() {
        for tag in ["obs-scaler-protected", "obs-scaler-protected=no"] {
            let tags = json!({"tags": ["obs-scaler-owner=me", tag]});
            assert!(server(&tags).tags.protected, "{tag}");
        }
    }

    #[test]
    fn a_deleted_server_is_not_there_any_more() {
        for word in ["DELETED", "SOFT_DELETED"] {
            let deleted = read(&record(&json!({"status": word})), "me");
            assert_eq!(deleted, Ok(Record::Deleted));
        }
    }
}

//! The body of a create call, checked (huawei-ecs reference §2, from DEF25 and DOC24).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::encoding::is_uuid;
use super::error::ApiError;
use super::names::{self, is_cjk};

/// Which of the two create calls: they differ in how `chargingMode` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    V1,
    V1_1,
}

#[derive(Debug, Deserialize)]
struct Body {
    #[serde(default)]
    dry_run: bool,
    server: Order,
}

/// A create call as it was typed; `Order::parse` gives only those that are in order.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Order {
    pub(super) name: String,
    #[serde(rename = "imageRef")]
    pub(super) image: String,
    #[serde(rename = "flavorRef")]
    pub(super) flavor: String,
    pub(super) vpcid: String,
    pub(super) nics: Vec<Nic>,
    pub(super) root_volume: Disk,
    #[serde(default)]
    pub(super) data_volumes: Vec<Disk>,
    #[serde(default = "one")]
    pub(super) count: u32,
    #[serde(default, rename = "isAutoRename")]
    pub(super) same_name: bool,
    #[serde(default)]
    pub(super) availability_zone: String,
    #[serde(default)]
    pub(super) security_groups: Vec<Group>,
    pub(super) key_name: Option<String>,
    pub(super) user_data: Option<String>,
    #[serde(default)]
    pub(super) metadata: Map<String, Value>,
    #[serde(default)]
    pub(super) server_tags: Vec<Tag>,
    #[serde(default)]
    pub(super) description: String,
    pub(super) auto_terminate_time: Option<String>,
    #[serde(default)]
    extendparam: Map<String, Value>,
}

fn one() -> u32 {
    1
}

/// A network card: the *network* id of its subnet.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Nic {
    pub(super) subnet_id: String,
}

/// A security group.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
}

/// A disk as ordered; only data disks have to say their size.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Disk {
    pub(super) volumetype: String,
    pub(super) size: Option<u32>,
    #[serde(default)]
    pub(super) delete_on_termination: bool,
}

/// A tag: key and value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    #[serde(default)]
    pub(super) value: String,
}

impl Tag {
    /// As a server shows it: `k=v`, and just `k` for an empty value (DOC24).
    pub(super) fn text(&self) -> String {
        if self.value.is_empty() {
            self.key.clone()
        } else {
            format!("{}={}", self.key, self.value)
        }
    }
}

const DISK_TYPES: [&str; 7] = ["SATA", "SAS", "GPSSD", "SSD", "ESSD", "GPSSD2", "ESSD2"];
const USER_DATA_LIMIT: usize = 32 * 1024;

impl Order {
    /// The order and whether it is a dry run, or what is wrong with it.
    pub(super) fn parse(body: &Value, api: Api, now: Timestamp) -> Result<(Self, bool), ApiError> {
        let body = Body::deserialize(body)
            .map_err(|why| ApiError::illegal(format!("request body is illegal: {why}")))?;
        let order = body.server;
        names::check(&order)?;
        order.check_references()?;
        order.check_count()?;
        order.check_disks()?;
        check_tags(&order.server_tags)?;
        order.check_user_data()?;
        order.check_texts()?;
        order.check_charging(api)?;
        check_end(
            order.auto_terminate_time.as_deref().unwrap_or_default(),
            now,
        )?;
        Ok((order, body.dry_run))
    }

    /// The decoded user data.
    pub(super) fn user_data_bytes(&self) -> Vec<u8> {
        let text = self.user_data.as_deref().unwrap_or_default();
        STANDARD.decode(text).unwrap_or_default()
    }

    pub(super) fn enterprise_project(&self) -> &str {
        self.extendparam
            .get("enterprise_project_id")
            .and_then(Value::as_str)
            .unwrap_or("0")
    }

    /// Bought at the market's price, to be taken back at any time (DOC24 竞价计费型实例).
    pub(super) fn is_spot(&self) -> bool {
        self.extendparam
            .get("marketType")
            .is_some_and(|market| market == "spot")
    }

    /// When the cloud is to delete the server by itself; seconds are floored to the minute (DEF25).
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        minute_of(self.auto_terminate_time.as_deref()?)
    }

    fn check_references(&self) -> Result<(), ApiError> {
        if !is_uuid(&self.image) {
            return Err(ApiError::service(
                400,
                "Ecs.0031",
                "imageRef: no such image",
            ));
        }
        if !(1..=12).contains(&self.nics.len()) {
            return Err(ApiError::illegal("nics: must be 1 to 12"));
        }
        let network = self.nics.iter().map(|nic| &nic.subnet_id);
        let groups = self.security_groups.iter().map(|group| &group.id);
        match network
            .chain(groups)
            .chain([&self.vpcid])
            .find(|id| !is_uuid(id))
        {
            Some(id) => {
                let text = format!("vpc, subnet or security group {id:?} is not a UUID");
                Err(ApiError::service(400, "Ecs.0014", text))
            }
            None => Ok(()),
        }
    }

    /// DOC24 allows 500 in a call and DEF25 100: the stricter one here.
    fn check_count(&self) -> Result<(), ApiError> {
        match self.count {
            0 => Err(ApiError::illegal("count: must be 1 or more")),
            1..=100 => Ok(()),
            more => {
                let text = format!("count: {more}, at most 100 in one call");
                Err(ApiError::service(400, "Ecs.0913", text))
            }
        }
    }

    fn check_disks(&self) -> Result<(), ApiError> {
        if self.data_volumes.len() > 23 {
            return Err(ApiError::illegal("data_volumes: at most 23"));
        }
        if self
            .root_volume
            .size
            .is_some_and(|size| !(1..=1024).contains(&size))
        {
            return Err(ApiError::illegal("root_volume.size: must be 1 to 1024"));
        }
        let fits = |disk: &Disk| disk.size.is_some_and(|size| (10..=32768).contains(&size));
        if !self.data_volumes.iter().all(fits) {
            return Err(ApiError::illegal("data_volumes.size: must be 10 to 32768"));
        }
        let mut all = self.data_volumes.iter().chain([&self.root_volume]);
        match all.find(|disk| !DISK_TYPES.contains(&disk.volumetype.as_str())) {
            Some(disk) => {
                let text = format!(
                    "volumetype {:?} is not one of {DISK_TYPES:?}",
                    disk.volumetype
                );
                Err(ApiError::service(400, "Ecs.0015", text))
            }
            None => Ok(()),
        }
    }

    fn check_user_data(&self) -> Result<(), ApiError> {
        let Some(text) = &self.user_data else {
            return Ok(());
        };
        match STANDARD.decode(text) {
            Ok(bytes) if bytes.len() <= USER_DATA_LIMIT => Ok(()),
            Ok(_) => Err(ApiError::illegal(
                "user_data: more than 32 KiB before encoding",
            )),
            Err(_) => Err(ApiError::illegal("user_data: not base64")),
        }
    }

    fn check_texts(&self) -> Result<(), ApiError> {
        let long = self.description.chars().count() > 85;
        if long || self.description.contains(['<', '>']) {
            return Err(ApiError::service(
                400,
                "Ecs.0041",
                "description: ≤85 characters, no <>",
            ));
        }
        let fits = |(key, value): (&String, &Value)| {
            (1..=255).contains(&key.len()) && value.as_str().is_some_and(|v| v.len() <= 255)
        };
        if self.metadata.len() > 10 || !self.metadata.iter().all(fits) {
            return Err(ApiError::illegal(
                "metadata: at most 10 pairs of texts of ≤255 characters",
            ));
        }
        Ok(())
    }

    /// v1 writes 0, v1.1 writes "postPaid"; nothing else can be had here.
    fn check_charging(&self, api: Api) -> Result<(), ApiError> {
        let fits = match (self.extendparam.get("chargingMode"), api) {
            (None, _) => true,
            (Some(mode), Api::V1) => mode == 0,
            (Some(mode), Api::V1_1) => mode == "postPaid",
        };
        if fits {
            return Ok(());
        }
        Err(ApiError::illegal(
            "extendparam.chargingMode: pay-per-use is 0 in v1, \"postPaid\" in v1.1",
        ))
    }
}

/// A time of the form `YYYY-MM-DDTHH:MM:SSZ`, floored to the minute.
fn minute_of(text: &str) -> Option<Timestamp> {
    let second = text.parse::<Timestamp>().ok()?.as_second();
    Timestamp::from_second(second - second.rem_euclid(60)).ok()
}

/// At least 30 minutes and at most 3 years ahead (DEF25); none for the empty text.
pub(super) fn check_end(text: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |code, text: &str| Err(ApiError::service(400, code, text));
    let Some(at) = minute_of(text) else {
        return bad("Ecs.0082", "auto_terminate_time: not YYYY-MM-DDTHH:MM:SSZ");
    };
    let ahead = at.duration_since(now).as_secs();
    match ahead {
        ..1740 => bad(
            "Ecs.0083",
            "auto_terminate_time: less than 30 minutes ahead",
        ),
        94_694_401.. => bad("Ecs.0084", "auto_terminate_time: more than 3 years ahead"),
        _ => Ok(Some(at)),
    }
}

/// Tags as `server_tags` takes them: at most 10, keys of 1–36 and values of 0–43 characters, each
/// key once (DEF25 PostPaidServerTag). Which of `Ecs.0905`–`0908` goes with which rule is a guess.
pub(super) fn check_tags(tags: &[Tag]) -> Result<(), ApiError> {
    let illegal = |c: char| c.is_control() || "=*<>\\,|".contains(c);
    check_tags_with(tags, |c| !illegal(c) && c != '/', |c| !illegal(c))
}

/// Tags as `tags/action` takes them: a narrower set of characters (DEF25 ServerTag).
pub(super) fn check_narrow_tags(tags: &[Tag]) -> Result<(), ApiError> {
    let key = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || is_cjk(c);
    check_tags_with(tags, key, |c| key(c) || c == '.')
}

fn check_tags_with(
    tags: &[Tag],
    in_key: impl Fn(char) -> bool,
    in_value: impl Fn(char) -> bool,
) -> Result<(), ApiError> {
    let bad = |code, text: &str| Err(ApiError::service(400, code, text));
    if tags.len() > 10 {
        return bad("Ecs.0905", "tags: at most 10");
    }
    let fits = |key: &str| (1..=36).contains(&key.chars().count()) && key.chars().all(&in_key);
    if !tags.iter().all(|tag| fits(&tag.key)) {
        return bad("Ecs.0906", "tags: illegal key");
    }
    let fits = |value: &str| value.chars().count() <= 43 && value.chars().all(&in_value);
    if !tags.iter().all(|tag| fits(&tag.value)) {
        return bad("Ecs.0907", "tags: illegal value");
    }
    let keys: std::collections::BTreeSet<&String> = tags.iter().map(|tag| &tag.key).collect();
    if keys.len() < tags.len() {
        return bad("Ecs.0908", "tags: a key stands twice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn order(changes: Value) -> Value {
        let mut server = json!({
            "name": "bw", "imageRef": "1189efbf-d48b-46ad-a823-94b942e2a000",
            "flavorRef": "ki1.8xlarge.4", "vpcid": "0dae26c9-9a70-4392-93f3-87d53115d171",
            "nics": [{"subnet_id": "157ee789-03ea-45b1-a698-76c92660dd83"}],
            "root_volume": {"volumetype": "SSD", "size": 40},
        });
        let map = server.as_object_mut().unwrap();
        map.extend(changes.as_object().unwrap().clone());
        json!({"server": server})
    }

    fn verdict(changes: Value) -> Result<(), String> {
        let parsed = Order::parse(&order(changes), Api::V1, Timestamp::UNIX_EPOCH);
        parsed.map(|_| ()).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn each_rule_of_the_create_call_refuses_with_its_code() {
        let half_hour = json!({"auto_terminate_time": "1970-01-01T00:20:00Z"});
        for (changes, code) in [
            (json!({"name": "a b"}), "Ecs.0914"),
            (json!({"name": "n".repeat(65)}), "Ecs.0915"),
            (json!({"name": "n".repeat(60), "count": 2}), "Ecs.0915"),
            (json!({"name": "bw-[7;3]", "count": 2}), "Ecs.0914"),
            (json!({"nics": []}), "Ecs.0005"),
            (json!({"vpcid": "vpc"}), "Ecs.0014"),
            (json!({"imageRef": null}), "Ecs.0005"),
            (json!({"count": 0}), "Ecs.0005"),
            (json!({"count": 101}), "Ecs.0913"),
            (json!({"root_volume": {"volumetype": "TAPE"}}), "Ecs.0015"),
            (json!({"data_volumes": [{"volumetype": "SSD"}]}), "Ecs.0005"),
            (
                json!({"user_data": STANDARD.encode(vec![b'x'; 32 * 1024 + 1])}),
                "Ecs.0005",
            ),
            (json!({"user_data": "***"}), "Ecs.0005"),
            (
                json!({"server_tags": [{"key": "", "value": "v"}]}),
                "Ecs.0906",
            ),
            (
                json!({"server_tags": [{"key": "k", "value": "v".repeat(44)}]}),
                "Ecs.0907",
            ),
            (
                json!({"server_tags": [{"key": "k"}, {"key": "k"}]}),
                "Ecs.0908",
            ),
            (
                json!({"extendparam": {"chargingMode": "postPaid"}}),
                "Ecs.0005",
            ),
            (half_hour, "Ecs.0083"),
        ] {
            assert_eq!(verdict(changes.clone()), Err(code.to_owned()), "{changes}");
        }
    }

    #[test]
    fn what_the_documents_allow_is_accepted() {
        for changes in [
            json!({}),
            json!({"name": "构建-n.1_x", "count": 100}),
            json!({"name": "bw-[7,3]", "count": 2}),
            json!({"user_data": STANDARD.encode(vec![b'x'; 32 * 1024])}),
            json!({"server_tags": [{"key": "owner", "value": "a/b:c"}, {"key": "empty"}]}),
            json!({"extendparam": {"chargingMode": 0}}),
            json!({"auto_terminate_time": "1970-01-01T00:30:59Z"}),
        ] {
            assert_eq!(verdict(changes.clone()), Ok(()), "{changes}");
        }
    }
}

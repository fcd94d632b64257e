//! `GET /v1.1/…/cloudservers/detail` (huawei-ecs reference §4, ListCloudServers): flat names, numbers where
//! v1 has texts, and many fields only for who asks for them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::encoding;
use super::error::ApiError;
use super::list::{Test, number};
use super::server::Server;

/// Fields that come only if `expect-fields` names them.
const ON_DEMAND: [&str; 16] = [
    "launched_at",
    "key_name",
    "locked",
    "root_device_name",
    "tenancy",
    "dedicated_host_id",
    "enterprise_project_id",
    "tags",
    "metadata",
    "addresses",
    "security_groups",
    "volumes_attached",
    "image",
    "power_state",
    "cpu_options",
    "market_info",
];

/// What a v1.1 list call asks for.
pub(super) struct FlatQuery {
    limit: usize,
    marker: Option<String>,
    fields: Vec<String>,
    tests: Vec<FlatTest>,
}

enum FlatTest {
    Common(Test),
    Id(String),
    Image(String),
    Zone(String),
    KeyName(String),
    MetadataKey(String),
    /// `k=v`
    Metadata(String),
    ChargingMode(String),
    LaunchedSince(Timestamp),
}

impl FlatQuery {
    /// 10 servers unless asked for another number, at most 100.
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut asked = Self {
            limit: 10,
            marker: None,
            fields: Vec::new(),
            tests: Vec::new(),
        };
        for (name, value) in encoding::pairs(query) {
            let text = String::from_utf8_lossy(&value).into_owned();
            if !text.is_empty() {
                asked.take(&String::from_utf8_lossy(&name), text)?;
            }
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        match name {
            "limit" => match number(name, &value)? {
                limit @ 0..=100 => self.limit = limit,
                _ => return Err(ApiError::illegal("limit: must be 0 to 100")),
            },
            "marker" => self.marker = Some(value),
            "expect-fields" => self.fields.extend(value.split(',').map(str::to_owned)),
            _ => self.tests.extend(FlatTest::of(name, value)?),
        }
        Ok(())
    }

    /// One page, newest first; there is no total.
    pub(super) fn answer(
        &self,
        servers: &[&Server],
        project: &str,
        request_id: &str,
    ) -> Result<Value, ApiError> {
        let fits = |server: &&&Server| self.tests.iter().all(|test| test.holds(server));
        let all: Vec<&Server> = servers.iter().filter(fits).copied().collect();
        let skip = match &self.marker {
            None => 0,
            Some(marker) => {
                let at = all.iter().position(|server| server.id == *marker);
                let missing = || ApiError::illegal(format!("marker [{marker}] not found"));
                at.ok_or_else(missing)? + 1
            }
        };
        let page = all.iter().skip(skip).take(self.limit);
        let servers: Vec<Value> = page.map(|server| self.view(server, project)).collect();
        Ok(json!({"servers": servers, "request_id": request_id}))
    }

    fn view(&self, server: &Server, project: &str) -> Value {
        let mut flat = flat(&server.view(project), server);
        let asked = |name: &str| self.fields.iter().any(|field| field == name);
        flat.retain(|name, _| !ON_DEMAND.contains(&name.as_str()) || asked(name));
        Value::Object(flat)
    }
}

/// Everything of a v1 server under its flat name.
fn flat(nested: &Value, server: &Server) -> Map<String, Value> {
    const NAMES: [(&str, &str); 19] = [
        ("id", "id"),
        ("name", "name"),
        ("status", "status"),
        ("tenant_id", "tenant_id"),
        ("user_id", "user_id"),
        ("created", "created"),
        ("updated", "updated"),
        ("description", "description"),
        ("fault", "fault"),
        ("key_name", "key_name"),
        ("locked", "locked"),
        ("enterprise_project_id", "enterprise_project_id"),
        ("tags", "tags"),
        ("metadata", "metadata"),
        ("addresses", "addresses"),
        ("security_groups", "security_groups"),
        ("image", "image"),
        ("availability_zone", "OS-EXT-AZ:availability_zone"),
        ("root_device_name", "OS-EXT-SRV-ATTR:root_device_name"),
    ];
    const STATES: [(&str, &str); 4] = [
        ("vm_state", "OS-EXT-STS:vm_state"),
        ("task_state", "OS-EXT-STS:task_state"),
        ("power_state", "OS-EXT-STS:power_state"),
        ("launched_at", "OS-SRV-USG:launched_at"),
    ];
    let of = |name: &str| nested.get(name).cloned().unwrap_or_default();
    let named = NAMES.iter().chain(&STATES);
    let mut map: Map<String, Value> = named
        .map(|(flat, nested)| ((*flat).to_owned(), of(nested)))
        .collect();
    let flavor = json!({"id": server.flavor.id, "name": server.flavor.id,
        "vcpus": server.flavor.vcpus, "ram": server.flavor.ram_mb, "disk": 0});
    map.insert("flavor".to_owned(), flavor);
    map.insert("volumes_attached".to_owned(), volumes(server));
    map.insert("in_recycle_bin".to_owned(), json!(false));
    map.insert(
        "market_info".to_owned(),
        json!({"charging_mode": server.charging_mode()}),
    );
    map
}

/// `delete_on_termination` is a boolean here.
fn volumes(server: &Server) -> Value {
    let attached = server.volumes.iter().map(|volume| {
        json!({"id": volume.id, "delete_on_termination": volume.goes_with_server,
            "bootIndex": (volume.kind == "root").then_some("0")})
    });
    attached.collect()
}

impl FlatTest {
    fn of(name: &str, value: String) -> Result<Vec<Self>, ApiError> {
        let test = match name {
            "id" => Self::Id(value),
            "image_id" => Self::Image(value),
            "flavor_name" => Self::Common(Test::Flavor(value)),
            "availability_zone" | "availability_zone_eq" => Self::Zone(value),
            "key_name" => Self::KeyName(value),
            "metadata-key" => Self::MetadataKey(value),
            "metadata" => Self::Metadata(value),
            "charging_mode" => Self::ChargingMode(value),
            "launched_since" => Self::LaunchedSince(
                value
                    .parse()
                    .map_err(|_| ApiError::illegal("launched_since: not a time"))?,
            ),
            _ => {
                return Ok(Test::of(name, value)
                    .into_iter()
                    .map(Self::Common)
                    .collect());
            }
        };
        Ok(vec![test])
    }

    fn holds(&self, server: &Server) -> bool {
        let metadata = || server.metadata();
        match self {
            Self::Common(test) => test.holds(server),
            Self::Id(id) => server.id == *id,
            Self::Image(id) => server.order.image == *id,
            Self::Zone(zone) => server.zone == zone,
            Self::KeyName(name) => server.order.key_name.as_ref() == Some(name),
            Self::MetadataKey(key) => metadata().get(key).is_some(),
            Self::Metadata(pair) => pair.split_once('=').is_some_and(|(key, value)| {
                metadata().get(key).and_then(Value::as_str) == Some(value)
            }),
            Self::ChargingMode(mode) => server.charging_mode() == mode,
            Self::LaunchedSince(since) => server.launched_at.is_some_and(|at| at >= *since),
        }
    }
}

//! The control route `/_sim/…`: unsigned, and for loopback only.

use std::net::SocketAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::faults::Faults;
use super::http::{Call, Reply};
use super::order::{Api, Order, Tag};
use super::routes::json_of;
use super::shared::Shared;

/// A server that is not ours, as `POST /_sim/foreign` describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// Its name.
    pub name: String,
    /// Its flavor's id.
    pub flavor: String,
    /// Its tags, `k=v` or `k` each.
    #[serde(default)]
    pub tags: Vec<String>,
}

pub(super) fn answer(shared: &Shared, peer: SocketAddr, call: &Call) -> Result<Reply, ApiError> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err(ApiError::service(
            403,
            "Sim.0001",
            "the control route answers loopback only",
        ));
    }
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/_sim/ledger") => Ok(Reply::ok(value_of(
            &shared.with_world(|world, now| world.ledger(now)),
        ))),
        ("GET", "/_sim/faults") => Ok(Reply::ok(value_of(&shared.faults()))),
        ("PUT", "/_sim/faults") => {
            let faults = Faults::deserialize(json_of(call)?).map_err(bad)?;
            shared.set_faults(faults.clone());
            Ok(Reply::ok(value_of(&faults)))
        }
        ("POST", "/_sim/foreign") => {
            let foreign = Foreign::deserialize(json_of(call)?).map_err(bad)?;
            let id = add_foreign(shared, foreign)?;
            Ok(Reply::ok(json!({"id": id})))
        }
        _ => Err(ApiError::service(404, "Sim.0002", "no such control route")),
    }
}

fn bad(why: serde_json::Error) -> ApiError {
    ApiError::service(400, "Sim.0003", why.to_string())
}

/// Nothing in these types can fail to be written as JSON.
fn value_of(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

pub(super) fn add_foreign(shared: &Shared, foreign: Foreign) -> Result<String, ApiError> {
    let tag = |text: &String| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        Tag {
            key: key.to_owned(),
            value: value.to_owned(),
        }
    };
    let tags = foreign.tags.iter().map(tag).collect();
    let body = json!({"server": {
        "name": foreign.name, "flavorRef": foreign.flavor,
        "imageRef": "00000000-0000-4000-8000-000000000001",
        "vpcid": "00000000-0000-4000-8000-000000000002",
        "nics": [{"subnet_id": "00000000-0000-4000-8000-000000000003"}],
        "root_volume": {"volumetype": "SSD", "size": 40},
    }});
    shared.with_world(|world, now| {
        let (order, _) = Order::parse(&body, Api::V1, now)?;
        world.add_foreign(order, tags, now)
    })
}

//! The control route `/_sim/…`: unsigned, and for loopback only.

use std::net::SocketAddr;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::encoding;
use super::error::ApiError;
use super::faults::Faults;
use super::http::Call;
use super::order::{Api, Order, Tag};
use super::prices::Prices;
use super::reply::Reply;
use super::routes::json_of;
use super::scenario;
use super::shared::Shared;
use super::somebody::Hand;
use super::world::World;

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
    let parts: Vec<&str> = call.path.trim_start_matches("/_sim/").split('/').collect();
    match (call.method.as_str(), parts.as_slice()) {
        ("GET", ["ledger"]) => ok(&shared.with_world(|world, now| world.ledger(now))),
        ("GET", ["faults"]) => ok(&shared.faults()),
        ("PUT", ["faults"]) => {
            let faults = Faults::deserialize(json_of(call)?).map_err(bad)?;
            shared.set_faults(faults.clone());
            ok(&faults)
        }
        ("POST", ["foreign"]) => {
            let foreign = Foreign::deserialize(json_of(call)?).map_err(bad)?;
            let id = shared.with_world(|world, now| world.add_foreigner(foreign, now))?;
            ok(&json!({"id": id}))
        }
        ("GET", ["prices"]) => ok(&shared.with_world(|world, _| world.prices.clone())),
        ("PUT", ["prices"]) => set_prices(shared, call),
        ("GET", ["clock"]) => ok(&clock_of(shared)),
        ("POST", ["clock"]) => set_clock(shared, call),
        ("PUT", ["keys", access]) => {
            let key = NewKey::deserialize(json_of(call)?).map_err(bad)?;
            shared.with_access(|all, _, _| all.add_key((*access).to_owned(), key.secret));
            Ok(Reply::empty(204))
        }
        ("DELETE", ["keys", access]) if shared.with_access(|all, _, _| all.remove_key(access)) => {
            Ok(Reply::empty(204))
        }
        ("DELETE", ["credentials"]) => {
            shared.with_access(|access, _, _| access.revoke());
            Ok(Reply::empty(204))
        }
        ("PUT", ["arm-images", id]) => {
            shared.with_world(|world, _| world.arm_images.insert((*id).to_owned()));
            Ok(Reply::empty(204))
        }
        ("POST", ["servers", target, hand]) => {
            let hand = Hand::deserialize(json!(hand)).map_err(bad)?;
            let target = String::from_utf8_lossy(&encoding::decode(target)).into_owned();
            let id = shared.with_world(|world, now| world.lay_hand(hand, &target, now))?;
            ok(&json!({"id": id}))
        }
        _ => Err(ApiError::service(404, "Sim.0002", "no such control route")),
    }
}

/// One more access key, named in the path.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    secret: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetClock {
    advance_seconds: f64,
}

fn set_clock(shared: &Shared, call: &Call) -> Result<Reply, ApiError> {
    let asked = SetClock::deserialize(json_of(call)?).map_err(bad)?;
    let by = scenario::span("advance_seconds", asked.advance_seconds);
    shared.advance(by.map_err(|why| ApiError::service(400, "Sim.0003", why))?);
    ok(&clock_of(shared))
}

fn clock_of(shared: &Shared) -> Value {
    shared.with_world(
        |world, now| json!({"now": now.to_string(), "ahead_seconds": world.ahead.as_secs_f64()}),
    )
}

fn set_prices(shared: &Shared, call: &Call) -> Result<Reply, ApiError> {
    let prices = Prices::deserialize(json_of(call)?).map_err(bad)?;
    prices
        .check()
        .map_err(|why| ApiError::service(400, "Sim.0003", why))?;
    shared.with_world(|world, _| world.prices = prices.clone());
    ok(&prices)
}

fn bad(why: serde_json::Error) -> ApiError {
    ApiError::service(400, "Sim.0003", why.to_string())
}

/// Nothing in these types can fail to be written as JSON.
fn ok(value: &impl serde::Serialize) -> Result<Reply, ApiError> {
    Ok(Reply::ok(serde_json::to_value(value).unwrap_or_default()))
}

impl World {
    /// A server that somebody else bought, there and on at once; its id.
    pub(super) fn add_foreigner(
        &mut self,
        foreign: Foreign,
        now: Timestamp,
    ) -> Result<String, ApiError> {
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
        let (order, _) = Order::parse(&body, Api::V1, now)?;
        self.add_foreign(order, tags, now)
    }
}

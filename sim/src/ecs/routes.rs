//! Which call a request is, and its way to the world (huawei-ecs reference §1).

use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::birth::Outcome;
use super::encoding;
use super::error::ApiError;
use super::faults::{Faults, take_one};
use super::flavors::{self, ZONES};
use super::http::{Call, Reply};
use super::list::Query;
use super::order::{Api, Tag, check_narrow_tags};
use super::shared::Shared;
use super::sign::header;
use super::world::World;

/// A call that the simulator knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Create { api: Api },
    Delete,
    Power,
    Job(String),
    List,
    Show(String),
    Tags(String),
    ChangeTags(String),
    Flavors,
    Limits,
}

impl Route {
    /// The project in the path and the call, if there is such a route.
    pub(super) fn of(method: &Method, path: &str) -> Option<(String, Self)> {
        let path = String::from_utf8(encoding::decode(path)).ok()?;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let [version, project, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let route = match (method.as_str(), *version, rest) {
            ("POST", "v1", ["cloudservers"]) => Self::Create { api: Api::V1 },
            ("POST", "v1.1", ["cloudservers"]) => Self::Create { api: Api::V1_1 },
            ("POST", "v1", ["cloudservers", "delete"]) => Self::Delete,
            ("POST", "v1", ["cloudservers", "action"]) => Self::Power,
            ("GET", "v1", ["jobs", id]) => Self::Job((*id).to_owned()),
            ("GET", "v1", ["cloudservers", "detail"]) => Self::List,
            ("GET", "v1", ["cloudservers", "flavors"]) => Self::Flavors,
            ("GET", "v1", ["cloudservers", "limits"]) => Self::Limits,
            ("GET", "v1", ["cloudservers", id]) => Self::Show((*id).to_owned()),
            ("GET", "v1", ["cloudservers", id, "tags"]) => Self::Tags((*id).to_owned()),
            ("POST", "v1", ["cloudservers", id, "tags", "action"]) => {
                Self::ChangeTags((*id).to_owned())
            }
            _ => return None,
        };
        Some(((*project).to_owned(), route))
    }
}

/// Carries a call out. Everything it does is done when this returns.
pub(super) fn answer(shared: &Shared, route: &Route, call: &Call) -> Result<Reply, ApiError> {
    let project = &shared.project;
    match route {
        Route::Create { api } => create(shared, *api, call),
        Route::Delete => {
            let body = json_of(call)?;
            shared
                .with_world(|world, now| world.delete(&body, now))
                .map(Reply::ok)
        }
        Route::Power => {
            let body = json_of(call)?;
            shared
                .with_world(|world, now| world.power(&body, now))
                .map(Reply::ok)
        }
        Route::Job(id) => shared.with_world(|world, _| Ok(Reply::ok(world.job(id)?.view()))),
        Route::List => {
            let query = Query::parse(&call.query)?;
            shared
                .with_world(|world, _| query.answer(&world.visible(), project))
                .map(Reply::ok)
        }
        Route::Show(id) => shared.with_world(|world, _| {
            Ok(Reply::ok(json!({"server": world.shown(id)?.view(project)})))
        }),
        Route::Tags(id) => shared.with_world(|world, _| tags(world, id)),
        Route::ChangeTags(id) => change_tags(shared, id, call),
        Route::Flavors => Ok(Reply::ok(flavors_of(&shared.faults(), &call.query))),
        Route::Limits => Ok(Reply::ok(shared.with_world(|world, _| limits(world)))),
    }
}

/// The body as JSON; what cannot be read is `Ecs.0005`.
pub(super) fn json_of(call: &Call) -> Result<Value, ApiError> {
    serde_json::from_slice(&call.body).map_err(|_| ApiError::illegal("request body is illegal."))
}

fn create(shared: &Shared, api: Api, call: &Call) -> Result<Reply, ApiError> {
    let body = json_of(call)?;
    let token = header(&call.headers, "x-client-token");
    shared.with_world(|world, now| {
        if take_one(&mut world.faults.refuse_next_creates) {
            return Err(ApiError::service(
                500,
                "Ecs.1000",
                "System error. Please try again later.",
            ));
        }
        match world.create(&body, api, token.as_deref(), now)? {
            Outcome::Accepted(answer) => Ok(Reply::ok(answer)),
            // Which body a dry run has is not specified (reference §12); the status is.
            Outcome::DryRun => Ok(Reply {
                status: 202,
                body: Some(json!({})),
            }),
        }
    })
}

fn tags(world: &mut World, id: &str) -> Result<Reply, ApiError> {
    let list: Vec<Value> = world
        .usable(id)?
        .tags
        .iter()
        .map(|tag| json!({"key": tag.key, "value": tag.value}))
        .collect();
    Ok(Reply::ok(json!({"tags": list, "sys_tags": []})))
}

#[derive(Deserialize)]
struct TagCall {
    action: TagAction,
    tags: Vec<Tag>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TagAction {
    Create,
    Delete,
}

fn change_tags(shared: &Shared, id: &str, call: &Call) -> Result<Reply, ApiError> {
    let asked = TagCall::deserialize(json_of(call)?)
        .map_err(|_| ApiError::illegal("request body is illegal."))?;
    check_narrow_tags(&asked.tags)?;
    shared.with_world(|world, now| match asked.action {
        TagAction::Create => world.add_tags(id, asked.tags, now),
        TagAction::Delete => world.remove_tags(id, &asked.tags, now),
    })?;
    Ok(Reply {
        status: 204,
        body: None,
    })
}

/// With a zone, only what can be had there (huawei-ecs reference §4, Flavors).
fn flavors_of(faults: &Faults, query: &str) -> Value {
    let asked = |name: &str| {
        let found = encoding::pairs(query)
            .into_iter()
            .find(|(key, _)| key == name.as_bytes());
        found
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
            .filter(|v| !v.is_empty())
    };
    let (zone, id) = (asked("availability_zone"), asked("flavor_id"));
    let sellable = |zone: &String, flavor: &str| {
        ZONES.contains(&zone.as_str()) && !faults.is_sold_out(flavor, zone)
    };
    let all = flavors::all()
        .filter(|flavor| id.as_ref().is_none_or(|id| flavor.id == id))
        .filter(|flavor| zone.as_ref().is_none_or(|zone| sellable(zone, flavor.id)));
    let list: Vec<Value> = all.map(|flavor| flavor.listed(faults)).collect();
    json!({"flavors": list})
}

/// -1 is unlimited (huawei-ecs reference §4, Limits).
fn limits(world: &mut World) -> Value {
    let (instances, cores) = world.used();
    let ram: u32 = world
        .visible()
        .iter()
        .map(|server| server.flavor.ram_mb)
        .sum();
    let quota = |quota: Option<u32>| quota.map_or(-1, i64::from);
    json!({"absolute": {
        "maxTotalInstances": quota(world.rules.quota_instances),
        "maxTotalCores": quota(world.rules.quota_cores),
        "maxTotalRAMSize": -1,
        "totalInstancesUsed": instances, "totalCoresUsed": cores, "totalRAMUsed": ram,
        "maxTotalSpotInstances": 0, "maxTotalSpotCores": 0, "maxTotalSpotRAMSize": 0,
        "totalSpotInstancesUsed": 0, "totalSpotCoresUsed": 0, "totalSpotRAMUsed": 0,
        "maxServerGroups": 10, "maxServerGroupMembers": 16, "totalServerGroupsUsed": 0,
        "maxTotalFloatingIps": 10, "totalFloatingIpsUsed": 0,
        "maxSecurityGroups": 100, "maxSecurityGroupRules": 100, "totalSecurityGroupsUsed": 1,
        "maxTotalKeypairs": 100, "maxServerMeta": 128, "maxImageMeta": 128,
        "maxPersonality": 5, "maxPersonalitySize": 10240, "limit_by_flavor": [],
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_the_project_and_the_call() {
        let of = |method: Method, path| Route::of(&method, path);
        let found = of(Method::GET, "/v1/p/cloudservers/detail").unwrap();
        assert_eq!(found, ("p".to_owned(), Route::List));
        let found = of(Method::POST, "/v1.1/p/cloudservers").unwrap();
        assert_eq!(found.1, Route::Create { api: Api::V1_1 });
        assert_eq!(of(Method::DELETE, "/v1/p/cloudservers/detail"), None);
        assert_eq!(of(Method::GET, "/"), None);
    }
}

//! The way of a call to the world (huawei-ecs reference §1).

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::birth::Outcome;
use super::error::ApiError;
use super::faults::{Faults, take_one};
use super::flat::FlatQuery;
use super::flavors::{self, Flavor, ZONES};
use super::http::Call;
use super::list::{self, Query};
use super::network::{asked, list_zones};
use super::order::{Api, Tag, check_end, check_narrow_tags};
use super::reply::Reply;
use super::route::Route;
use super::server::Server;
use super::shared::Shared;
use super::sign::header;
use super::world::{Event, World};

/// Carries a call out. Everything it does is done when this returns.
pub(super) fn answer(
    shared: &Shared,
    route: &Route,
    call: &Call,
    request_id: &str,
) -> Result<Reply, ApiError> {
    match route {
        Route::Create { api } => create(shared, *api, call),
        Route::Delete => {
            let body = json_of(call)?;
            reply(shared.with_world(|world, now| world.delete(&body, now)))
        }
        Route::Power => {
            let body = json_of(call)?;
            reply(shared.with_world(|world, now| world.power(&body, now)))
        }
        Route::ChangeTags(id) => change_tags(shared, id, call),
        Route::AutoTerminate(id) => {
            let body = json_of(call)?;
            shared.with_world(|world, now| set_end(world, id, &body, now))?;
            Ok(Reply::empty(204))
        }
        Route::IamToken => sign_in(shared, call),
        Route::MetadataToken => shared.with_access(|access, faults, now| {
            if faults.metadata_without_tokens {
                return Err(ApiError::service(404, "404", "Not Found"));
            }
            access.metadata_token(&call.headers, now).map(Reply::text)
        }),
        Route::SecurityKey => reply(
            shared
                .with_access(|access, faults, now| access.security_key(&call.headers, faults, now)),
        ),
        _ => {
            read(shared, route, call, request_id).unwrap_or_else(|| neighbours(shared, route, call))
        }
    }
}

/// What only looks at servers, jobs and what can be bought.
fn read(
    shared: &Shared,
    route: &Route,
    call: &Call,
    request_id: &str,
) -> Option<Result<Reply, ApiError>> {
    let project = &shared.project;
    let query = &call.query;
    let answer = shared.with_world(|world, now| {
        Some(match route {
            Route::Job(id) => world.job(id).map(|job| job.shown(&world.faults, now)),
            Route::List => {
                Query::parse(query).and_then(|asked| asked.answer(&world.listed(), project))
            }
            Route::FlatList => FlatQuery::parse(query)
                .and_then(|asked| asked.answer(&world.listed(), project, request_id)),
            Route::ListByTag => json_of(call).and_then(|body| by_tag(&world.listed(), &body)),
            Route::Show(id) => world.shown(id).map(|s| json!({"server": s.view(project)})),
            Route::Tags(id) => tags(world, id),
            Route::AllTags => Ok(all_tags(world)),
            Route::Flavors => Ok(flavors_of(&world.faults, query)),
            Route::Limits => Ok(limits(world)),
            _ => return None,
        })
    });
    answer.map(reply)
}

/// What stands beside the servers.
fn neighbours(shared: &Shared, route: &Route, call: &Call) -> Result<Reply, ApiError> {
    let (project, query) = (&shared.project, &call.query);
    let answer = shared.with_world(|world, now| match route {
        Route::Zones => Ok(list_zones()),
        Route::KeyPair(name) => world.show_key_pair(name),
        Route::Vpc(id) => world.show_vpc(id),
        Route::Subnet(id) => world.show_subnet(id),
        Route::SecurityGroup(id) => world.show_security_group(id),
        Route::Addresses(id) => world.show_addresses(id),
        Route::Ports => Ok(world.list_ports(query)),
        Route::DeletePort(id) => world.delete_port(id).map(|()| Value::Null),
        Route::Volumes => world.list_volumes(project, query),
        Route::Volume(id) => world.show_volume(project, id),
        Route::DeleteVolume(id) => world.delete_volume(id, now),
        Route::Image => Ok(world.list_images(query)),
        Route::Price => world.prices.rate(&json_of(call)?),
        _ => Err(ApiError::service(404, "APIGW.0101", "no such call")),
    })?;
    Ok(match answer {
        Value::Null => Reply::empty(204),
        answer => Reply::ok(answer),
    })
}

fn reply(answer: Result<Value, ApiError>) -> Result<Reply, ApiError> {
    answer.map(Reply::ok)
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
            Outcome::Accepted(mut answer) => {
                if let Some(map) = answer
                    .as_object_mut()
                    .filter(|_| world.faults.create_without_ids)
                {
                    map.remove("serverIds");
                }
                Ok(Reply::ok(answer))
            }
            // Which body a dry run has is not specified (reference §12); the status is.
            Outcome::DryRun => Ok(Reply::with(202, json!({}))),
        }
    })
}

fn sign_in(shared: &Shared, call: &Call) -> Result<Reply, ApiError> {
    let body = json_of(call)?;
    let signed = shared.with_access(|access, faults, now| access.sign_in(&body, faults, now));
    let (token, body) = signed?;
    let reply = Reply::with(201, body);
    Ok(reply.with_header("x-subject-token", token))
}

/// `PUT`s a new moment, or with the empty text none at all (DEF25 UpdateServerAutoTerminateTime).
fn set_end(world: &mut World, id: &str, body: &Value, now: Timestamp) -> Result<(), ApiError> {
    let text = body.get("auto_terminate_time").and_then(Value::as_str);
    let text = text.ok_or_else(|| ApiError::illegal("request body is illegal."))?;
    let end = check_end(text, now)?;
    world.usable(id)?.ends_at = end;
    if let Some(end) = end {
        world.later(end, Event::AutoTerminates(id.to_owned()));
    }
    Ok(())
}

fn tags(world: &mut World, id: &str) -> Result<Value, ApiError> {
    let list: Vec<Value> = world
        .usable(id)?
        .tags
        .iter()
        .map(|tag| json!({"key": tag.key, "value": tag.value}))
        .collect();
    Ok(json!({"tags": list, "sys_tags": []}))
}

/// `GET …/cloudservers/tags`: every key of the project, with its values.
fn all_tags(world: &World) -> Value {
    let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for tag in world.visible().into_iter().flat_map(|server| &server.tags) {
        found.entry(&tag.key).or_default().insert(&tag.value);
    }
    let list = found
        .iter()
        .map(|(key, values)| json!({"key": key, "values": values}));
    json!({"tags": list.collect::<Vec<_>>()})
}

#[derive(Deserialize)]
struct ByTag {
    action: Action,
    limit: Option<String>,
    offset: Option<String>,
    #[serde(default)]
    tags: Vec<Wanted>,
}

#[derive(PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Filter,
    Count,
}

#[derive(Deserialize)]
struct Wanted {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

/// `POST …/resource_instances/action`: each key has to be there, with one of its values if it has some
/// (DEF25 ListServersByTag). `offset` counts servers here.
fn by_tag(servers: &[&Server], body: &Value) -> Result<Value, ApiError> {
    let asked =
        ByTag::deserialize(body).map_err(|_| ApiError::illegal("request body is illegal."))?;
    let has = |server: &Server, wanted: &Wanted| {
        let of_key = server.tags.iter().filter(|tag| tag.key == wanted.key);
        let mut values = of_key.map(|tag| &tag.value);
        values.any(|value| wanted.values.is_empty() || wanted.values.contains(value))
    };
    let fits = |server: &&&Server| asked.tags.iter().all(|wanted| has(server, wanted));
    let all: Vec<&&Server> = servers.iter().filter(fits).collect();
    if asked.action == Action::Count {
        return Ok(json!({"total_count": all.len()}));
    }
    let number = |text: &Option<String>, default| match text {
        Some(text) => list::number("limit or offset", text),
        None => Ok(default),
    };
    let page = all
        .iter()
        .skip(number(&asked.offset, 0)?)
        .take(number(&asked.limit, 1000)?);
    let view = |server: &&&Server| {
        let tags = server
            .tags
            .iter()
            .map(|tag| json!({"key": tag.key, "value": tag.value}));
        json!({"resource_id": server.id, "resource_name": server.name, "resource_detail": null,
            "tags": tags.collect::<Vec<_>>()})
    };
    Ok(json!({"resources": page.map(view).collect::<Vec<_>>(), "total_count": all.len()}))
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
    Ok(Reply::empty(204))
}

/// With a zone, only what can be had there (huawei-ecs reference §4, Flavors).
fn flavors_of(faults: &Faults, query: &str) -> Value {
    let (zone, id) = (asked(query, "availability_zone"), asked(query, "flavor_id"));
    let sellable = |zone: &String, flavor: &str| {
        ZONES.contains(&zone.as_str()) && !faults.is_sold_out(flavor, zone)
    };
    let all = flavors::all()
        .filter(|flavor| id.as_ref().is_none_or(|id| flavor.id == id))
        .filter(|flavor| zone.as_ref().is_none_or(|zone| sellable(zone, flavor.id)));
    // `limit` and `marker` are of DEF25; an unknown marker has nothing behind it.
    let limit = asked(query, "limit").and_then(|limit| limit.parse().ok());
    let marker = asked(query, "marker");
    let seen = |flavor: &&Flavor| marker.as_ref().is_some_and(|marker| flavor.id != marker);
    let rest = all.skip_while(seen).skip(usize::from(marker.is_some()));
    let page = rest.take(limit.unwrap_or(1000));
    let list: Vec<Value> = page.map(|flavor| flavor.listed(faults)).collect();
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
    let (max_instances, max_cores) = world.quota();
    let quota = |quota: Option<u32>| quota.map_or(-1, i64::from);
    json!({"absolute": {
        "maxTotalInstances": quota(max_instances),
        "maxTotalCores": quota(max_cores),
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

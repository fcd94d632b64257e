//! Whether a server that a person takes from us is let go. Pure: no IO, no clock, no logging.

use crate::model::{
    Fleet, Member, Server, ServerStatus, Stage, TAG_ORDER, TAG_OWNER, TAG_POOL, TAG_PROTECTED,
};
use std::net::IpAddr;

/// Why a server stays ours though a person takes it from us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// None of our servers has this address.
    #[error("no server of ours has this address")]
    NotOurs,
    /// Several of ours have it.
    #[error("several servers of ours have this address")]
    Ambiguous,
    /// It is on its way out.
    #[error("it is being given back")]
    Leaving,
    /// It is on its way in.
    #[error("it is on its way into service")]
    Arriving,
    /// An order bought it.
    #[error(
        "order {0} bought it: in mode `full` its pool gives it back when it is idle; `--bought` lets go of it \
         all the same, and then nobody deletes it"
    )]
    Bought(String),
}

/// Our server of this address.
///
/// # Errors
/// Where none or several have it.
pub fn ours(ip: IpAddr, fleet: &Fleet) -> Result<&Server, Kept> {
    let mut found = fleet.servers.values().filter(|s| s.ip == Some(ip));
    let server = found.next().ok_or(Kept::NotOurs)?;
    match found.next() {
        None => Ok(server),
        Some(_) => Err(Kept::Ambiguous),
    }
}

/// Why we keep a server that a person takes from us; `None` where we let go of it.
#[must_use]
pub fn keeps(server: &Server, member: Option<&Member>, bought: bool) -> Option<Kept> {
    let stage = member.map(|member| &member.stage);
    if server.status == ServerStatus::Deleting || stage.is_some_and(Stage::is_leaving) {
        return Some(Kept::Leaving);
    }
    if stage.is_some_and(Stage::is_in_flight) {
        return Some(Kept::Arriving);
    }
    let order = member.and_then(|member| member.order.as_ref());
    let order = server.tags.order.as_ref().or(order);
    order
        .filter(|_| !bought)
        .map(|id| Kept::Bought(id.to_string()))
}

/// The keys of all tags of ours on a server.
#[must_use]
pub fn keys_on(server: &Server) -> Vec<String> {
    let keys = [TAG_OWNER, TAG_POOL, TAG_ORDER, TAG_PROTECTED];
    let leases = server.tags.leases.iter();
    let leases = leases.map(|lease| lease.scaler.lease_key());
    keys.into_iter().map(str::to_owned).chain(leases).collect()
}

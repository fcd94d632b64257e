//! The families of what the cloud refused: a series stands while the refusal has not been followed by a
//! success, and is 1 while nothing of it is tried.

use super::write::{Labels, Writer, labels, of_pool};
use super::{Configured, FleetState};
use crate::metrics::catalogue::cloud;
use crate::model::{Class, Offer, Scope, Setback};
use std::fmt;

pub(super) fn write(
    writer: &mut Writer<'_>,
    configured: &Configured,
    state: &FleetState,
) -> fmt::Result {
    let setbacks = &state.ledger.setbacks;
    let held = |setback: &Setback| u32::from(setback.holds(state.now));
    let offers = setbacks.iter().filter_map(|(scope, class, setback)| {
        let Scope::Offer(offer) = scope else {
            return None;
        };
        Some((of_offer(configured, offer, class), held(setback)))
    });
    writer.gauge(&cloud::OBS_SCALER_FLAVOR_BACKOFF, offers)?;
    let refused = setbacks.iter().flat_map(|(scope, class, setback)| {
        let pools = configured.pools.values();
        let concerned = pools.filter(move |pool| match scope {
            Scope::Everything => true,
            Scope::Pool(name) => pool.name == *name,
            Scope::Offer(_) | Scope::Server(_) => false,
        });
        let everything = if *scope == Scope::Everything {
            "all"
        } else {
            "pool"
        };
        let more = [("scope", everything), ("cause", class.label())];
        concerned.map(move |pool| (super::and(of_pool(pool), more), held(setback)))
    });
    writer.gauge(&cloud::OBS_SCALER_CLOUD_REFUSES, refused)?;
    let deletions = setbacks.iter().filter_map(|(scope, class, setback)| {
        let Scope::Server(server) = scope else {
            return None;
        };
        let server = [("server", server.as_str()), ("cause", class.label())];
        Some((labels(server), held(setback)))
    });
    writer.gauge(&cloud::OBS_SCALER_DELETION_REFUSED, deletions)
}

fn of_offer<'a>(configured: &'a Configured, offer: &'a Offer, class: Class) -> Labels<'a> {
    let mut pools = configured.pools.values();
    let pool = pools.find(|pool| pool.flavors().any(|flavor| *flavor == offer.flavor));
    let zone = offer.zone.as_ref();
    labels([
        ("arch", pool.map_or("", |pool| pool.arch.as_str())),
        ("flavor", offer.flavor.as_str()),
        ("availability_zone", zone.map_or("", |zone| zone.as_str())),
        ("cause", class.label()),
    ])
}

//! What is said of the cloud's refusals.

use super::*;
use crate::model::{Class, Offer, Scope, Setbacks};

/// A refusal of each kind, one long ago.
pub(super) fn refused() -> Setbacks {
    let offer = |zone: Option<&str>| {
        Scope::Offer(Offer {
            flavor: FlavorName::new("ki1.16xlarge.4"),
            zone: zone.map(crate::model::ZoneName::new),
        })
    };
    let mut setbacks = Setbacks::default();
    for (scope, class, when) in [
        (offer(Some("z1")), Class::Capacity, NOW - 10),
        (offer(None), Class::Unknown, NOW - 3600),
        (Scope::Everything, Class::Account, NOW - 10),
        (Scope::Pool(name("near")), Class::Quota, NOW - 3600),
        (Scope::Server(ServerId::new("s1")), Class::State, NOW - 10),
    ] {
        setbacks.refused(scope, class, "", at(when), at(when));
    }
    setbacks
}

#[test]
fn what_the_cloud_refused_is_shown_until_it_was_done_and_as_0_while_it_is_tried() {
    let shown = page(state());
    for line in [
        "obs_scaler_flavor_backoff{arch=\"aarch64\",flavor=\"ki1.16xlarge.4\",availability_zone=\"z1\",cause=\"capacity\"} 1",
        "obs_scaler_flavor_backoff{arch=\"aarch64\",flavor=\"ki1.16xlarge.4\",availability_zone=\"\",cause=\"unknown\"} 0",
        "obs_scaler_cloud_refuses{pool=\"near\",arch=\"aarch64\",level=\"l2\",scope=\"all\",cause=\"account\"} 1",
        "obs_scaler_cloud_refuses{pool=\"near\",arch=\"aarch64\",level=\"l2\",scope=\"pool\",cause=\"quota\"} 0",
        "obs_scaler_deletion_refused{server=\"s1\",cause=\"state\"} 1",
    ] {
        assert!(has(&shown, line), "{line}\n{shown}");
    }
    let pools = shown.matches("scope=\"all\"").count();
    assert_eq!(pools, 2, "every pool");
    assert_eq!(shown.matches("scope=\"pool\"").count(), 1);
    let mut calm = state();
    Arc::make_mut(&mut calm.ledger).setbacks = Setbacks::default();
    assert!(!page(calm).contains("obs_scaler_cloud_refuses"));
}

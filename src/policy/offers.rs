//! Which flavor in which zone is ordered next, and what the cloud's refusals stand against.
//!
//! What each class of refusal asks for is [`Class::reaction`]; where it is held against is [`stands_against`].
//! Both are the same for a call that was refused and for a part of a job that failed.

use super::View;
use super::names::names_for;
use super::reason::Reason;
use crate::config::Pool;
use crate::model::{
    Allowed, Availability, Class, Ledger, Member, Offer, Order, Reaction, Scope, ServerId,
    Setbacks, Stage,
};
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What was refused.
#[derive(Debug, Clone, Copy)]
pub enum Refused<'a> {
    /// A create call.
    Call(&'a Order),
    /// The creation of one server, in the cloud's job.
    Part(&'a Order),
    /// The deletion of a server, of which it was asked at that moment.
    Deletion(&'a ServerId),
}

/// What a refusal of this class stands against; `None` where the same call is made again, or nothing is
/// left to do.
#[must_use]
pub fn stands_against(refused: Refused<'_>, class: Class) -> Option<Scope> {
    let Refused::Deletion(server) = refused else {
        return against_orders(refused, class);
    };
    match class.reaction() {
        Reaction::HoldEverything => Some(Scope::Everything),
        Reaction::Done => None,
        Reaction::NextOffer
        | Reaction::HoldPool
        | Reaction::NeverAgain
        | Reaction::LookAgain
        | Reaction::Retry => Some(Scope::Server(server.clone())),
    }
}

/// A part of a job is never tried again under its token: what has no other reaction stands against the
/// offer, so that servers which fail for an unknown reason are not bought in a loop.
fn against_orders(refused: Refused<'_>, class: Class) -> Option<Scope> {
    let (order, is_part) = match refused {
        Refused::Call(order) => (order, false),
        Refused::Part(order) => (order, true),
        Refused::Deletion(_) => return None,
    };
    let offer = || Scope::Offer(order.offer());
    match class.reaction() {
        Reaction::HoldEverything => Some(Scope::Everything),
        Reaction::HoldPool | Reaction::NeverAgain => Some(Scope::Pool(order.pool.clone())),
        Reaction::NextOffer | Reaction::LookAgain => Some(offer()),
        Reaction::Retry | Reaction::Done => is_part.then(offer),
    }
}

/// A server of the order came to be: nothing stands any more against what it took.
pub fn created(setbacks: &mut Setbacks, order: &Order) {
    setbacks.done(&Scope::Offer(order.offer()), order.at);
    setbacks.done(&Scope::Pool(order.pool.clone()), order.at);
    setbacks.done(&Scope::Everything, order.at);
}

/// What a pool may order now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The flavor and the zone.
    pub(super) offer: Offer,
    /// How many servers at most.
    pub(super) most: u32,
    /// Why not more.
    pub(super) limit: Reason,
    /// What it is a probe of.
    probes: Vec<Scope>,
}

impl Choice {
    /// The same, of no more servers than there are names for in a row.
    ///
    /// # Errors
    /// Where there is no name.
    pub(super) fn named(self, view: &View<'_>, pool: &Pool, wanted: u32) -> Result<Self, Reason> {
        let most = self.most.min(wanted);
        match names_for(view, &pool.name, most) {
            None => Err(Reason::Names),
            Some((_, named)) if named < most => Ok(Self {
                most: named,
                limit: Reason::Names,
                ..self
            }),
            Some(_) => Ok(self),
        }
    }
}

/// Chooses for one pool after the other, so that two do not probe the same thing at once.
pub(super) struct Chooser<'a> {
    view: &'a View<'a>,
    probed: BTreeSet<Scope>,
}

impl<'a> Chooser<'a> {
    pub(super) const fn new(view: &'a View<'a>) -> Self {
        Self {
            view,
            probed: BTreeSet::new(),
        }
    }

    /// The first of the pool's list that the cloud does not show as sold out, and that nothing stands against.
    ///
    /// # Errors
    /// Why the pool orders nothing.
    pub(super) fn choose(&self, pool: &Pool) -> Result<Choice, Reason> {
        let everything = self.may(&Scope::Everything, Reason::CloudRefuses)?;
        let whole = Scope::Pool(pool.name.clone());
        let of_pool = self.may(&whole, Reason::CloudRefuses)?;
        let mut first_hindrance = None;
        for offer in self.view.policy.offers(pool) {
            let scope = Scope::Offer(offer.clone());
            let may = self.stocked(pool, &offer);
            match may.and_then(|()| self.may(&scope, |_| Reason::NoOffer)) {
                Ok(of_offer) => {
                    let probes = [
                        (Scope::Everything, everything),
                        (whole, of_pool),
                        (scope, of_offer),
                    ];
                    return Ok(self.choice(offer, probes));
                }
                Err(reason) => {
                    first_hindrance.get_or_insert(reason);
                }
            }
        }
        Err(first_hindrance.unwrap_or(Reason::NoOffer))
    }

    /// The choice is wished for: no other pool probes the same any more.
    pub(super) fn take(&mut self, choice: &Choice) {
        self.probed.extend(choice.probes.iter().cloned());
    }

    fn choice(&self, offer: Offer, scopes: [(Scope, bool); 3]) -> Choice {
        let probes = scopes.into_iter().filter(|(_, is_probe)| *is_probe);
        let probes: Vec<_> = probes.map(|(scope, _)| scope).collect();
        let (most, limit) = if probes.is_empty() {
            (self.view.policy.max_order, Reason::MaxOrder)
        } else {
            (1, Reason::Probing)
        };
        Choice {
            offer,
            most,
            limit,
            probes,
        }
    }

    /// Stock that is not known, or not any more, hinders nothing: it is only what the cloud announces.
    ///
    /// # Errors
    /// Also where the flavor is known to be of another size: the ceiling is reckoned with the pool's.
    fn stocked(&self, pool: &Pool, offer: &Offer) -> Result<(), Reason> {
        let (now, max_age) = (self.view.now, self.view.policy.max_age);
        let Ok(market) = self.view.snapshot.market.fresh(now, max_age) else {
            return Ok(());
        };
        let stock = &market.value().stock;
        let known = stock.flavors.get(&offer.flavor);
        if known.is_some_and(|known| known.vcpus != pool.vcpus) {
            return Err(Reason::WrongSize);
        }
        match stock.of(&offer.flavor, offer.zone.as_ref()) {
            Availability::SoldOut | Availability::NotOffered => Err(Reason::SoldOut),
            Availability::OnSale => Ok(()),
        }
    }

    /// Whether asking for this is a probe, where it may be asked for at all.
    fn may(&self, scope: &Scope, refused: impl Fn(Class) -> Reason) -> Result<bool, Reason> {
        match self.view.ledger.setbacks.allowed(scope, self.view.now) {
            Allowed::Freely => Ok(false),
            Allowed::No { class, .. } => Err(refused(class)),
            Allowed::Probe { since } => {
                let probing =
                    self.probed.contains(scope) || is_probed(self.view.ledger, scope, since);
                if probing {
                    Err(Reason::Probing)
                } else {
                    Ok(true)
                }
            }
        }
    }
}

/// Whether the cloud may be asked to delete this server now: nothing stands against that, nor against everything, and
/// nothing is under way that tells whether the cloud still refuses everything.
#[must_use]
pub fn may_delete(ledger: &Ledger, server: &ServerId, now: Timestamp) -> bool {
    let allowed = |scope| ledger.setbacks.allowed(scope, now);
    let everything = match allowed(&Scope::Everything) {
        Allowed::Freely => true,
        Allowed::No { .. } => false,
        Allowed::Probe { since } => !is_probed(ledger, &Scope::Everything, since),
    };
    let itself = allowed(&Scope::Server(server.clone()));
    everything && !matches!(itself, Allowed::No { .. })
}

/// Whether an order that was written since then has servers on their way, or a deletion was asked for: they tell how the
/// scope stands.
fn is_probed(ledger: &Ledger, scope: &Scope, since: Timestamp) -> bool {
    let concerns = |order: &Order| match scope {
        Scope::Everything => true,
        Scope::Pool(pool) => order.pool == *pool,
        Scope::Offer(offer) => order.offer() == *offer,
        Scope::Server(_) => false,
    };
    let tells = |order: &Order| {
        let mut members = ledger.members_of(&order.id);
        ledger.unnamed(order) > 0 || members.any(|member| member.stage.is_in_flight())
    };
    let mut orders = ledger.orders.values();
    let ordered = orders.any(|order| order.at >= since && concerns(order) && tells(order));
    let being_deleted =
        |member: &Member| member.since >= since && matches!(member.stage, Stage::Deleting { .. });
    ordered || *scope == Scope::Everything && ledger.members.values().any(being_deleted)
}

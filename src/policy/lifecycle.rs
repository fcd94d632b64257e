//! The life of one server.
//!
//! ```text
//! Creating ─► Standby ─► Booting ─► Checking ─► Joining ─► Proving ─► Serving
//!     │          │          │          │           │          │          │
//!     └──────────┴──────────┴──────────┴───────────┴──────────┴──────────┴─► Cordoned ─► Deleting ─► Gone
//! ```
//!
//! Withdrawal (a deadline, an error) and release are the same way out. A server is deleted only when
//! no build can be killed by it, and what is not known is waited for: a stale list or a backend that
//! does not answer moves nothing on. Only the way in has deadlines; the way out takes as long as the
//! last build.

use super::canary::Trial;
use super::sight::{
    Absence, CheckOutcome, CheckReport, Cloud, DrainOutcome, DrainReport, InstancesSeen, Sight,
    SubJob,
};
use crate::config::{Policy, Pool};
use crate::model::{FlavorName, Member, Server, ServerStatus, Stage, Why, elapsed};
use jiff::Timestamp;
use std::time::Duration;

/// How far apart two looks must lie before something that is not seen is taken to be not there: the
/// cloud's list and OBS' own lag behind what happened (a worker registers within 10 s of its start).
pub const SETTLE: Duration = Duration::from_secs(30);

/// Within this time an idle instance has reported to its backends: every 5 minutes (`bs_worker`, `periodic`), and the
/// next look may come late by a period of 10 s and by calls that time out.
pub const HEARTBEAT: Duration = Duration::from_mins(6);

/// What a server was ordered as, and by when it must stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms<'a> {
    /// `ACTIVE` within this of the order.
    pub create: Duration,
    /// In service within this of `ACTIVE`.
    pub check: Duration,
    /// See [`SETTLE`].
    pub settle: Duration,
    /// A drain older than this says nothing of the present.
    pub max_age: Duration,
    /// The flavor that was ordered.
    pub flavor: &'a FlavorName,
    /// Those that it may have besides, where the order is not known any more.
    pub alternatives: &'a [FlavorName],
    /// How many instances it must have.
    pub instances: u32,
    /// How long a black hole is kept for a look before it is deleted.
    pub kept: Duration,
}

impl<'a> Terms<'a> {
    /// As the configuration says; `ordered` is the flavor of the order that bought the server, where
    /// that is known, since the pool's may have changed since.
    #[must_use]
    pub fn new(
        policy: &Policy,
        pool: &'a Pool,
        member: &Member,
        ordered: Option<&'a FlavorName>,
    ) -> Self {
        Self {
            create: policy.create_deadline,
            check: policy.check_deadline,
            settle: SETTLE,
            max_age: policy.max_age,
            flavor: ordered.unwrap_or(&pool.flavor),
            alternatives: ordered.map_or(&pool.alternatives, |_| &[]),
            instances: super::setup::wanted(member, pool).instances,
            kept: policy.black_holes.kept,
        }
    }
}

/// What is to be done for a server now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing: wait and look again.
    None,
    /// Check it over ssh; that also configures and starts the service where the machine is right.
    Check,
    /// Cordon it: write the state files, and look whether all instances have left.
    Cordon,
    /// Delete it.
    Delete,
}

/// Where a server stands now, and what is to be done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Its stage. Where it differs from the member's, the member stands there since now.
    pub stage: Stage,
    /// What to do, after the stage has been written down.
    pub act: Act,
    /// The member's `reached` from now on.
    pub reached: bool,
}

/// One step in the life of a server.
#[must_use]
pub fn advance(member: &Member, sight: &Sight<'_>, terms: &Terms<'_>, now: Timestamp) -> Advance {
    let look = Look {
        member,
        sight,
        terms,
        now,
        reached: member.reached || sight.is_reached(),
    };
    let (stage, act) = match &member.stage {
        Stage::Creating => look.creating(),
        Stage::Standby { .. } => look.standby(),
        Stage::Booting { active } | Stage::Checking { active } | Stage::Joining { active } => {
            look.arriving(*active)
        }
        Stage::Proving => look.proving(),
        Stage::Serving => look.serving(),
        Stage::Refitting => look.refitting(),
        Stage::Cordoned { why } => look.cordoned(why),
        Stage::Deleting { why } => look.deleting(why),
        Stage::Gone { why } => (Stage::Gone { why: why.clone() }, Act::None),
    };
    Advance {
        stage,
        act,
        reached: look.reached,
    }
}

type Next = (Stage, Act);

struct Look<'a> {
    member: &'a Member,
    sight: &'a Sight<'a>,
    terms: &'a Terms<'a>,
    now: Timestamp,
    reached: bool,
}

impl Look<'_> {
    /// Ordered. The list may not have it yet, so its absence alone says nothing before the deadline.
    fn creating(&self) -> Next {
        if let SubJob::Failed(words) = &self.sight.sub_job {
            let words = words.clone();
            return cordon(Why::CloudError { words });
        }
        let seen = match self.sight.cloud {
            Cloud::Unknown => return self.stay(Act::None),
            Cloud::Absent(absence) => absence.last,
            Cloud::Listed { server, at, .. } => {
                if let Some(why) = self.broken(server) {
                    return cordon(why);
                }
                if server.status == ServerStatus::Active && server.ip.is_some() {
                    return match self.sight.held_back {
                        true => (Stage::Standby { active: at }, Act::None),
                        false => (Stage::Booting { active: at }, Act::Check),
                    };
                }
                at
            }
        };
        if elapsed(self.member.since, seen) >= self.terms.create {
            return cordon(Why::NotActive);
        }
        self.stay(Act::None)
    }

    /// `ACTIVE`, and not to be started before others. Its check deadline begins when it is.
    fn standby(&self) -> Next {
        match self.sight.cloud {
            Cloud::Unknown => self.stay(Act::None),
            Cloud::Absent(absence) => self.vanishing(absence),
            Cloud::Listed { server, .. } => match self.broken(server) {
                Some(why) => cordon(why),
                None if self.sight.held_back => self.stay(Act::None),
                None => (Stage::Booting { active: self.now }, Act::Check),
            },
        }
    }

    /// `ACTIVE`, and not in service yet.
    fn arriving(&self, active: Timestamp) -> Next {
        let listed = match self.sight.cloud {
            Cloud::Unknown => None,
            Cloud::Absent(absence) => return self.vanishing(absence),
            Cloud::Listed { server, .. } => {
                if let Some(why) = self.broken(server) {
                    return cordon(why);
                }
                Some(server)
            }
        };
        let check = self.sight.check.as_ref().filter(|check| check.at >= active);
        if check.is_some_and(|check| self.has_joined(check)) {
            return match self.sight.trial {
                Trial::Passed | Trial::Unproved => (Stage::Serving, Act::None),
                Trial::Pending | Trial::Failed { .. } => (Stage::Proving, Act::None),
            };
        }
        // After a restart nothing has been looked at yet: a worker may have come into service meanwhile.
        let judged = |server: &Server| match check {
            None => server.ip.is_none(),
            Some(_) => !passed(check) || self.sight.instances.is_some(),
        };
        if listed.is_some_and(judged) && elapsed(active, self.now) >= self.terms.check {
            let check = self.last_failure(check);
            return cordon(Why::NotInService { check });
        }
        match check.map(|check| &check.outcome) {
            Some(CheckOutcome::Passed) => (Stage::Joining { active }, Act::None),
            Some(CheckOutcome::Failed { .. }) => (Stage::Checking { active }, Act::Check),
            Some(CheckOutcome::Unreachable(_)) | None => self.stay(Act::Check),
        }
    }

    fn serving(&self) -> Next {
        match self.sight.cloud {
            Cloud::Unknown => self.stay(Act::None),
            Cloud::Absent(absence) => self.vanishing(absence),
            Cloud::Listed { server, .. } => match lost(server) {
                Some(why) => cordon(why),
                None => self.stay(Act::None),
            },
        }
    }

    /// The canary of its order: it has registered, and builds what OBS hands out.
    fn proving(&self) -> Next {
        match (self.serving(), self.sight.trial) {
            ((Stage::Proving, act), Trial::Pending) => (Stage::Proving, act),
            ((Stage::Proving, act), Trial::Passed | Trial::Unproved) => (Stage::Serving, act),
            ((Stage::Proving, _), Trial::Failed { lost }) => cordon(Why::NotInService {
                check: format!(
                    "canary: found {lost} packages lost on it and on no other host, expected one that is built"
                ),
            }),
            (lost, _) => lost,
        }
    }

    /// On its way to other settings: in service again once everything on the machine is right and all its
    /// instances are back. However long that takes, it is not given up for it; where nothing could even be begun
    /// it is in service as before, and its turn comes again later.
    fn refitting(&self) -> Next {
        match self.serving() {
            (Stage::Refitting, _) => {}
            lost => return lost,
        }
        let check = self.sight.check.as_ref();
        let check = check.filter(|check| check.at >= self.member.since);
        match check {
            Some(check) if self.has_joined(check) => (Stage::Serving, Act::None),
            Some(check) if passed(Some(check)) && !self.is_overdue(check) => self.stay(Act::None),
            Some(check) if self.is_turned_back(check) => (Stage::Serving, Act::None),
            Some(_) | None => self.stay(Act::Check),
        }
    }

    /// Whether OBS has had the time to list what the check found: something has ended since.
    fn is_overdue(&self, check: &CheckReport) -> bool {
        elapsed(check.at, self.now) >= self.terms.check
    }

    /// Whether nothing was changed on it so far, and nothing will be: it builds as before meanwhile, and stands in
    /// the way of the others of its pool.
    fn is_turned_back(&self, check: &CheckReport) -> bool {
        let works = |seen: &InstancesSeen| seen.counts.live() > 0;
        check.untouched
            && elapsed(self.member.since, self.now) >= self.terms.check
            && self.sight.instances.as_ref().is_some_and(works)
    }

    /// Given up. It is deleted when no build can be killed by it and nobody has pinned it, and not
    /// before; one that somebody else deletes is only waited for.
    fn cordoned(&self, why: &Why) -> Next {
        match self.sight.cloud {
            Cloud::Unknown => self.stay(Act::Cordon),
            Cloud::Absent(absence) => self.absent(absence, why, Act::Cordon),
            Cloud::Listed { server, since, at } => {
                let deleting = server.status == ServerStatus::Deleting;
                let spared = server.tags.protected
                    || deleting
                    || self.is_kept(why)
                    || !self.sight.may_delete;
                if spared || !self.is_ours_for_sure(since, at) || !self.is_free_of_builds() {
                    return self.stay(Act::Cordon);
                }
                (Stage::Deleting { why: why.clone() }, Act::Delete)
            }
        }
    }

    /// A black hole is kept for people to look at it; one that people gave us for ever, since they have to say
    /// what becomes of it.
    fn is_kept(&self, why: &Why) -> bool {
        let hole = matches!(why, Why::BlackHole { .. });
        let looked_at = elapsed(self.member.since, self.now) >= self.terms.kept;
        hole && (self.member.order.is_none() || !looked_at)
    }

    /// The deletion was asked for. Where a later list shows that the cloud did not take it up, the
    /// worker is cordoned and looked at anew: it may have been started again since.
    fn deleting(&self, why: &Why) -> Next {
        match self.sight.cloud {
            Cloud::Unknown => self.stay(Act::None),
            Cloud::Absent(absence) => self.absent(absence, why, Act::None),
            Cloud::Listed { server, at, .. } => {
                let taken_up = server.status == ServerStatus::Deleting;
                if taken_up || elapsed(self.member.since, at) < self.terms.settle {
                    return self.stay(Act::None);
                }
                cordon(why.clone())
            }
        }
    }

    fn stay(&self, act: Act) -> Next {
        (self.member.stage.clone(), act)
    }

    /// Gone, where that is certain; a server whose sub job still runs may yet come to be.
    fn absent(&self, absence: Absence, why: &Why, meanwhile: Act) -> Next {
        let certain = absence.is_certain(self.member.since, self.terms.settle);
        if certain && self.sight.sub_job != SubJob::Running {
            return (Stage::Gone { why: why.clone() }, Act::None);
        }
        self.stay(meanwhile)
    }

    /// Not listed any more, and not our doing: gone where OBS lists no live instance of it either. A
    /// list that lacks what OBS sees at work is a broken view.
    fn vanishing(&self, absence: Absence) -> Next {
        let seen = self.sight.instances.as_ref();
        if seen.is_some_and(|seen| seen.counts.live() == 0) {
            return self.absent(absence, &Why::Vanished, Act::None);
        }
        self.stay(Act::None)
    }

    /// Why a server on its way in has to be given up at once.
    fn broken(&self, server: &Server) -> Option<Why> {
        let wrong_flavor = server.status == ServerStatus::Active
            && server.flavor != *self.terms.flavor
            && !self.terms.alternatives.contains(&server.flavor)
            && self.member.order.is_some();
        lost(server).or_else(|| {
            wrong_flavor.then(|| Why::NotInService {
                check: format!(
                    "flavor: found {}, expected {}",
                    server.flavor, self.terms.flavor
                ),
            })
        })
    }

    /// In service: everything on the machine is right, and a later look at OBS shows every
    /// configured instance there. An earlier one may show those of a namesake.
    fn has_joined(&self, check: &CheckReport) -> bool {
        let all_live =
            |seen: &InstancesSeen| seen.at > check.at && seen.counts.live() >= self.terms.instances;
        passed(Some(check)) && self.sight.instances.as_ref().is_some_and(all_live)
    }

    fn last_failure(&self, check: Option<&CheckReport>) -> String {
        match check.map(|check| &check.outcome) {
            None => "no check was made".to_owned(),
            Some(failed @ (CheckOutcome::Unreachable(_) | CheckOutcome::Failed { .. })) => {
                failed.to_string()
            }
            Some(CheckOutcome::Passed) => {
                let live = self.sight.instances.map_or(0, |seen| seen.counts.live());
                let expected = self.terms.instances;
                format!("registered: found {live} instances in OBS, expected {expected}")
            }
        }
    }

    /// Whether two lists [`SETTLE`] apart have shown it as ours, the last of them after it was given up: one
    /// list may be wrong.
    fn is_ours_for_sure(&self, since: Timestamp, at: Timestamp) -> bool {
        at > self.member.since && elapsed(since, at) >= self.terms.settle
    }

    /// Whether no build can be killed by the deletion. OBS must have been read since, and show no
    /// instance with a job; and either every instance was seen cordoned or gone not long ago, after
    /// the server was given up, or the server was never reached and shows no live instance at all:
    /// `obsworker` is only started by us over ssh, so it never ran there. A check under way may be
    /// starting it.
    fn is_free_of_builds(&self) -> bool {
        let Some(seen) = &self.sight.instances else {
            return false;
        };
        if seen.builds() || self.sight.checking {
            return false;
        }
        let since = self.member.since;
        let young = |drain: &&DrainReport| elapsed(drain.at, self.now) <= self.terms.max_age;
        match self.sight.drain.as_ref().filter(young) {
            Some(drain) if drain.at >= since => match drain.outcome {
                DrainOutcome::AllLeft => seen.at > drain.at,
                DrainOutcome::Disabled { since } => self.is_left_alone(since),
                DrainOutcome::Remaining(_) | DrainOutcome::Unproved(_) => false,
                DrainOutcome::Unreachable(_) => self.never_ran(seen),
            },
            Some(_) | None => self.never_ran(seen),
        }
    }

    /// Whether the backends that were told to give it no more jobs have taken all its instances for down: by two
    /// looks, both after each instance has had the time to report.
    fn is_left_alone(&self, since: Timestamp) -> bool {
        let (Some(seen), Some(quiet)) = (&self.sight.instances, self.sight.quiet) else {
            return false;
        };
        let told = since.checked_add(HEARTBEAT).unwrap_or(Timestamp::MAX);
        elapsed(quiet.max(told), seen.at) >= self.terms.settle
    }

    fn never_ran(&self, seen: &InstancesSeen) -> bool {
        let settled = elapsed(self.member.since, seen.at) >= self.terms.settle;
        !self.reached && settled && seen.counts.live() == 0
    }
}

/// Why a server that the cloud lists has to be given up wherever it stands: it broke, or somebody
/// else deletes it.
fn lost(server: &Server) -> Option<Why> {
    match &server.status {
        ServerStatus::Error(words) => Some(Why::CloudError {
            words: words.clone(),
        }),
        ServerStatus::Deleting => Some(Why::Vanished),
        ServerStatus::Building | ServerStatus::Active | ServerStatus::Other(_) => None,
    }
}

fn passed(check: Option<&CheckReport>) -> bool {
    check.is_some_and(|check| check.outcome == CheckOutcome::Passed)
}

const fn cordon(why: Why) -> Next {
    (Stage::Cordoned { why }, Act::Cordon)
}

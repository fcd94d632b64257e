//! The laws of taking a black hole out of service.

use super::{Court, Law, law, number};
use crate::config::{BlackHoleAction, Mode};
use crate::model::{BuildEnd, HostName, PoolName, ServerId, Stage, Why, elapsed};

/// Of less nobody could say that it is the worker.
const BUILT_BY_OTHERS: u32 = 5;

impl Court<'_> {
    /// Whether a worker may be cordoned as a black hole: no alarm asks for it, and it may be building.
    pub(super) fn isolate(&self, id: &ServerId, pool: &PoolName) -> Result<(), Law> {
        let view = self.view;
        let pool = view.policy.pools.get(pool).ok_or(Law::Configured)?;
        let told = view.policy.black_holes.action == BlackHoleAction::Cordon;
        law(pool.mode == Mode::Full && told, Law::Mode)?;
        self.instances(pool)?;
        let known = view.ledger.supply.get(&pool.name);
        law(
            known.is_none_or(|known| known.halted_below.is_none()),
            Law::Halt,
        )?;
        let server = self.managed(id, pool)?;
        let pinned = server.tags.order.is_some() || view.ledger.pinned.contains(id);
        law(pinned, Law::Pinned)?;
        self.leaves_a_fit(server, pool)?;
        law(self.left_in_service(pool) > pool.reserve, Law::Reserve)?;
        law(self.loses_what_others_build(&server.name), Law::BlackHole)?;
        let serving = self.left_in_service(pool);
        let held = self.held(&pool.name);
        law(3 * (held + 1) <= serving + held, Law::Share)
    }

    /// How many workers are on their way out, with those of the steps before. A black hole that is kept for a
    /// look holds up nobody.
    pub(super) fn leaving(&self) -> u32 {
        let kept = |stage: &Stage| {
            let hole = matches!(stage.why(), Some(Why::BlackHole { .. }));
            hole && matches!(stage, Stage::Cordoned { .. })
        };
        let on_the_way =
            |stage: &Stage| matches!(stage, Stage::Cordoned { .. } | Stage::Deleting { .. });
        let members = self.view.ledger.members.values();
        let leaving = members.filter(|m| on_the_way(&m.stage) && !kept(&m.stage));
        number(leaving.count() + self.released.len() - self.isolated)
    }

    /// Those of the pool that are on their way out as black holes, with those of the steps before.
    fn held(&self, pool: &PoolName) -> u32 {
        let held = |stage: &Stage| matches!(stage.why(), Some(Why::BlackHole { .. }));
        let members = self.view.ledger.members.values();
        let before = members
            .filter(|m| m.pool == *pool && held(&m.stage))
            .count();
        number(before + self.isolated)
    }

    /// Whether it lost as many builds, and such a share of them, as a black hole does, while others built. (How
    /// far that is from chance is the planner's sum. One that fails quickly loses more than all others build.)
    fn loses_what_others_build(&self, host: &HostName) -> bool {
        let settings = &self.view.policy.black_holes;
        let (mut lost, mut built, mut built_by_others) = (0_u32, 0_u32, 0_u32);
        for backend in self.view.snapshot.backends.values() {
            for (name, builds) in backend.record.hosts() {
                let young = |b: &&BuildEnd| elapsed(b.ended, self.view.now) <= settings.window;
                for build in builds.iter().filter(young) {
                    let count = match (name == host, build.came.is_lost()) {
                        (true, true) => &mut lost,
                        (true, false) => &mut built,
                        (false, true) => continue,
                        (false, false) => &mut built_by_others,
                    };
                    *count += 1;
                }
            }
        }
        let share = f64::from(lost) >= settings.share * f64::from(lost + built);
        lost >= settings.packages && share && built_by_others >= BUILT_BY_OTHERS
    }
}

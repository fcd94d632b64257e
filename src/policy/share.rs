//! The room under the ceiling, divided among the pools that want.
//!
//! Max–min fair in vCPU: one worker at a time goes to the pool with the least vCPU (bought and
//! granted), among those that still want one and whose flavor fits what is left; ties go by name.
//! So a pool that has little comes first, and none gets a second worker of a size while another that
//! wants one of that size stands lower. What holds of it:
//!
//! - never past the room; a larger room never lowers the vCPU granted in total;
//! - a pool that wants more never gets less;
//! - a flavor larger than what is left waits, and smaller ones may take the rest meanwhile: room is
//!   not held back for it, since its jobs also run on every other worker that OBS has.

use crate::model::{PoolName, Vcpus};
use std::collections::BTreeMap;

/// What a pool asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The pool.
    pub(super) pool: PoolName,
    /// How many workers it wants.
    pub(super) workers: u32,
    /// The size of one.
    pub(super) size: Vcpus,
    /// What is bought for it already.
    pub(super) bought: Vcpus,
}

/// How many workers each pool gets of `room`; every wish has an entry.
pub(super) fn share(room: Vcpus, wishes: &[Wish]) -> BTreeMap<PoolName, u32> {
    let mut room = room;
    let mut granted: BTreeMap<PoolName, u32> =
        wishes.iter().map(|wish| (wish.pool.clone(), 0)).collect();
    while let Some(next) = poorest(room, wishes, &granted) {
        room = room.less(next.size);
        if let Some(workers) = granted.get_mut(&next.pool) {
            *workers += 1;
        }
    }
    granted
}

/// The pool whose turn it is.
fn poorest<'a>(
    room: Vcpus,
    wishes: &'a [Wish],
    granted: &BTreeMap<PoolName, u32>,
) -> Option<&'a Wish> {
    let got = |wish: &Wish| granted.get(&wish.pool).copied().unwrap_or(u32::MAX);
    wishes
        .iter()
        .filter(|wish| got(wish) < wish.workers && wish.size <= room)
        .min_by_key(|wish| (wish.bought + wish.size.times(got(wish)), &wish.pool))
}

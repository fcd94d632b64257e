//! What the program says that servers cost, held against the cloud's books.

use jiff::Timestamp;
use obs_scaler::model::{Amount, Bill};
use obs_sim::ecs::ServerEntry;
use std::fmt;

/// Whether the cloud told the moment of its end. Else it is that of the first list without it, by the program's clock.
pub(super) fn is_told(bill: &Bill) -> bool {
    bill.end.is_some() && bill.missing.is_none()
}

/// What the bills of servers that are gone come to.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Whose moment of the end the cloud told.
    pub(super) exact: usize,
    /// Whose end is known between two lists only.
    between: usize,
    /// By how many seconds.
    seconds: u64,
    /// That somebody had stopped, so that the cloud billed less than their time.
    pub(super) stopped: usize,
    /// Of the exact ones that nobody had stopped, by the program and by the cloud.
    ours: Amount,
    theirs_micro: i64,
    entries: i64,
}

impl Sums {
    /// Takes in one server that is gone. The cloud's clock may be so many seconds ahead of the program's.
    pub(super) fn add(
        &mut self,
        bill: &Bill,
        server: &ServerEntry,
        ahead: i64,
    ) -> Result<(), String> {
        let well = |well: bool| well.then_some(()).ok_or(format!("{bill:?} {server:?}"));
        let gone = server.deleted_at.ok_or("not gone")?;
        let end = bill.end.ok_or("its end is not known")?;
        let [created, gone, at, not_before] =
            [server.created_at, gone, end.at, end.not_before].map(Timestamp::as_second);
        well(bill.created.as_second() == created)?;
        let stopped = server.billed_seconds != gone - created;
        self.stopped += usize::from(stopped);
        if !is_told(bill) {
            self.between += 1;
            self.seconds += bill.uncertain_seconds();
            return well(not_before <= gone && gone <= at + ahead);
        }
        self.exact += 1;
        well(at == gone)?;
        if !stopped {
            self.ours = self.ours + bill.cost(Timestamp::MIN, Timestamp::MAX).total();
            let disks = server.volumes.iter().map(|disk| disk.cost_micro);
            self.theirs_micro += server.cost_micro + disks.sum::<i64>();
            self.entries += 1 + i64::try_from(server.volumes.len()).unwrap();
        }
        Ok(())
    }

    /// The two sums are the same: the cloud's is of numbers that were each rounded to the millionth.
    pub(super) fn agree(&self) -> bool {
        let theirs = self.theirs_micro as f64 / 1e6;
        (self.ours.units() - theirs).abs() <= self.entries as f64 * 0.5e-6 + 1e-9
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            exact,
            between,
            seconds,
            stopped,
            ours,
            ..
        } = self;
        let theirs = self.theirs_micro as f64 / 1e6;
        write!(
            f,
            "{exact} bills to the second, {between} within {seconds} s in all, {stopped} of servers that were stopped; \
             those to the second, without the stopped: {ours} by the program, {theirs:.2} by the cloud"
        )
    }
}

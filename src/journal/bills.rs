//! What each server costs, and when the cloud's list was last read for it.

use super::{Journal, JournalError, Table, put, remove, store};
use crate::model::{Bill, ServerId};
use jiff::Timestamp;
use redb::TableDefinition;

/// A server's id → its [`Bill`].
pub(super) const BILLS: Table = TableDefinition::new("bills");

/// One row: when the list was last read that the bills rest on.
pub(super) const LISTED: Table = TableDefinition::new("bills_listed");

/// The key of that row.
const LAST: &str = "last";

impl Journal {
    /// Every bill that is kept, and the time of the list that they rest on.
    ///
    /// # Errors
    /// Where the file or a record can not be read.
    pub fn load_bills(&self) -> Result<(Vec<Bill>, Option<Timestamp>), JournalError> {
        let bills = self.all::<Bill>(BILLS, "bills")?;
        let listed = self.all::<Timestamp>(LISTED, "bills_listed")?;
        Ok((bills, listed.into_iter().max()))
    }

    /// Writes these bills and forgets those, as one; and the time of the list, where one was read.
    ///
    /// # Errors
    /// Where they could not be written: then none was.
    pub fn keep_bills(
        &self,
        bills: &[Bill],
        forgotten: &[ServerId],
        listed: Option<Timestamp>,
    ) -> Result<(), JournalError> {
        let write = self.db.begin_write().map_err(store)?;
        {
            let mut rows = write.open_table(BILLS).map_err(store)?;
            for bill in bills {
                put(&mut rows, bill.server.as_str(), bill)?;
            }
            for server in forgotten {
                remove(&mut rows, server.as_str())?;
            }
            let mut last = write.open_table(LISTED).map_err(store)?;
            if let Some(at) = listed {
                put(&mut last, LAST, &at)?;
            }
        }
        write.commit().map_err(store)
    }
}

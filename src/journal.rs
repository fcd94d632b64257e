//! The journal: what is intended is written here before it is done, so that a crash at any moment
//! leaves nothing that nobody remembers. One redb file in the state directory; every write is
//! synced to disk before it returns.

mod bills;
mod history;

use crate::model::{
    BackendName, Exclusive, Ledger, Member, Order, PoolName, Scaler, ServerId, Supply, Trail,
};
use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

const ORDERS: Table = TableDefinition::new("orders");
const MEMBERS: Table = TableDefinition::new("members");
const SCALER: Table = TableDefinition::new("scaler");
const SUPPLY: Table = TableDefinition::new("supply");
const TRAILS: Table = TableDefinition::new("trails");
/// One record: the exclusive mode.
const EXCLUSIVE: Table = TableDefinition::new("exclusive");
/// A backend's name → until when it is under maintenance.
const MAINTENANCE: Table = TableDefinition::new("maintenance");
/// A pool's name → the last number that was used in its servers' names.
const NUMBERS: Table = TableDefinition::new("name_numbers");

/// How much of the file is held in memory, in bytes. All of it that is read often is small; left to
/// itself the store takes up to 1 GiB.
const CACHE: usize = 16 << 20;

/// What went wrong with the journal. None is retried: without a journal nothing may be done.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it open.
    #[error("{} is in use by another obs-scaler", .0.display())]
    InUse(PathBuf),
    /// The state directory can not be made or entered.
    #[error("state directory {}: {source}", .path.display())]
    Directory {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal's file can not be opened, or made.
    #[error("{}: {source}", .path.display())]
    Open {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
    /// The store failed.
    #[error("journal: {0}")]
    Store(#[from] Box<redb::Error>),
    /// A record is not what this program writes.
    #[error("journal: table {table}, record {key:?}: {source}")]
    Record {
        /// The table.
        table: &'static str,
        /// The record.
        key: String,
        /// Why it can not be read.
        source: serde_json::Error,
    },
}

/// A change that is written as one: all of it, or nothing.
#[derive(Debug)]
pub enum Entry<'a> {
    /// An order, new or changed.
    Order(&'a Order),
    /// An order of which nothing more is expected.
    OrderDone(&'a Order),
    /// A server, new or at another stage.
    Member(&'a Member),
    /// A server that is gone.
    MemberGone(&'a ServerId),
    /// A server that is gone, and may have left something behind.
    Trail(&'a Trail),
    /// It left nothing, or nothing is there any more.
    TrailDone(&'a ServerId),
    /// What a pool is known to have had.
    Supply(&'a PoolName, &'a Supply),
    /// The exclusive mode; `None` ends it.
    Exclusive(Option<&'a Exclusive>),
    /// Until when a backend is under maintenance; `None` ends it.
    Maintenance(&'a BackendName, Option<Timestamp>),
    /// The last number that was used in the names of a pool's servers.
    LastNumber(&'a PoolName, u32),
}

/// The open journal. Holding it is the lock: only one process can.
#[derive(Debug)]
pub struct Journal {
    db: Database,
}

impl Journal {
    /// Opens the journal in `state_dir`, making both where they are not there.
    ///
    /// # Errors
    /// Where another process holds it, or the file can not be read or made.
    pub fn open(state_dir: &Path) -> Result<Self, JournalError> {
        std::fs::create_dir_all(state_dir).map_err(|source| JournalError::Directory {
            path: state_dir.to_owned(),
            source,
        })?;
        let path = state_dir.join("journal.redb");
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE);
        let db = builder.create(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => JournalError::InUse(path.clone()),
            source => JournalError::Open {
                path: path.clone(),
                source: Box::new(source.into()),
            },
        })?;
        let journal = Self { db };
        journal.make_tables()?;
        Ok(journal)
    }

    fn make_tables(&self) -> Result<(), JournalError> {
        let write = self.db.begin_write().map_err(store)?;
        for table in [
            ORDERS,
            MEMBERS,
            TRAILS,
            SUPPLY,
            NUMBERS,
            SCALER,
            EXCLUSIVE,
            MAINTENANCE,
            history::BUILDS,
            history::MARKS,
            bills::BILLS,
            bills::LISTED,
        ] {
            write.open_table(table).map_err(store)?;
        }
        write.commit().map_err(store)
    }

    /// Everything that was in hand when the journal was last written.
    ///
    /// # Errors
    /// Where the file or a record can not be read.
    pub fn load(&self) -> Result<Ledger, JournalError> {
        let orders = self.all::<Order>(ORDERS, "orders")?;
        let members = self.all::<Member>(MEMBERS, "members")?;
        let trails = self.all::<Trail>(TRAILS, "trails")?;
        let supply = self.all::<(PoolName, Supply)>(SUPPLY, "supply")?;
        let numbers = self.all::<(PoolName, u32)>(NUMBERS, "name_numbers")?;
        let maintenance = self.all::<(BackendName, Timestamp)>(MAINTENANCE, "maintenance")?;
        let exclusive = self.all::<Exclusive>(EXCLUSIVE, "exclusive")?;
        Ok(Ledger {
            exclusive: exclusive.into_iter().next(),
            maintenance: maintenance.into_iter().collect(),
            last_numbers: numbers.into_iter().collect(),
            orders: orders.into_iter().map(|o| (o.id.clone(), o)).collect(),
            members: members.into_iter().map(|m| (m.server.clone(), m)).collect(),
            trails: trails.into_iter().map(|t| (t.server.clone(), t)).collect(),
            supply: supply.into_iter().collect(),
            ..Ledger::default()
        })
    }

    /// Who this scaler is: made once, by `new`, and the same ever after. `None` where it was not made yet
    /// and `new` makes none.
    ///
    /// # Errors
    /// Where the file can not be read or written.
    pub fn scaler(
        &self,
        new: impl FnOnce() -> Option<Scaler>,
    ) -> Result<Option<Scaler>, JournalError> {
        if let Some(known) = self.all::<Scaler>(SCALER, "scaler")?.into_iter().next() {
            return Ok(Some(known));
        }
        let Some(scaler) = new() else {
            return Ok(None);
        };
        let write = self.db.begin_write().map_err(store)?;
        {
            let mut table = write.open_table(SCALER).map_err(store)?;
            put(&mut table, "me", &scaler)?;
        }
        write.commit().map_err(store)?;
        Ok(Some(scaler))
    }

    /// Writes these changes as one, and returns when they are on disk.
    ///
    /// # Errors
    /// Where they could not be written: then none was.
    pub fn write(&self, entries: &[Entry<'_>]) -> Result<(), JournalError> {
        let write = self.db.begin_write().map_err(store)?;
        {
            let mut orders = write.open_table(ORDERS).map_err(store)?;
            let mut members = write.open_table(MEMBERS).map_err(store)?;
            let mut trails = write.open_table(TRAILS).map_err(store)?;
            let mut supply = write.open_table(SUPPLY).map_err(store)?;
            let mut numbers = write.open_table(NUMBERS).map_err(store)?;
            let mut exclusive = write.open_table(EXCLUSIVE).map_err(store)?;
            let mut maintenance = write.open_table(MAINTENANCE).map_err(store)?;
            for entry in entries {
                match entry {
                    Entry::Order(order) => put(&mut orders, order.id.as_str(), order)?,
                    Entry::OrderDone(order) => remove(&mut orders, order.id.as_str())?,
                    Entry::Member(member) => put(&mut members, member.server.as_str(), member)?,
                    Entry::MemberGone(server) => remove(&mut members, server.as_str())?,
                    Entry::Trail(trail) => put(&mut trails, trail.server.as_str(), trail)?,
                    Entry::TrailDone(server) => remove(&mut trails, server.as_str())?,
                    Entry::Supply(pool, known) => put(&mut supply, pool.as_str(), &(pool, known))?,
                    Entry::Exclusive(Some(mode)) => put(&mut exclusive, "mode", mode)?,
                    Entry::Exclusive(None) => remove(&mut exclusive, "mode")?,
                    Entry::Maintenance(backend, Some(until)) => {
                        put(&mut maintenance, backend.as_str(), &(backend, until))?;
                    }
                    Entry::Maintenance(backend, None) => {
                        remove(&mut maintenance, backend.as_str())?;
                    }
                    Entry::LastNumber(pool, last) => {
                        put(&mut numbers, pool.as_str(), &(pool, last))?;
                    }
                }
            }
        }
        write.commit().map_err(store)
    }

    fn all<T: DeserializeOwned>(
        &self,
        table: Table,
        name: &'static str,
    ) -> Result<Vec<T>, JournalError> {
        let read = self.db.begin_read().map_err(store)?;
        let rows = read.open_table(table).map_err(store)?;
        let mut records = Vec::new();
        for row in rows.iter().map_err(store)? {
            let (key, value) = row.map_err(store)?;
            records.push(decode(name, key.value(), value.value())?);
        }
        Ok(records)
    }
}

fn decode<T: DeserializeOwned>(
    table: &'static str,
    key: &str,
    bytes: &[u8],
) -> Result<T, JournalError> {
    serde_json::from_slice(bytes).map_err(|source| JournalError::Record {
        table,
        key: key.to_owned(),
        source,
    })
}

fn store<E: Into<redb::Error>>(error: E) -> JournalError {
    JournalError::Store(Box::new(error.into()))
}

fn put<T: Serialize>(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    key: &str,
    record: &T,
) -> Result<(), JournalError> {
    let bytes = serde_json::to_vec(record).map_err(|source| JournalError::Record {
        table: "(writing)",
        key: key.to_owned(),
        source,
    })?;
    table.insert(key, bytes.as_slice()).map_err(store)?;
    Ok(())
}

fn remove(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    key: &str,
) -> Result<(), JournalError> {
    table.remove(key).map_err(store)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FlavorName, OrderId, Overrides, ScalerId, Stage, Vcpus, Why};

    fn order() -> Order {
        Order {
            id: OrderId::new("3f0a3a52-0000-4000-8000-000000000001"),
            pool: PoolName::try_from("x86-64-l1").unwrap(),
            flavor: FlavorName::new("c7.8xlarge.4"),
            vcpus: Vcpus(32),
            count: 2,
            at: Timestamp::from_second(1_795_000_000).unwrap(),
            job: None,
            body_sha256: "00".to_owned(),
            closed: None,
            names: None,
            zone: None,
        }
    }

    fn member() -> Member {
        Member {
            server: ServerId::new("s-1"),
            name: None,
            pool: order().pool,
            order: Some(order().id),
            vcpus: Vcpus(32),
            stage: Stage::Cordoned { why: Why::Idle },
            since: order().at,
            reached: false,
            ordered_here: true,
            own: Overrides::default(),
            bound: None,
            due: None,
        }
    }

    #[test]
    fn what_was_written_is_there_after_the_process_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let supply = Supply {
            halted_below: Some(14),
            ..Supply::default()
        };
        {
            let journal = Journal::open(dir.path()).unwrap();
            journal
                .write(&[
                    Entry::Order(&order()),
                    Entry::Member(&member()),
                    Entry::Supply(&order().pool, &supply),
                ])
                .unwrap();
        }
        let ledger = Journal::open(dir.path()).unwrap().load().unwrap();
        assert_eq!(ledger.orders.values().collect::<Vec<_>>(), [&order()]);
        assert_eq!(ledger.members.values().collect::<Vec<_>>(), [&member()]);
        assert_eq!(ledger.supply.get(&order().pool), Some(&supply));
    }

    #[test]
    fn a_journal_that_can_not_be_opened_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.redb");
        std::fs::create_dir(&path).unwrap();
        let error = Journal::open(dir.path()).unwrap_err().to_string();
        assert!(error.starts_with(path.to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_scaler_is_the_same_ever_after() {
        let dir = tempfile::tempdir().unwrap();
        let scaler = |id| Scaler {
            since: order().at,
            id: ScalerId::new(id),
        };
        let open = || Journal::open(dir.path()).unwrap();
        assert_eq!(open().scaler(|| None).unwrap(), None);
        for made in [1, 2] {
            let known = open().scaler(|| Some(scaler(made))).unwrap();
            assert_eq!(known, Some(scaler(1)));
        }
    }

    #[test]
    fn a_second_process_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Journal::open(dir.path()).unwrap();
        assert!(matches!(
            Journal::open(dir.path()),
            Err(JournalError::InUse(_))
        ));
    }

    #[test]
    fn what_is_over_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path()).unwrap();
        journal
            .write(&[Entry::Order(&order()), Entry::Member(&member())])
            .unwrap();
        journal
            .write(&[
                Entry::OrderDone(&order()),
                Entry::MemberGone(&member().server),
            ])
            .unwrap();
        assert_eq!(journal.load().unwrap(), Ledger::default());
    }
}

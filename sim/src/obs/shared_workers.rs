//! Workers that serve more than one backend: each instance builds for one of them at a time, and is `away` for
//! the others meanwhile.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the backends of the same workers know together: which backend each instance builds for.
#[derive(Debug, Default, Clone)]
pub struct SharedWorkers(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    backends: usize,
    /// By `HOST:NUMBER`.
    builds_for: BTreeMap<String, usize>,
}

/// One backend's part in it.
#[derive(Debug)]
pub(super) struct Part {
    all: SharedWorkers,
    me: usize,
}

impl SharedWorkers {
    pub(super) fn join(&self) -> Part {
        let mut books = self.books();
        books.backends += 1;
        Part {
            all: self.clone(),
            me: books.backends,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Part {
    /// Whether the instance builds for another backend.
    pub(super) fn is_away(&self, workerid: &str) -> bool {
        let books = self.all.books();
        let builds_for = books.builds_for.get(workerid);
        builds_for.is_some_and(|backend| *backend != self.me)
    }

    /// Has the instance build for this backend; `false` where it builds for another.
    pub(super) fn take(&self, workerid: &str) -> bool {
        let mut books = self.all.books();
        let backend = books.builds_for.entry(workerid.to_owned());
        *backend.or_insert(self.me) == self.me
    }

    /// It does not build for this backend any more.
    pub(super) fn give_back(&self, workerid: &str) {
        let mut books = self.all.books();
        if books.builds_for.get(workerid) == Some(&self.me) {
            books.builds_for.remove(workerid);
        }
    }
}

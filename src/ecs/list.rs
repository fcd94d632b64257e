//! Turns the pages of the cloud's list into one list, whole or not at all.

use super::types::{self, Record};
use crate::model::Fleet;
use serde_json::Value;
use std::collections::BTreeSet;

/// Records asked for in one page (the reference advises 100).
pub(super) const PAGE: usize = 100;

/// More pages than any list has.
pub(super) const MAX_PAGES: usize = 200;

/// A list being read.
#[derive(Debug)]
pub(super) struct Listing {
    /// Under which key a page has its records.
    key: &'static str,
    /// How many records were asked for in one page.
    page: usize,
    seen: BTreeSet<String>,
    announced: Option<u64>,
    pages: usize,
    records: Vec<Value>,
}

/// What to do after a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask for the page after the record of this id.
    After(String),
    /// The cloud has given the first page again, and does not know markers.
    Again,
    /// The list is whole.
    Done,
}

impl Listing {
    pub(super) const fn new(key: &'static str, page: usize) -> Self {
        Self {
            key,
            page,
            seen: BTreeSet::new(),
            announced: None,
            pages: 0,
            records: Vec::new(),
        }
    }

    /// Whether the cloud gives pages by number too: only of servers.
    pub(super) fn is_numbered(&self) -> bool {
        self.key == "servers"
    }

    /// How many records to ask for.
    pub(super) const fn page(&self) -> usize {
        self.page
    }

    /// Takes a page in. The list ends with an empty page, or with a short one when as many records
    /// were read as the first page announced: a short page alone may be the cloud's own limit.
    ///
    /// # Errors
    /// Names the record, or says what is missing.
    pub(super) fn add(&mut self, page: &Value) -> Result<Next, String> {
        let key = self.key;
        let records = page.get(key).and_then(Value::as_array);
        let records = records.ok_or_else(|| format!("a page without {key}"))?;
        if self.announced.is_none() {
            self.announced = page.get("count").and_then(Value::as_u64);
        }
        self.pages += 1;
        if self.pages == 2 && !records.is_empty() && *records == self.records {
            return self.again();
        }
        for record in records {
            self.take(record)?;
        }
        let whole = self.announced.is_some_and(|count| self.count() >= count);
        match records.last() {
            None if self.announced.is_some() && !whole => Err(self.cut_off()),
            Some(last) if records.len() >= self.page || !whole => {
                Ok(Next::After(types::id(last)?.to_owned()))
            }
            _ => Ok(Next::Done),
        }
    }

    /// The records that were read.
    pub(super) fn into_records(self) -> Vec<Value> {
        self.records
    }

    /// A full page that comes again may not be all there is.
    fn again(&self) -> Result<Next, String> {
        if self.is_numbered() || self.records.len() < self.page {
            return Ok(Next::Again);
        }
        Err(format!("the first {} {} came twice", self.page, self.key))
    }

    fn take(&mut self, record: &Value) -> Result<(), String> {
        let id = types::id(record)?;
        if !self.seen.insert(id.to_owned()) {
            // The cloud goes in circles: what comes after is not known.
            return Err(format!("{id} is listed twice"));
        }
        self.records.push(record.clone());
        Ok(())
    }

    fn count(&self) -> u64 {
        u64::try_from(self.seen.len()).unwrap_or(u64::MAX)
    }

    fn cut_off(&self) -> String {
        let announced = self.announced.unwrap_or_default();
        format!(
            "{announced} {} announced, {} listed",
            self.key,
            self.count()
        )
    }
}

/// Those of the records that are ours.
///
/// # Errors
/// Names the server that cannot be understood.
pub(super) fn fleet(records: &[Value], owner: &str) -> Result<Fleet, String> {
    let mut fleet = Fleet::default();
    for record in records {
        if let Record::Ours(server) = types::read(record, owner)? {
            fleet.servers.insert(server.id.clone(), *server);
        }
    }
    Ok(fleet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn servers(range: std::ops::Range<usize>) -> Vec<Value> {
        let server = |n: usize| {
            json!({"id": format!("id-{n:04}"), "name": format!("w-{n}"), "status": "ACTIVE",
                "created": "2026-01-22T10:15:32Z", "flavor": {"id": "f", "vcpus": "32"},
                "tags": ["obs-scaler-owner=me"]})
        };
        range.map(server).collect()
    }

    #[test]
    fn every_page_is_read_to_the_end() {
        let mut listing = Listing::new("servers", PAGE);
        let first = json!({"count": 130, "servers": servers(0..100)});
        let second = json!({"count": 130, "servers": servers(100..130)});
        assert_eq!(listing.add(&first), Ok(Next::After("id-0099".to_owned())));
        assert_eq!(listing.add(&second), Ok(Next::Done));
        let records = listing.into_records();
        assert_eq!(fleet(&records, "me").unwrap().servers.len(), 130);
    }

    #[test]
    fn a_page_cut_short_by_the_cloud_is_not_the_last() {
        let mut listing = Listing::new("servers", PAGE);
        let first = json!({"count": 30, "servers": servers(0..25)});
        assert_eq!(listing.add(&first), Ok(Next::After("id-0024".to_owned())));
        let uncounted = json!({"servers": servers(0..3)});
        let next = Listing::new("servers", PAGE).add(&uncounted);
        assert_eq!(next, Ok(Next::After("id-0002".to_owned())));
    }

    #[test]
    fn a_full_page_is_not_the_last_whatever_the_count_says() {
        let page = json!({"count": 100, "servers": servers(0..100)});
        let next = Listing::new("servers", PAGE).add(&page);
        assert_eq!(next, Ok(Next::After("id-0099".to_owned())));
    }

    #[test]
    fn a_list_shorter_than_announced_is_an_error() {
        let mut listing = Listing::new("servers", PAGE);
        listing
            .add(&json!({"count": 5, "servers": servers(0..3)}))
            .unwrap();
        let end = listing.add(&json!({"count": 5, "servers": []}));
        assert_eq!(end, Err("5 servers announced, 3 listed".to_owned()));
    }

    #[test]
    fn a_list_that_repeats_itself_is_an_error() {
        let mut listing = Listing::new("servers", PAGE);
        let page = json!({"count": 150, "servers": servers(0..100)});
        listing.add(&page).unwrap();
        assert_eq!(listing.add(&page), Ok(Next::Again));
        let again = listing.add(&page);
        assert_eq!(again, Err("id-0000 is listed twice".to_owned()));
    }

    #[test]
    fn a_repeated_page_of_what_has_no_page_numbers_is_whole_unless_it_is_full() {
        let page = json!({"flavors": servers(0..3)});
        for (size, whole) in [(4, true), (3, false)] {
            let mut listing = Listing::new("flavors", size);
            listing.add(&page).unwrap();
            assert_eq!(listing.add(&page).is_ok(), whole);
        }
    }

    #[test]
    fn one_record_that_cannot_be_understood_spoils_the_list_and_is_named() {
        let mut all = servers(0..3);
        all[1]["created"] = json!("yesterday");
        let error = fleet(&all, "me").unwrap_err();
        assert!(error.contains("id-0001"), "{error}");
    }

    #[test]
    fn an_empty_answer_is_no_empty_fleet() {
        assert!(Listing::new("servers", PAGE).add(&json!({})).is_err());
        let empty = Listing::new("servers", PAGE).add(&json!({"count": 0, "servers": []}));
        assert_eq!(empty, Ok(Next::Done));
    }
}

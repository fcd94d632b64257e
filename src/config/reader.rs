//! Walks a tree and takes down every fault on the way, instead of stopping at the first.
//!
//! Every method that reads a value gives `None` where it has taken down a fault. Read all the parts
//! of a section first and give up on it only then, so that no fault hides another. A fault that is
//! taken down is enough to refuse the document: no value has to be withheld for it besides.

use super::fault::{Log, Place};
use super::yaml::Tree;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The value, or what was expected instead.
pub(super) type Parsed<T> = Result<T, String>;

static EMPTY: Tree = Tree::Map(Vec::new());

/// A value in the document.
#[derive(Clone)]
pub(super) struct Node<'a> {
    tree: &'a Tree,
    place: Place,
    log: &'a Log,
}

impl<'a> Node<'a> {
    pub(super) const fn root(tree: &'a Tree, log: &'a Log) -> Self {
        Self {
            tree,
            place: Place::root(),
            log,
        }
    }

    /// Takes down that this value is wrong.
    pub(super) fn wrong(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.log.wrong(self.place.clone(), found, expected);
    }

    /// Takes down that a secret, named by this value, cannot be had.
    pub(super) fn unread(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.log.unread(self.place.clone(), found, expected);
    }

    /// Takes down that this value is valid, and less than it could be.
    pub(super) fn warn(&self, found: impl Into<String>, expected: impl Into<String>) {
        self.log.warn(self.place.clone(), found, expected);
    }

    /// Takes down that this map lacks something.
    pub(super) fn lacks(&self, key: &str, expected: impl Into<String>) {
        self.log.wrong(self.place.missing(key), "nothing", expected);
    }

    /// The text, where this is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.tree.text()
    }

    pub(super) fn read<T>(&self, parse: impl FnOnce(&Tree) -> Parsed<T>) -> Option<T> {
        parse(self.tree)
            .map_err(|expected| self.wrong(self.tree.describe(), expected))
            .ok()
    }

    /// Reads a map with a fixed set of keys: those that `read` asks for. An empty one may be written
    /// as nothing, which is what a section is whose every line is commented out.
    pub(super) fn section<T>(&self, read: impl FnOnce(&Section<'a>) -> Option<T>) -> Option<T> {
        let entries = if *self.tree == Tree::Nothing {
            &[]
        } else {
            self.entries()?
        };
        let section = Section {
            node: self.clone(),
            entries,
            known: RefCell::default(),
        };
        let value = read(&section);
        section.refuse_unknown_keys();
        value
    }

    /// Reads a map from words of `K`, which `words` lists, to values.
    pub(super) fn table<K: FromStr + Ord, T>(
        &self,
        words: &str,
        read: impl Fn(&Node<'a>) -> Option<T>,
    ) -> Option<BTreeMap<K, T>> {
        let entries = self.entries()?;
        let mut table = BTreeMap::new();
        let mut whole = true;
        for (number, (word, tree)) in entries.iter().enumerate() {
            let entry = self.entry(number, word, tree);
            let key = word.parse::<K>();
            let key = key.map_err(|_| entry.key_wrong("an unknown key", words));
            let value = read(&entry);
            match (key, value) {
                (Ok(key), Some(value)) if !table.contains_key(&key) => {
                    table.insert(key, value);
                    continue;
                }
                (Ok(_), Some(_)) => entry.key_wrong("the same key again", "each key once"),
                _ => {}
            }
            whole = false;
        }
        whole.then_some(table)
    }

    /// Reads a list that is not empty.
    pub(super) fn list<T>(&self, read: impl Fn(&Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        let list = self.any_list(read)?;
        if list.is_empty() {
            self.wrong("an empty list", "at least one item");
            return None;
        }
        Some(list)
    }

    /// Reads a list.
    pub(super) fn any_list<T>(&self, read: impl Fn(&Node<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Tree::List(items) = self.tree else {
            self.wrong(self.tree.describe(), "a list");
            return None;
        };
        let items = items.iter().enumerate();
        let values: Vec<Option<T>> = items.map(|(n, tree)| read(&self.item(n, tree))).collect();
        values.into_iter().collect()
    }

    /// The value under `key`, or the place where it is missing.
    pub(super) fn child(&self, key: &str) -> Self {
        let Tree::Map(entries) = self.tree else {
            return self.clone();
        };
        let entry = entries
            .iter()
            .enumerate()
            .find(|(_, (name, _))| name == key);
        match entry {
            Some((number, (name, tree))) => self.entry(number, name, tree),
            None => Node {
                tree: &Tree::Nothing,
                place: self.place.missing(key),
                log: self.log,
            },
        }
    }

    /// The item of this number, or this value where there is none.
    pub(super) fn nth(&self, number: usize) -> Self {
        let Tree::List(items) = self.tree else {
            return self.clone();
        };
        items
            .get(number)
            .map_or_else(|| self.clone(), |tree| self.item(number, tree))
    }

    fn item(&self, number: usize, tree: &'a Tree) -> Self {
        Node {
            tree,
            place: self.place.item(number),
            log: self.log,
        }
    }

    fn entries(&self) -> Option<&'a [(String, Tree)]> {
        let Tree::Map(entries) = self.tree else {
            self.wrong(self.tree.describe(), "a map");
            return None;
        };
        Some(entries)
    }

    fn entry(&self, number: usize, key: &str, tree: &'a Tree) -> Self {
        Node {
            tree,
            place: self.place.entry(number, key),
            log: self.log,
        }
    }

    fn key_wrong(&self, found: &str, expected: impl Into<String>) {
        self.log.wrong(self.place.clone().key(), found, expected);
    }
}

/// A map with a fixed set of keys.
pub(super) struct Section<'a> {
    pub(super) node: Node<'a>,
    entries: &'a [(String, Tree)],
    known: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    /// The value under `key`; `None`, and no fault, where there is none.
    pub(super) fn get(&self, key: &'static str) -> Option<Node<'a>> {
        self.known.borrow_mut().insert(key);
        let mut entries = self.entries.iter().enumerate();
        let (number, (name, tree)) = entries.find(|(_, (name, _))| name == key)?;
        Some(self.node.entry(number, name, tree))
    }

    /// The value under `key`, which has to be there.
    pub(super) fn need(&self, key: &'static str, what: &str) -> Option<Node<'a>> {
        let node = self.get(key);
        if node.is_none() {
            self.node.lacks(key, what);
        }
        node
    }

    /// The value under `key`, or an empty map: a section whose every key has a default.
    pub(super) fn part(&self, key: &'static str) -> Node<'a> {
        self.get(key).unwrap_or_else(|| Node {
            tree: &EMPTY,
            place: self.node.place.missing(key),
            log: self.node.log,
        })
    }

    pub(super) fn required<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&Tree) -> Parsed<T>,
    ) -> Option<T> {
        let Some(node) = self.get(key) else {
            let expected = parse(&Tree::Nothing).err().unwrap_or_default();
            self.node.lacks(key, expected);
            return None;
        };
        node.read(parse)
    }

    pub(super) fn or<T>(
        &self,
        key: &'static str,
        default: T,
        parse: impl Fn(&Tree) -> Parsed<T>,
    ) -> Option<T> {
        self.get(key).map_or(Some(default), |node| node.read(parse))
    }

    fn refuse_unknown_keys(&self) {
        let known = self.known.borrow();
        let mut seen = BTreeSet::new();
        for (number, (key, tree)) in self.entries.iter().enumerate() {
            let entry = self.node.entry(number, key, tree);
            if !known.contains(key.as_str()) {
                entry.key_wrong("an unknown key", suggestion(key, &known));
            } else if !seen.insert(key) {
                entry.key_wrong("the same key again", "each key once");
            }
        }
    }
}

/// The keys that there are, and which of them was likely meant.
fn suggestion(key: &str, known: &BTreeSet<&'static str>) -> String {
    let all = known.iter().copied().collect::<Vec<_>>().join(", ");
    let near = |candidate: &&'static str| {
        let distance = match candidate.starts_with(key) {
            true => 0,
            false => distance(key, candidate),
        };
        (distance <= candidate.len() / 2).then_some((distance, *candidate))
    };
    let nearest = known.iter().filter_map(near).min();
    match nearest {
        Some((_, nearest)) => format!("{nearest} (of {all})"),
        None => format!("one of {all}"),
    }
}

/// How many characters have to be put in, taken out or replaced to make one word of the other
/// (Levenshtein's distance, row by row).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (above, c) in one.chars().enumerate() {
        let mut next = vec![above + 1];
        for (pair, d) in row.windows(2).zip(other.chars()) {
            let [diagonal, up] = *pair else { continue };
            let left = next.last().copied().unwrap_or(above);
            next.push((diagonal + usize::from(c != d)).min(up + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_key_gets_the_one_that_was_meant() {
        let known = ["listen", "max_body", "token_env", "token_file"];
        let known = known.into_iter().collect();
        assert_eq!(distance("kitten", "sitting"), 3);
        assert!(suggestion("max-bodies", &known).starts_with("max_body ("));
        assert!(suggestion("token", &known).starts_with("token_env ("));
        assert!(suggestion("zzz", &known).starts_with("one of listen"));
    }
}

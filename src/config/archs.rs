//! Which hosts build for which repository architecture.

use super::pools::ARCHS;
use super::reader::Section;
use super::units::word;
use super::yaml::Tree;
use crate::model::Arch;
use std::collections::BTreeMap;
use std::str::FromStr;

/// 32-bit architectures are built on their 64-bit hosts.
const DEFAULTS: [(&str, Arch); 4] = [
    ("armv7l", Arch::Aarch64),
    ("armv8l", Arch::Aarch64),
    ("i586", Arch::X86_64),
    ("i686", Arch::X86_64),
];

/// A repository architecture that is not its own host's.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Foreign(String);

impl FromStr for Foreign {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        let lawful = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let is_host = word.parse::<Arch>().is_ok();
        let fits = (1..=32).contains(&word.len()) && word.chars().all(lawful) && !is_host;
        fits.then(|| Self(word.to_owned())).ok_or(())
    }
}

/// What is given adds to the defaults, or changes them.
pub(super) fn read_archs(doc: &Section<'_>) -> Option<BTreeMap<String, Arch>> {
    let mut archs: BTreeMap<_, _> = DEFAULTS.map(|(word, arch)| (word.to_owned(), arch)).into();
    let given = doc.get("archs");
    let given = given.filter(|node| node.read(|tree| Ok(*tree != Tree::Nothing)) == Some(true));
    if let Some(node) = given {
        let words = "a repository architecture such as i586, none of a host";
        let given = node.table::<Foreign, Arch>(words, |host| host.read(word(ARCHS)))?;
        archs.extend(given.into_iter().map(|(Foreign(word), host)| (word, host)));
    }
    Some(archs)
}

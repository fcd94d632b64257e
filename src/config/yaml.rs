//! YAML as a tree: the only place that knows the parser.
//!
//! serde_yaml stops at the first fault and keeps no positions, so a document is read into a [`Tree`]
//! that refuses nothing but bad syntax, and the position of a fault that is found in the tree is
//! asked for afterwards: the text is read once more down to that place, where the reading is made to
//! fail, and the parser's error says where it stood.

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};
use std::fmt;

/// A YAML value. Repeated keys are kept, so that they can be refused together with everything else.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    Nothing,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
    /// A value with a tag of its own (`!name`), which nothing here expects.
    Tagged(String),
}

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    const START: Self = Self { line: 1, column: 1 };

    fn of(error: &serde_yaml::Error) -> Self {
        error.location().map_or(Self::START, |at| Self {
            line: at.line(),
            column: at.column(),
        })
    }
}

/// A step down a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To the value of a map's entry, by its number.
    Entry(usize),
    /// To the key of a map's entry, by its number: always the last step.
    Key(usize),
    /// To an item of a list.
    Item(usize),
}

/// Reads one document.
///
/// # Errors
/// Where the text is no YAML: the position and the parser's words, which quote no value.
pub(super) fn parse(text: &str) -> Result<Tree, (Position, String)> {
    serde_yaml::from_str(text).map_err(|error| (Position::of(&error), error.to_string()))
}

/// Where the end of `steps` stands in a text that [`parse`] has read; its start where there is none.
pub(super) fn locate(text: &str, steps: &[Step]) -> Position {
    let document = serde_yaml::Deserializer::from_str(text);
    Descent(steps)
        .deserialize(document)
        .err()
        .map_or(Position::START, |error| Position::of(&error))
}

impl Tree {
    /// The text, where this is one.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Float(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Tagged(_) => None,
        }
    }

    /// The value in the words of a fault.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) if text.chars().count() > 80 => {
                format!("{:?}…", text.chars().take(80).collect::<String>())
            }
            Self::Text(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Map(_) => "a map".to_owned(),
            Self::Tagged(tag) => format!("a value tagged !{tag}"),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_none<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_unit<E: Error>(self) -> Result<Tree, E> {
        Ok(Tree::Nothing)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Int(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Tree, E> {
        Ok(i128::try_from(value).map_or(Tree::Float(f64::INFINITY), Tree::Int))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some((key, value)) = entries.next_entry::<Tree, Tree>()? {
            let name = key.text().map_or_else(|| key.describe(), str::to_owned);
            map.push((name, value));
        }
        Ok(Tree::Map(map))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Tree, A::Error> {
        let (tag, value) = data.variant::<String>()?;
        value.newtype_variant::<IgnoredAny>()?;
        Ok(Tree::Tagged(tag))
    }
}

/// Goes down the steps and fails where they end.
#[derive(Clone, Copy)]
struct Descent<'s>(&'s [Step]);

impl Descent<'_> {
    fn arrive<T, E: Error>(self) -> Result<T, E> {
        Err(E::custom("here"))
    }
}

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Any value but the container that a step leads into ends the descent: so does the default of each
/// `visit_…` that is not given here, as it is an error too.
impl<'de> Visitor<'de> for Descent<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a step further down")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Some((Step::Item(number), rest)) = self.0.split_first() else {
            return self.arrive();
        };
        for _ in 0..*number {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Descent(rest))?;
        self.arrive()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let (number, at_key, rest) = match self.0.split_first() {
            Some((Step::Entry(number), rest)) => (*number, false, rest),
            Some((Step::Key(number), rest)) => (*number, true, rest),
            Some((Step::Item(_), _)) | None => return self.arrive(),
        };
        for _ in 0..number {
            entries.next_entry::<IgnoredAny, IgnoredAny>()?;
        }
        if at_key {
            entries.next_key_seed(Descent(rest))?;
        } else {
            entries.next_key::<IgnoredAny>()?;
            entries.next_value_seed(Descent(rest))?;
        }
        self.arrive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a comment\na: 1\nlist:\n  - x\n  - {k: v, 5: [no, \"yes\"]}\na: &one\n  deep: ~\nb: *one\n";

    #[test]
    fn a_place_in_the_tree_is_found_again_in_the_text() {
        let at = |steps: &[Step]| {
            let Position { line, column } = locate(TEXT, steps);
            (line, column)
        };
        use Step::{Entry, Item, Key};
        assert_eq!(at(&[Entry(0)]), (2, 4));
        assert_eq!(at(&[Entry(1), Item(0)]), (4, 5));
        assert_eq!(at(&[Entry(1), Item(1)]), (5, 5));
        assert_eq!(at(&[Entry(1), Item(1), Key(1)]), (5, 12));
        assert_eq!(at(&[Entry(1), Item(1), Entry(1), Item(1)]), (5, 20));
        assert_eq!(at(&[Key(2)]), (6, 1));
        assert_eq!(at(&[Entry(2), Entry(0)]), (7, 9));
        assert_eq!(at(&[Key(3)]), (8, 1));
        assert_eq!(at(&[]), (2, 1));
    }

    #[test]
    fn repeated_keys_and_keys_that_are_no_text_stay_visible() {
        let Ok(Tree::Map(entries)) = parse(TEXT) else {
            panic!("no map");
        };
        let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a", "list", "a", "b"]);
        assert_eq!(parse(""), Ok(Tree::Nothing));
        assert_eq!(parse("!x {a: 1}"), Ok(Tree::Tagged("x".to_owned())));
        assert_eq!(parse("a: [").map_err(|(at, _)| at.line), Err(2));
    }
}

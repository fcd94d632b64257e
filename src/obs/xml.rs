//! XML documents, whole or not at all.

use super::error::Malformed;
use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::borrow::Cow;
use std::io::{self, BufRead, Read};
use std::str::FromStr;

/// The longest piece of a document between two tags, and the longest tag, in bytes: what is in memory
/// of a document while it is read.
const LONGEST_PIECE: usize = 1 << 20;

/// An element as it opens: where it stands in its document, and its attributes.
pub(super) struct Element<'a> {
    path: &'a str,
    tag: BytesStart<'a>,
}

impl Element<'_> {
    /// The names from the root to this element, such as `resultlist/result/status`.
    pub(super) const fn path(&self) -> &str {
        self.path
    }

    /// The value of an attribute, where it is there; copied only where something in it is escaped.
    pub(super) fn peek(&self, name: &str) -> Result<Option<Cow<'_, str>>, Malformed> {
        let attribute = self.tag.try_get_attribute(name);
        let attribute = attribute.map_err(|e| self.broken(&e))?;
        attribute.map(|found| self.value(&found)).transpose()
    }

    fn value<'s>(&'s self, attribute: &Attribute<'s>) -> Result<Cow<'s, str>, Malformed> {
        if let Cow::Borrowed(plain) = attribute.value
            && !plain
                .bytes()
                .any(|b| matches!(b, b'&' | b'\n' | b'\r' | b'\t'))
        {
            return Ok(Cow::Borrowed(plain));
        }
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let value = value.map_err(|e| self.broken(&e))?;
        Ok(Cow::Owned(value.into_owned()))
    }

    fn broken(&self, why: &dyn std::fmt::Display) -> Malformed {
        Malformed(format!("<{}>: {why}", self.path))
    }

    /// The values of attributes that must be there, in one pass; copied only where something in them is
    /// escaped.
    pub(super) fn peek_needed<const N: usize>(
        &self,
        names: [&str; N],
    ) -> Result<[Cow<'_, str>; N], Malformed> {
        let mut values = [const { None }; N];
        for attribute in self.tag.attributes().with_checks(false) {
            let attribute = attribute.map_err(|e| self.broken(&e))?;
            let wanted = names.iter().zip(&mut values);
            for (_, value) in wanted.filter(|(name, _)| attribute.key.as_ref() == **name) {
                *value = Some(self.value(&attribute)?);
            }
        }
        let missing = |name| Malformed(format!("<{}> has no {name}", self.path));
        let lacking = values.iter().zip(names).find(|(value, _)| value.is_none());
        if let Some((_, name)) = lacking {
            return Err(missing(name));
        }
        Ok(values.map(Option::unwrap_or_default))
    }

    /// The value of an attribute, where it is there.
    pub(super) fn find(&self, name: &str) -> Result<Option<String>, Malformed> {
        Ok(self.peek(name)?.map(Cow::into_owned))
    }

    /// The value of an attribute that must be there.
    pub(super) fn need(&self, name: &str) -> Result<String, Malformed> {
        let [value] = self.peek_needed([name])?;
        Ok(value.into_owned())
    }

    /// The value of an attribute that is a number where it is there.
    pub(super) fn find_number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Malformed> {
        let number = |text: String| text.parse().map_err(|_| self.odd(name, &text));
        self.find(name)?.map(number).transpose()
    }

    /// The value of an attribute that must be there and a number.
    pub(super) fn need_number<T: FromStr>(&self, name: &str) -> Result<T, Malformed> {
        let text = self.need(name)?;
        text.parse().map_err(|_| self.odd(name, &text))
    }

    /// The complaint about a value that is not understood.
    pub(super) fn odd(&self, name: &str, value: &str) -> Malformed {
        Malformed(format!("<{}> has {name}={value:?}", self.path))
    }
}

/// Shows every element of a document to `visit`, in order, while it is read.
///
/// A document that is cut off, even between two tags, or has another root is an error: whoever
/// collects must drop what was collected until then.
pub(super) fn walk(
    document: impl BufRead,
    root: &str,
    mut visit: impl FnMut(&Element<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    parts(document, root, |part| match part {
        Part::Opens { path, tag } => visit(&Element { path, tag }),
        Part::Text(_) | Part::Closes => Ok(()),
    })
}

/// The same for a document in memory, each element with the text that stands before its first child,
/// trimmed.
pub(super) fn walk_text(
    document: &str,
    root: &str,
    mut visit: impl FnMut(&Element<'_>, &str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut open: Option<(String, BytesStart<'static>, String)> = None;
    parts(document.as_bytes(), root, |part| {
        if let Part::Text(more) = part {
            if let Some((_, _, text)) = &mut open {
                text.push_str(more);
            }
            return Ok(());
        }
        if let Some((path, tag, text)) = open.take() {
            visit(&Element { path: &path, tag }, text.trim())?;
        }
        if let Part::Opens { path, tag } = part {
            open = Some((path.to_owned(), tag.into_owned(), String::new()));
        }
        Ok(())
    })
}

/// A part of a document.
enum Part<'a> {
    Opens { path: &'a str, tag: BytesStart<'a> },
    Text(&'a str),
    Closes,
}

fn parts(
    document: impl BufRead,
    root: &str,
    mut on: impl FnMut(Part<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::from_reader(Pieces::of(document));
    let mut piece = Vec::new();
    let mut path = Path::default();
    let mut begun = false;
    let broken = |why| Malformed(format!("no whole <{root}>: {why}"));
    loop {
        piece.clear();
        reader.get_mut().size = 0;
        let at = reader.buffer_position();
        let event = reader.read_event_into(&mut piece);
        let event = event.map_err(|e| broken(format!("{e} after byte {at}")))?;
        let is_empty = matches!(event, Event::Empty(_));
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                path.enter(tag.name().as_ref());
                if path.is_root() && (begun || path.names != root) {
                    return Err(broken(format!("found <{}> as its root", path.names)));
                }
                begun = true;
                let names = &path.names;
                on(Part::Opens { path: names, tag })?;
                if is_empty {
                    path.leave();
                    on(Part::Closes)?;
                }
            }
            Event::End(_) => {
                path.leave();
                on(Part::Closes)?;
            }
            Event::Eof if begun && path.is_empty() => return Ok(()),
            Event::Eof if begun => return Err(broken(format!("it ends inside <{}>", path.names))),
            Event::Eof => return Err(broken("it is empty".to_owned())),
            Event::Text(text) if path.is_empty() && !text.trim().is_empty() => {
                return Err(broken("text outside its root".to_owned()));
            }
            Event::Text(text) => on(Part::Text(&text))?,
            Event::CData(text) => on(Part::Text(&text))?,
            Event::GeneralRef(name) => {
                let text = format!("&{};", &*name);
                let text = quick_xml::escape::unescape(&text);
                on(Part::Text(&text.map_err(|e| broken(e.to_string()))?))?;
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

/// Gives up on a document of which one piece does not end.
struct Pieces<R> {
    document: R,
    /// The size of the present piece so far.
    size: usize,
}

impl<R> Pieces<R> {
    const fn of(document: R) -> Self {
        Self { document, size: 0 }
    }
}

impl<R: BufRead> Read for Pieces<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.document.read(into)
    }
}

impl<R: BufRead> BufRead for Pieces<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.size > LONGEST_PIECE {
            return Err(io::Error::other(format!(
                "more than {LONGEST_PIECE} bytes without a tag"
            )));
        }
        self.document.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.size += bytes;
        self.document.consume(bytes);
    }
}

/// Where in a document: the names from its root on, and where each begins.
#[derive(Debug, Default)]
struct Path {
    names: String,
    begins: Vec<usize>,
}

impl Path {
    const fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    const fn is_root(&self) -> bool {
        self.begins.len() == 1
    }

    fn enter(&mut self, name: &str) {
        self.begins.push(self.names.len());
        if self.begins.len() > 1 {
            self.names.push('/');
        }
        self.names.push_str(name);
    }

    fn leave(&mut self) {
        self.names.truncate(self.begins.pop().unwrap_or_default());
    }
}

/// The code and the summary of a `<status code="404">` document, with which OBS says no; `None` for
/// any other document.
pub(super) fn refusal(document: &str) -> Option<(u16, String)> {
    let mut code = None;
    let read_code = |element: &Element<'_>| {
        if element.path() == "status" {
            code = Some(element.need_number("code")?);
        }
        Ok(())
    };
    walk(document.as_bytes(), "status", read_code).ok()?;
    let summary = document.split_once("<summary>");
    let summary = summary.and_then(|(_, rest)| rest.split_once("</summary>"));
    let summary = summary.and_then(|(text, _)| quick_xml::escape::unescape(text).ok());
    Some((code?, one_line(&summary.unwrap_or_default())))
}

/// Foreign words made fit for a log line: one line, of at most 300 characters.
fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(document: &str) -> Result<(), Malformed> {
        walk(document.as_bytes(), "a", |_| Ok(()))
    }

    #[test]
    fn only_one_whole_document_of_the_right_kind_is_taken() {
        assert_eq!(whole("<?xml version='1.0'?>\n<a><b/></a>\n"), Ok(()));
        for bad in [
            "",
            "garbage",
            "<b/>",
            "<a><b/>",
            "<a></b>",
            "<a/><a/>",
            "<a/>tail",
            "<a/><b/>",
            "{\"a\": 1}",
        ] {
            assert!(whole(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_document_without_an_end_of_a_piece_is_given_up() {
        let long = |bytes: usize| format!("<a>{}</a>", " ".repeat(bytes));
        assert_eq!(whole(&long(LONGEST_PIECE - 10)), Ok(()));
        let endless = io::BufReader::new(io::repeat(b' ').take(4 * LONGEST_PIECE as u64));
        let error = walk(endless, "a", |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("without a tag"), "{error}");
    }

    #[test]
    fn a_refusal_is_told_from_a_result_list_with_statuses() {
        let said = "<status code=\"404\"><summary>no &lt;such&gt;\nthing</summary></status>";
        assert_eq!(refusal(said), Some((404, "no <such> thing".to_owned())));
        assert_eq!(refusal("<a><status code=\"404\"/></a>"), None);
    }
}

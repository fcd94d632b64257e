//! XML documents, whole or not at all.

use super::error::Malformed;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::str::FromStr;

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

    /// The value of an attribute, where it is there.
    pub(super) fn find(&self, name: &str) -> Result<Option<String>, Malformed> {
        let broken = |why: &dyn std::fmt::Display| Malformed(format!("<{}>: {why}", self.path));
        let attribute = self.tag.try_get_attribute(name).map_err(|e| broken(&e))?;
        let value = attribute.map(|a| a.normalized_value(XmlVersion::Implicit1_0));
        let value = value.transpose().map_err(|e| broken(&e))?;
        Ok(value.map(std::borrow::Cow::into_owned))
    }

    /// The value of an attribute that must be there.
    pub(super) fn need(&self, name: &str) -> Result<String, Malformed> {
        let missing = || Malformed(format!("<{}> has no {name}", self.path));
        self.find(name)?.ok_or_else(missing)
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

/// Shows every element of a document to `visit`, in order.
///
/// A document that is cut off, even between two tags, or has another root is an error: whoever
/// collects must drop what was collected until then.
pub(super) fn walk(
    document: &str,
    root: &str,
    mut visit: impl FnMut(&Element<'_>) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    walk_text(document, root, |element, _| visit(element))
}

/// The same, each element with the text that stands before its first child, trimmed.
pub(super) fn walk_text(
    document: &str,
    root: &str,
    mut visit: impl FnMut(&Element<'_>, &str) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut reader = Reader::from_str(document);
    reader.config_mut().expand_empty_elements = true;
    let mut path = String::new();
    let mut begun = false;
    let mut open: Option<(BytesStart<'_>, String)> = None;
    loop {
        let broken = |why| Malformed(format!("no whole <{root}>: {why}"));
        let event = reader
            .read_event()
            .map_err(|e| broken(format!("{e} before byte {}", reader.buffer_position())))?;
        if matches!(event, Event::Start(_) | Event::End(_))
            && let Some((tag, text)) = open.take()
        {
            visit(&Element { path: &path, tag }, text.trim())?;
        }
        match event {
            Event::Start(tag) => {
                enter(&mut path, tag.name().as_ref());
                if !path.contains('/') && (begun || path != root) {
                    return Err(broken(format!("found <{path}> as its root")));
                }
                begun = true;
                open = Some((tag, String::new()));
            }
            Event::End(_) => leave(&mut path),
            Event::Eof if begun && path.is_empty() => return Ok(()),
            Event::Eof if begun => return Err(broken(format!("it ends inside <{path}>"))),
            Event::Eof => return Err(broken("it is empty".to_owned())),
            Event::Text(text) if path.is_empty() && !text.trim().is_empty() => {
                return Err(broken("text outside its root".to_owned()));
            }
            Event::Text(text) => add(&mut open, &text),
            Event::CData(text) => add(&mut open, &text),
            Event::GeneralRef(name) => {
                let text = format!("&{};", &*name);
                let text = quick_xml::escape::unescape(&text);
                add(&mut open, &text.map_err(|e| broken(e.to_string()))?);
            }
            Event::Empty(_)
            | Event::Comment(_)
            | Event::Decl(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

fn add(open: &mut Option<(BytesStart<'_>, String)>, more: &str) {
    if let Some((_, text)) = open {
        text.push_str(more);
    }
}

fn enter(path: &mut String, name: &str) {
    if !path.is_empty() {
        path.push('/');
    }
    path.push_str(name);
}

fn leave(path: &mut String) {
    path.truncate(path.rfind('/').unwrap_or_default());
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
    walk(document, "status", read_code).ok()?;
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
        walk(document, "a", |_| Ok(()))
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
    fn a_refusal_is_told_from_a_result_list_with_statuses() {
        let said = "<status code=\"404\"><summary>no &lt;such&gt;\nthing</summary></status>";
        assert_eq!(refusal(said), Some((404, "no <such> thing".to_owned())));
        assert_eq!(refusal("<a><status code=\"404\"/></a>"), None);
    }
}

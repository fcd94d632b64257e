//! Documents in the style of OBS' own writer: two spaces a level, `<name key="value" />`.

use std::borrow::Cow;

/// A document in the making.
#[derive(Debug, Default)]
pub(super) struct Doc {
    text: String,
    open: Vec<&'static str>,
}

pub(super) type Attributes<'a, 'b> = &'b [(&'static str, Cow<'a, str>)];

impl Doc {
    /// With room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            open: Vec::new(),
        }
    }

    fn begin(&mut self, name: &str, attributes: Attributes<'_, '_>) {
        for _level in &self.open {
            self.text.push_str("  ");
        }
        self.text.push('<');
        self.text.push_str(name);
        for (key, value) in attributes {
            self.text.push(' ');
            self.text.push_str(key);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
    }

    /// An element with others in it; [`Self::close`] ends it.
    pub(super) fn open(&mut self, name: &'static str, attributes: Attributes<'_, '_>) {
        self.begin(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    /// An element without content.
    pub(super) fn empty(&mut self, name: &str, attributes: Attributes<'_, '_>) {
        self.begin(name, attributes);
        self.text.push_str(" />\n");
    }

    /// An element with text.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.text_with(name, &[], value);
    }

    /// An element with attributes and text.
    pub(super) fn text_with(&mut self, name: &str, attributes: Attributes<'_, '_>, value: &str) {
        self.begin(name, attributes);
        self.text.push('>');
        escape(value, &mut self.text);
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// Ends the innermost element.
    pub(super) fn close(&mut self) {
        let Some(name) = self.open.pop() else { return };
        for _level in &self.open {
            self.text.push_str("  ");
        }
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push_str(">\n");
    }

    /// The document, with every element closed.
    pub(super) fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }
}

fn escape(value: &str, into: &mut String) {
    if !value.contains(['&', '<', '>', '"']) {
        into.push_str(value);
        return;
    }
    for c in value.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            other => into.push(other),
        }
    }
}

/// A list of names: `<directory><entry name="…" /></directory>`.
pub(super) fn directory<'a>(names: impl IntoIterator<Item = Cow<'a, str>>) -> String {
    let mut doc = Doc::default();
    let names: Vec<Cow<'a, str>> = names.into_iter().collect();
    if names.is_empty() {
        doc.empty("directory", &[]);
        return doc.finish();
    }
    doc.open("directory", &[]);
    for name in names {
        doc.empty("entry", &[("name", name)]);
    }
    doc.finish()
}

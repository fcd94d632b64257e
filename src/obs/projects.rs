//! `/build` of the source server and of the frontend: the projects that there are.

use super::error::Malformed;
use super::xml::walk;
use std::collections::BTreeSet;
use std::io::BufRead;

/// The names that `takes` agrees to.
pub(super) fn parse(
    document: impl BufRead,
    takes: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, Malformed> {
    let mut names = BTreeSet::new();
    walk(document, "directory", |element| {
        if element.path() == "directory/entry" {
            let [name] = element.peek_needed(["name"])?;
            if takes(&name) {
                names.insert(name.into_owned());
            }
        }
        Ok(())
    })?;
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "<directory>\n  <entry name=\"home:me\"/>\n  <entry name=\"openEuler:Mainline\"/>\n</directory>\n";

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let all = parse(LISTED.as_bytes(), |_| true).unwrap();
        assert_eq!(all.len(), 2);
        let home = parse(LISTED.as_bytes(), |name| name.starts_with("home:")).unwrap();
        assert_eq!(home, BTreeSet::from(["home:me".to_owned()]));
        for end in 0..LISTED.trim_end().len() {
            let cut = parse(LISTED.as_bytes().get(..end).unwrap(), |_| true);
            assert!(cut.is_err(), "cut at {end}");
        }
    }
}

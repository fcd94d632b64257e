//! `/build/_dispatchprios` of the source server, which asks the dispatcher's repository server: how much sooner
//! than others the jobs of a project are dispatched.
//!
//! Of the entries that match a project, repository and architecture the last one counts (`bs_dispatch`). Its
//! `adjust` is in decibel: with 10 a target that has had ten times as much as another is as good as that one.

use super::client::{ObsClient, route};
use super::error::{Fault, Malformed, ObsError};
use super::xml::{self, walk};
use quick_xml::escape::escape;
use reqwest::header::CONTENT_TYPE;
use std::fmt::Write as _;
use std::io::BufRead;

/// One entry, as it stands there: what it does not name it does not ask for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Priority {
    /// The project.
    pub project: Option<String>,
    /// The repository.
    pub repository: Option<String>,
    /// The architecture.
    pub arch: Option<String>,
    /// By how much, in decibel; a number.
    pub adjust: Option<String>,
}

/// Every entry, in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Priorities(pub Vec<Priority>);

impl Priority {
    /// Whether it is for this project as a whole: that is what is set and cleared here.
    fn is_of(&self, project: &str) -> bool {
        let whole = self.repository.is_none() && self.arch.is_none();
        whole && self.project.as_deref() == Some(project)
    }
}

impl Priorities {
    /// With the project preferred by so much, over whatever else is said of it; every other entry stays.
    #[must_use]
    pub fn with(self, project: &str, by: i32) -> Self {
        let mut all = self.without(project);
        all.0.push(Priority {
            project: Some(project.to_owned()),
            adjust: Some(by.to_string()),
            ..Priority::default()
        });
        all
    }

    /// Without what was said of the project as a whole; every other entry stays.
    #[must_use]
    pub fn without(mut self, project: &str) -> Self {
        self.0.retain(|entry| !entry.is_of(project));
        self
    }

    fn document(&self) -> String {
        let mut text = "<dispatchprios>\n".to_owned();
        for entry in &self.0 {
            let Priority {
                project,
                repository,
                arch,
                adjust,
            } = entry;
            text.push_str("  <prio");
            for (name, value) in [
                ("project", project),
                ("repository", repository),
                ("arch", arch),
                ("adjust", adjust),
            ] {
                if let Some(value) = value {
                    let _infallible = write!(text, " {name}=\"{}\"", escape(value.as_str()));
                }
            }
            text.push_str("/>\n");
        }
        text.push_str("</dispatchprios>\n");
        text
    }

    fn parse(document: impl BufRead) -> Result<Self, Malformed> {
        let mut all = Vec::new();
        walk(document, "dispatchprios", |element| {
            if element.path() == "dispatchprios/prio" {
                all.push(Priority {
                    project: element.find("project")?,
                    repository: element.find("repository")?,
                    arch: element.find("arch")?,
                    adjust: element.find("adjust")?,
                });
            }
            Ok(())
        })?;
        Ok(Self(all))
    }
}

impl ObsClient {
    /// What is set, from `GET /build/_dispatchprios`.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn priorities(&self) -> Result<Priorities, ObsError> {
        let url = route(&self.source, &["build", "_dispatchprios"], &[]);
        self.get(url, Priorities::parse).await
    }

    /// Replaces what is set, by `PUT /build/_dispatchprios`. The route takes all or nothing, and knows of no
    /// earlier version: of two who write at the same time the later one counts.
    ///
    /// # Errors
    /// Where OBS did not take it, or was not reached.
    pub async fn set_priorities(&self, all: &Priorities) -> Result<(), ObsError> {
        let url = route(&self.source, &["build", "_dispatchprios"], &[]);
        let asked = format!("PUT {}", url.path());
        let request = self.http.put(url).header(CONTENT_TYPE, "text/xml");
        let request = self.with_login(request).body(all.document());
        let failed = |fault| ObsError::new(asked.clone(), fault);
        let answer = request.send().await.map_err(|e| failed(self.fault(e)))?;
        let status = answer.status();
        let said = answer.text().await.map_err(|e| failed(self.fault(e)))?;
        if status.is_success() {
            return Ok(());
        }
        let summary = xml::refusal(&said).map(|(_, summary)| summary);
        let summary = summary.unwrap_or_default();
        Err(failed(Fault::refusal(status.as_u16(), summary)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::obs::testing::{Answer, backend, serve};
    use proptest::prelude::*;
    use std::time::Duration;

    fn parsed(text: &str) -> Priorities {
        Priorities::parse(text.as_bytes()).unwrap()
    }

    fn word() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[a-z:<&\"']{1,6}")
    }

    prop_compose! {
        fn any_entry()(project in word(), repository in word(), arch in word(), adjust in proptest::option::of("-?[0-9]{1,4}")) -> Priority {
            Priority { project, repository, arch, adjust }
        }
    }

    proptest! {
        #[test]
        fn what_others_have_said_stays_word_for_word_and_in_its_order(
            entries in proptest::collection::vec(any_entry(), 0..8),
            by in -100..100,
        ) {
            let all = Priorities(entries);
            prop_assert_eq!(&parsed(&all.document()), &all);
            let with = all.clone().with("mine", by);
            let others = with.0.split_last().unwrap().1;
            prop_assert_eq!(others, &all.0[..]);
            prop_assert_eq!(with.clone().with("mine", by), with.clone());
            prop_assert_eq!(with.without("mine"), all);
        }
    }

    #[test]
    fn an_entry_for_one_repository_of_the_project_is_somebody_elses() {
        let all = parsed(
            r#"<dispatchprios><prio project="p" repository="r" adjust="5"/><prio project="p" adjust="1"/></dispatchprios>"#,
        );
        let cleared = all.without("p");
        assert_eq!(cleared.0.len(), 1);
        assert_eq!(cleared.0[0].repository.as_deref(), Some("r"));
    }

    #[test]
    fn a_document_that_ends_early_is_an_error_and_an_empty_one_is_an_empty_list() {
        assert_eq!(parsed("<dispatchprios />"), Priorities::default());
        let cut = Priorities::parse(&br#"<dispatchprios><prio project="p"/>"#[..]);
        assert!(cut.is_err());
    }

    #[tokio::test]
    async fn a_refusal_of_what_is_written_is_told_with_its_words() {
        let no = r#"<status code="403"><summary>not for you</summary></status>"#;
        let at = serve(move |_| async move { Answer::with(403, no) }).await;
        let client = ObsClient::new(&backend("main", at), Duration::from_secs(5)).unwrap();
        let refused = client.set_priorities(&Priorities::default()).await;
        let words = refused.unwrap_err().to_string();
        assert!(
            words.starts_with("PUT /build/_dispatchprios: not allowed (403)"),
            "{words}"
        );
        assert!(words.ends_with("not for you"), "{words}");
    }
}

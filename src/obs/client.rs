//! Requests to one backend.

use super::error::{Fault, Malformed, ObsError};
use super::job_history::{self, Ended};
use super::results::{self, Target};
use super::{worker_status, xml};
use crate::config::Backend;
use crate::model::{BackendName, Results, Workers};
use reqwest::{StatusCode, Url};
use std::error::Error;
use std::time::Duration;

/// The largest answer taken, in bytes: the results of 100 000 packages are about 10 MB.
const MAX_ANSWER: usize = 64 << 20;

/// Reads one backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ObsClient {
    name: BackendName,
    projects: Vec<String>,
    pub(super) source_server: Url,
    repository_server: Url,
    timeout: Duration,
    pub(super) http: reqwest::Client,
}

impl ObsClient {
    /// A client for a backend; `timeout` is for one request, from connect to the last byte.
    ///
    /// # Errors
    /// Where a base URL is none or holds credentials, or the system has no certificates to check `https` against.
    pub fn new(backend: &Backend, timeout: Duration) -> Result<Self, ObsError> {
        let source_server = base("source_server", &backend.source_server)?;
        let repository_server = base("repository_server", &backend.repository_server)?;
        let plain = [&source_server, &repository_server].map(Url::scheme) == ["http"; 2];
        Ok(Self {
            name: backend.name.clone(),
            projects: backend.projects.clone(),
            source_server,
            repository_server,
            timeout,
            http: http_client(timeout, plain)?,
        })
    }

    /// Which backend it reads.
    #[must_use]
    pub const fn backend(&self) -> &BackendName {
        &self.name
    }

    /// The projects that the backend schedules.
    #[must_use]
    pub fn projects(&self) -> &[String] {
        &self.projects
    }

    /// Instances and daemons, from `/workerstatus` of the repository server.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn workers(&self) -> Result<Workers, ObsError> {
        let url = route(&self.repository_server, &["workerstatus"], &[]);
        self.get(url, worker_status::parse).await
    }

    /// Packages and jobs of these projects, from `_result?view=status&multibuild=1` of the source
    /// server.
    ///
    /// # Errors
    /// Where one of the projects was not read whole.
    pub async fn results(&self, projects: &[String]) -> Result<Results, ObsError> {
        let query = [("view", "status"), ("multibuild", "1")];
        let mut all = Results::default();
        for project in projects {
            let url = route(&self.source_server, &["build", project, "_result"], &query);
            let one = self.get(url, results::parse).await?;
            all.jobs.extend(one.jobs);
            all.packages.extend(one.packages);
        }
        Ok(all)
    }

    /// The last `limit` jobs of a target that ended, oldest first, from `_jobhistory` of the source
    /// server.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn job_history(&self, of: &Target, limit: usize) -> Result<Vec<Ended>, ObsError> {
        let path = [
            "build",
            &of.project,
            &of.repository,
            &of.arch,
            "_jobhistory",
        ];
        let limit = limit.to_string();
        let url = route(&self.source_server, &path, &[("limit", limit.as_str())]);
        self.get(url, job_history::parse).await
    }

    pub(super) async fn get<T>(
        &self,
        url: Url,
        parse: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Result<T, ObsError> {
        let route = url.query().map(|query| format!("?{query}"));
        let asked = format!("GET {}{}", url.path(), route.unwrap_or_default());
        let (status, text) = match self.fetch(url).await {
            Ok(answer) => answer,
            Err(fault) => return Err(ObsError::new(asked, fault)),
        };
        understand(status, &text, parse).map_err(|fault| ObsError::new(asked, fault))
    }

    async fn fetch(&self, url: Url) -> Result<(StatusCode, String), Fault> {
        let failed = |error| self.fault(error);
        let mut response = self.http.get(url).send().await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Fault::TooLarge(MAX_ANSWER));
            }
            body.extend_from_slice(&chunk);
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        Ok((response.status(), text))
    }

    pub(super) fn fault(&self, error: reqwest::Error) -> Fault {
        if error.is_timeout() {
            Fault::TimedOut(self.timeout)
        } else {
            Fault::Unreachable(root_cause(&error.without_url()))
        }
    }
}

fn understand<T>(
    status: StatusCode,
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, Malformed>,
) -> Result<T, Fault> {
    let refused = |(status, summary)| Fault::Refused { status, summary };
    if status.is_success() {
        let no = |why| xml::refusal(text).map_or(Fault::Document(why), refused);
        return parse(text).map_err(no);
    }
    let (_, summary) = xml::refusal(text).unwrap_or_default();
    Err(refused((status.as_u16(), summary)))
}

/// An HTTP client with `timeout` from connect to the last byte, without proxies or redirects.
/// The system's certificates are loaded only where they are needed.
///
/// # Errors
/// Where the system has no certificates, and `plain` http is not enough.
pub fn http_client(timeout: Duration, plain: bool) -> Result<reqwest::Client, ObsError> {
    // An error means that the process has a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .timeout(timeout)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // Polls are far apart, and a connection that the server closed meanwhile is one error more.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("obs-scaler/", env!("CARGO_PKG_VERSION")));
    let builder = if plain {
        builder.tls_certs_only([])
    } else {
        builder
    };
    let client = builder.build();
    client.map_err(|e| ObsError::new("HTTP client".to_owned(), Fault::Setup(root_cause(&e))))
}

fn base(what: &str, text: &str) -> Result<Url, ObsError> {
    let bad = |why: String| ObsError::new(what.to_owned(), Fault::Setup(why));
    let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("neither http nor https".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("credentials do not belong in a URL".to_owned()));
    }
    Ok(url)
}

/// A base URL with more segments and a query, both escaped.
pub(super) fn route(base: &Url, segments: &[&str], query: &[(&str, &str)]) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answer, backend, hangs, serve};
    use super::*;
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    const WORKERS: &str = include_str!("../../tests/data/obs/workerstatus-building.xml");
    const RESULT: &str = include_str!("../../tests/data/obs/result-building.xml");
    const HISTORY: &str = include_str!("../../tests/data/obs/jobhistory-ghosts.xml");
    const REFUSAL: &str = include_str!("../../tests/data/obs/unknown-project.xml");

    fn client(at: SocketAddr) -> ObsClient {
        ObsClient::new(&backend("b", at), Duration::from_secs(10)).unwrap()
    }

    fn target() -> Target {
        Target {
            project: "openEuler:20.03:LTS".to_owned(),
            repository: "a b".to_owned(),
            arch: "x86_64".to_owned(),
        }
    }

    #[tokio::test]
    async fn each_document_is_asked_for_by_its_route() {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let at = serve(move |route| {
            let body = match &route {
                r if r.starts_with("/workerstatus") => WORKERS,
                r if r.contains("/_result") => RESULT,
                _ => HISTORY,
            };
            noted.lock().unwrap().push(route);
            async move { Answer::ok(body) }
        });
        let client = client(at.await);
        assert_eq!(client.workers().await.unwrap().instances.len(), 5);
        let project = ["openEuler:Mainline".to_owned()];
        assert_eq!(client.results(&project).await.unwrap().jobs.len(), 21);
        let history = client.job_history(&target(), 17).await.unwrap();
        assert_eq!(history.len(), 17);
        let asked = asked.lock().unwrap();
        assert_eq!(
            *asked,
            [
                "/workerstatus",
                "/build/openEuler:Mainline/_result?view=status&multibuild=1",
                "/build/openEuler:20.03:LTS/a%20b/x86_64/_jobhistory?limit=17",
            ]
        );
    }

    #[tokio::test]
    async fn a_refusal_is_an_error_with_its_summary_whatever_the_http_status() {
        for status in [404, 200] {
            let at = serve(move |_| async move { Answer::with(status, REFUSAL) }).await;
            let error = client(at)
                .results(&["No:Such".to_owned()])
                .await
                .unwrap_err();
            assert_eq!(error.label(), "refused");
            assert!(
                error
                    .to_string()
                    .contains("project 'No:Such' does not exist")
            );
        }
        let at = serve(|_| async { Answer::with(503, WORKERS) }).await;
        assert_eq!(client(at).workers().await.unwrap_err().label(), "refused");
        let at = serve(|_| async { Answer::with(302, WORKERS) }).await;
        assert_eq!(client(at).workers().await.unwrap_err().label(), "refused");
    }

    #[tokio::test]
    async fn a_cut_off_answer_a_silent_server_and_no_server_are_told_apart() {
        let cut = WORKERS.rsplit_once('<').unwrap().0;
        let at = serve(move |_| async move { Answer::ok(cut) }).await;
        assert_eq!(client(at).workers().await.unwrap_err().label(), "document");

        let silent = backend("b", serve(hangs).await);
        let client = ObsClient::new(&silent, Duration::from_millis(50)).unwrap();
        assert_eq!(client.workers().await.unwrap_err().label(), "timeout");

        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = nobody.local_addr().unwrap();
        drop(nobody);
        let client = ObsClient::new(&backend("b", at), Duration::from_secs(10)).unwrap();
        assert_eq!(client.workers().await.unwrap_err().label(), "unreachable");
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let at = serve(|_| async { Answer::ok(vec![b' '; MAX_ANSWER + 1]) }).await;
        assert_eq!(client(at).workers().await.unwrap_err().label(), "too_large");
    }

    #[test]
    fn a_backend_without_a_proper_url_is_refused() {
        let mut backend = backend("b", SocketAddr::from(([127, 0, 0, 1], 1)));
        for bad in ["", "obs:5352", "ftp://obs", "/build", "http://me:key@obs"] {
            backend.source_server = bad.to_owned();
            let error = ObsClient::new(&backend, Duration::from_secs(1)).unwrap_err();
            assert_eq!(error.label(), "setup", "{bad}");
            assert!(!error.to_string().contains("key"));
        }
    }
}

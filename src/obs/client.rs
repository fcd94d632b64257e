//! Requests to one backend.

use super::error::{Fault, Malformed, ObsError};
use super::feed::{self, Broken};
use super::job_history::{self, Ended};
use super::results::{self, Target};
use super::{projects, worker_status, xml};
use crate::config::{Access, Backend, Discovery};
use crate::model::{BackendName, Results, Workers};
use reqwest::{RequestBuilder, Url};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};

/// The largest answer taken, in bytes: the results of a million packages are about 50 MB. It is parsed
/// while it arrives, so that this bounds the time and not the memory.
const LARGEST: usize = 200 << 20;

/// How many projects are read at once.
const AT_ONCE: usize = 4;

/// Reads one backend. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ObsClient {
    name: BackendName,
    projects: Vec<String>,
    discovery: Arc<Discovery>,
    /// The source server, or the frontend.
    pub(super) source: Url,
    /// What lists the workers.
    workers: Url,
    /// How old that list may be when it comes.
    workers_cached_for: Duration,
    /// Whom a frontend lets in.
    login: Option<(String, SecretString)>,
    timeout: Duration,
    largest: usize,
    pub(super) http: reqwest::Client,
}

impl ObsClient {
    /// A client for a backend; `timeout` is for one request, from connect to the last byte.
    ///
    /// # Errors
    /// Where a base URL is none or holds credentials, or the system has no certificates to check `https` against.
    pub fn new(backend: &Backend, timeout: Duration) -> Result<Self, ObsError> {
        let by_source = ["build", "_workerstatus"];
        let (source, workers, login) = match &backend.access {
            Access::Servers { source, repository } => {
                let repository = base("repository_server", repository)?;
                let workers = route(&repository, &["workerstatus"], &[]);
                (base("source_server", source)?, workers, None)
            }
            Access::SourceServer { source } => {
                let source = base("source_server", source)?;
                (source.clone(), route(&source, &by_source, &[]), None)
            }
            Access::Frontend {
                url,
                user,
                password,
            } => {
                let frontend = base("frontend", url)?;
                let login = Some((user.clone(), password.clone()));
                (frontend.clone(), route(&frontend, &by_source, &[]), login)
            }
        };
        let plain = [&source, &workers].map(Url::scheme) == ["http"; 2];
        Ok(Self {
            name: backend.name.clone(),
            projects: backend.projects.clone(),
            discovery: Arc::new(backend.discovery.clone()),
            source,
            workers,
            workers_cached_for: backend.access.workers_cached_for(),
            login,
            timeout,
            largest: LARGEST,
            http: http_client(timeout, plain)?,
        })
    }

    /// Which backend it reads.
    #[must_use]
    pub const fn backend(&self) -> &BackendName {
        &self.name
    }

    /// How old what [`workers`](Self::workers) gives may be when it comes.
    #[must_use]
    pub const fn workers_cached_for(&self) -> Duration {
        self.workers_cached_for
    }

    /// Instances and daemons: from `/workerstatus` of the repository server, or from
    /// `/build/_workerstatus` of the source server or the frontend.
    ///
    /// # Errors
    /// Where it was not read whole.
    pub async fn workers(&self) -> Result<Workers, ObsError> {
        self.get(self.workers.clone(), worker_status::parse).await
    }

    /// Packages and jobs of every project of this backend, from `_result?view=status&multibuild=1`.
    ///
    /// # Errors
    /// Where the list of projects, or one of the projects, was not read whole. A project that was
    /// found by its pattern may have gone meanwhile.
    pub async fn results(&self) -> Result<Results, ObsError> {
        let found = self.discover().await?;
        let named = self.projects.iter().cloned();
        let mut projects = named.chain(found.iter().cloned());
        let mut reading = JoinSet::new();
        let mut all = Results::default();
        let mut gone = Vec::new();
        loop {
            while reading.len() < AT_ONCE
                && let Some(project) = projects.next()
            {
                let client = self.clone();
                reading.spawn(async move { (client.result(&project).await, project) });
            }
            match reading.join_next().await {
                None => break,
                Some(Err(stopped)) => return Err(self.stopped(&stopped)),
                Some(Ok((Ok(one), _))) => {
                    all.jobs.extend(one.jobs);
                    all.packages.extend(one.packages);
                }
                Some(Ok((Err(no), project))) if no.is_not_found() && found.contains(&project) => {
                    gone.push((project, no));
                }
                Some(Ok((Err(no), _))) => return Err(no),
            }
        }
        self.are_gone(gone).await?;
        all.jobs.sort_unstable();
        Ok(all)
    }

    async fn result(&self, project: &str) -> Result<Results, ObsError> {
        let query = [("view", "status"), ("multibuild", "1")];
        let url = route(&self.source, &["build", project, "_result"], &query);
        self.get(url, results::parse).await
    }

    /// The projects that were asked for by patterns, from `/build`.
    async fn discover(&self) -> Result<BTreeSet<String>, ObsError> {
        if self.discovery.patterns.is_empty() {
            return Ok(BTreeSet::new());
        }
        let discovery = Arc::clone(&self.discovery);
        let url = route(&self.source, &["build"], &[]);
        self.get(url, move |list| {
            projects::parse(list, |name| discovery.takes(name))
        })
        .await
    }

    /// What is still listed and is not found has not gone: its jobs are not known.
    async fn are_gone(&self, gone: Vec<(String, ObsError)>) -> Result<(), ObsError> {
        if gone.is_empty() {
            return Ok(());
        }
        let there = self.discover().await?;
        let still = gone
            .into_iter()
            .find(|(project, _)| there.contains(project));
        still.map_or(Ok(()), |(_, no)| Err(no))
    }

    fn stopped(&self, error: &JoinError) -> ObsError {
        let why = Fault::Setup(format!("a reading was stopped: {error}"));
        ObsError::new(format!("GET {}", self.source), why)
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
        let url = route(&self.source, &path, &[("limit", limit.as_str())]);
        self.get(url, job_history::parse).await
    }

    pub(super) async fn get<T: Send + 'static>(
        &self,
        url: Url,
        parse: impl FnOnce(feed::Body) -> Result<T, Malformed> + Send + 'static,
    ) -> Result<T, ObsError> {
        let asked = asked(&url);
        let answer = self.ask(url, parse).await;
        answer.map_err(|fault| ObsError::new(asked, fault))
    }

    /// The same for a short document, which is taken whole before it is parsed.
    pub(super) async fn get_short<T>(
        &self,
        url: Url,
        parse: impl FnOnce(&str) -> Result<T, Malformed>,
    ) -> Result<T, ObsError> {
        let asked = asked(&url);
        let text = self.get(url, feed::Body::short).await?;
        parse(&text).map_err(|why| ObsError::new(asked, understood(text.as_bytes(), why)))
    }

    /// A request with the name and the password that a frontend wants.
    pub(super) fn with_login(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.login {
            Some((user, password)) => request.basic_auth(user, Some(password.expose_secret())),
            None => request,
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        url: Url,
        parse: impl FnOnce(feed::Body) -> Result<T, Malformed> + Send + 'static,
    ) -> Result<T, Fault> {
        let request = self.with_login(self.http.get(url));
        let response = request.send().await.map_err(|e| self.fault(e))?;
        let status = response.status();
        if !status.is_success() {
            let said = feed::beginning(response).await;
            let said = said.map_err(|broken| self.broken(broken))?;
            let (_, summary) = refusal(&said).unwrap_or_default();
            return Err(Fault::refusal(status.as_u16(), summary));
        }
        let taken = feed::parse(response, self.largest, parse).await;
        let taken = taken.map_err(|broken| self.broken(broken))?;
        taken
            .parsed
            .map_err(|why| understood(&taken.beginning, why))
    }

    fn broken(&self, broken: Broken) -> Fault {
        match broken {
            Broken::Connection(error) => self.fault(error),
            Broken::TooLarge => Fault::TooLarge(self.largest),
        }
    }

    pub(super) fn fault(&self, error: reqwest::Error) -> Fault {
        if error.is_timeout() {
            Fault::TimedOut(self.timeout)
        } else {
            Fault::Unreachable(root_cause(&error.without_url()))
        }
    }
}

/// The request, for errors.
fn asked(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}"));
    format!("GET {}{}", url.path(), query.unwrap_or_default())
}

/// A document that can not be used may be a refusal that came as a success.
fn understood(beginning: &[u8], why: Malformed) -> Fault {
    match refusal(beginning) {
        Some((status, summary)) => Fault::refusal(status, summary),
        None => Fault::Document(why),
    }
}

fn refusal(beginning: &[u8]) -> Option<(u16, String)> {
    xml::refusal(&String::from_utf8_lossy(beginning))
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
#[path = "client_tests.rs"]
mod tests;

//! What is seen from outside: OBS' own documents, the simulator's ledger, Prometheus and
//! Alertmanager. Nothing here asks obs-scaler what it thinks.

use crate::backend::Backend;
use anyhow::{Context, Result, bail};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// The simulator's books: `GET /_sim/ledger`.
#[derive(Debug, Clone)]
pub struct Ledger(pub Value);

/// How often each package was built, by (package, arch), with the codes.
pub type History = BTreeMap<(String, String), Vec<String>>;

/// OBS, as it tells of itself.
#[derive(Debug, Clone)]
pub struct Obs {
    client: reqwest::Client,
    backend: Backend,
}

/// A GET whose answer must be a success.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> Result<String> {
    let answer = client
        .get(url)
        .send()
        .await
        .with_context(|| format!("GET {url}"))?;
    let status = answer.status();
    let body = answer.text().await?;
    if status.is_success() {
        Ok(body)
    } else {
        bail!("GET {url}: {status}: {body}")
    }
}

fn elements(document: &str, name: &str) -> Result<Vec<BTreeMap<String, String>>> {
    let mut reader = Reader::from_str(document);
    let mut found = Vec::new();
    loop {
        match reader.read_event()? {
            Event::Start(e) | Event::Empty(e) if e.name().as_ref() == name => {
                found.push(attributes(&e)?);
            }
            Event::Eof => return Ok(found),
            _ => {}
        }
    }
}

fn attributes(element: &BytesStart<'_>) -> Result<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for attribute in element.attributes() {
        let attribute = attribute?;
        map.insert(
            attribute.key.as_ref().to_owned(),
            attribute.value.into_owned(),
        );
    }
    Ok(map)
}

impl Obs {
    pub(crate) const fn new(client: reqwest::Client, backend: Backend) -> Self {
        Self { client, backend }
    }

    /// A page of the project's builds.
    async fn build(&self, rest: &str) -> Result<String> {
        let (server, project) = (self.backend.source_server(), self.backend.project());
        get(&self.client, &format!("{server}/build/{project}/{rest}")).await
    }

    /// Packages of the project by status code, over every repository.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn packages(&self) -> Result<BTreeMap<String, usize>> {
        let document = self.build("_result?view=status&multibuild=1").await?;
        let mut counts = BTreeMap::new();
        for status in elements(&document, "status")? {
            let code = status.get("code").cloned().unwrap_or_default();
            *counts.entry(code).or_default() += 1;
        }
        Ok(counts)
    }

    /// The status code of a package in the repository for x86_64; empty where it has none yet.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn code(&self, package: &str) -> Result<String> {
        let rest = format!("_result?view=status&repository=standard_x86_64&package={package}");
        let document = self.build(&rest).await?;
        let mut codes = elements(&document, "status")?.into_iter();
        let code = codes.find_map(|mut status| status.remove("code"));
        Ok(code.unwrap_or_default())
    }

    /// Who had each build of a package for x86_64 that ended, and how it ended, oldest first.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn ends(&self, package: &str) -> Result<Vec<(String, String)>> {
        let rest = format!("standard_x86_64/x86_64/_jobhistory?package={package}");
        let document = self.build(&rest).await?;
        let ended = elements(&document, "jobhist")?.into_iter();
        let end = |mut job: BTreeMap<String, String>| {
            let by = job.remove("workerid").unwrap_or_default();
            (by, job.remove("code").unwrap_or_default())
        };
        Ok(ended.map(end).collect())
    }

    async fn worker_status(&self) -> Result<String> {
        let server = self.backend.repository_server();
        get(&self.client, &format!("{server}/workerstatus")).await
    }

    /// The instances that OBS lists in this state, by `workerid`.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn instances(&self, state: &str) -> Result<Vec<String>> {
        let document = self.worker_status().await?;
        let listed = elements(&document, state)?;
        Ok(listed
            .into_iter()
            .filter_map(|mut worker| worker.remove("workerid"))
            .collect())
    }

    /// What is set at `/build/_dispatchprios`, as it is written there.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn priorities(&self) -> Result<String> {
        let server = self.backend.source_server();
        get(&self.client, &format!("{server}/build/_dispatchprios")).await
    }

    /// Instances that are idle or building.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn live(&self) -> Result<usize> {
        Ok(self.instances("idle").await?.len() + self.instances("building").await?.len())
    }

    /// Every build of the project that has ended, from the job histories.
    ///
    /// # Errors
    /// Where OBS does not answer.
    pub async fn history(&self) -> Result<History> {
        let mut history = History::new();
        for arch in ["x86_64", "aarch64"] {
            let rest = format!("standard_{arch}/{arch}/_jobhistory?limit=100000");
            for job in elements(&self.build(&rest).await?, "jobhist")? {
                let package = job.get("package").cloned().unwrap_or_default();
                let code = job.get("code").cloned().unwrap_or_default();
                history
                    .entry((package, arch.to_owned()))
                    .or_default()
                    .push(code);
            }
        }
        Ok(history)
    }
}

impl Ledger {
    /// The servers ever created, alive or not.
    #[must_use]
    pub fn servers(&self) -> Vec<&Value> {
        let servers = self.0.get("servers").and_then(Value::as_array);
        servers.map(|all| all.iter().collect()).unwrap_or_default()
    }

    /// How many of them are not gone.
    #[must_use]
    pub fn alive(&self) -> usize {
        let gone = |server: &&Value| server.get("deleted_at").is_some_and(Value::is_string);
        self.servers()
            .into_iter()
            .filter(|server| !gone(server))
            .count()
    }

    /// How many servers have become `ACTIVE`.
    #[must_use]
    pub fn active(&self) -> usize {
        let active = |server: &&Value| server.get("launched_at").is_some_and(Value::is_string);
        self.servers().into_iter().filter(active).count()
    }

    /// How many create calls were accepted, repeats under one token counted once.
    #[must_use]
    pub fn creates(&self) -> usize {
        let calls = self.0.get("create_calls").and_then(Value::as_array);
        calls.map(Vec::len).unwrap_or_default()
    }
}

/// The stages of a run, each with the time since its beginning.
#[derive(Debug)]
pub struct Story {
    began: Instant,
    loud: bool,
    stages: Vec<(String, Duration)>,
}

impl Story {
    /// Begins now. A loud one prints each stage as it is reached.
    #[must_use]
    pub fn begin(loud: bool) -> Self {
        Self {
            began: Instant::now(),
            loud,
            stages: Vec::new(),
        }
    }

    /// Notes that a stage was reached.
    pub fn reached(&mut self, stage: impl Into<String>) {
        let (stage, at) = (stage.into(), self.began.elapsed());
        if self.loud {
            crate::farm::say(&format!("[{:6.1} s] {stage}", at.as_secs_f64()));
        }
        self.stages.push((stage, at));
    }

    /// How long it has lasted so far.
    #[must_use]
    pub fn lasted(&self) -> Duration {
        self.began.elapsed()
    }

    /// Every stage, with its time and the time since the one before.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::new();
        let mut before = Duration::ZERO;
        for (stage, at) in &self.stages {
            let (at_s, step) = (at.as_secs_f64(), at.saturating_sub(before).as_secs_f64());
            let _infallible = writeln!(text, "{at_s:8.1} s  (+{step:6.1} s)  {stage}");
            before = *at;
        }
        text
    }
}

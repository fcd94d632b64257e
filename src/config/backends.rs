//! Backends: where each is read from, what workers are told of it, and which projects are its own.

use super::Poll;
use super::pools::pool_name;
use super::reader::{Node, Section};
use super::secret::{PASSWORD, SecretSource};
use super::units::{Base, base_url, host_port, number, text, whole_name};
use super::yaml::Tree;
use crate::model::BackendName;
use regex::Regex;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// One OBS backend.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its name in labels.
    pub name: BackendName,
    /// Where it is read from.
    pub access: Access,
    /// What workers are told as `OBS_SRC_SERVER` (`host:port`).
    pub worker_source_server: String,
    /// What workers are told as one of `OBS_REPO_SERVERS` (`host:port`).
    pub worker_repository_server: String,
    /// The projects that it schedules, by name.
    pub projects: Vec<String>,
    /// Those that it is asked for.
    pub discovery: Discovery,
    /// How many new workers may be started for it in a minute; 0: no limit.
    pub ramp: u32,
}

/// Where a backend is read from. Base URLs are such as `http://10.0.0.5:5352`, without a final slash.
#[derive(Debug, Clone)]
pub enum Access {
    /// Both servers.
    Servers {
        /// Base URL of the source server.
        source: String,
        /// Base URL of the repository server, the only one that says where workers are (`uri`).
        repository: String,
    },
    /// The source server alone.
    SourceServer {
        /// Its base URL.
        source: String,
    },
    /// The frontend's API, with Basic authentication.
    Frontend {
        /// Its base URL.
        url: String,
        /// Who asks.
        user: String,
        /// That user's password.
        password: SecretString,
    },
}

impl Access {
    /// How old what it says of workers may be when it comes. The frontend hands out a copy of the
    /// source server's answer that it renews when it is 3 minutes old (`/build/_workerstatus`,
    /// `Rails.cache` with `expires_in: 3.minutes`); the servers look anew.
    #[must_use]
    pub const fn workers_cached_for(&self) -> Duration {
        match self {
            Self::Frontend { .. } => Duration::from_mins(3),
            Self::Servers { .. } | Self::SourceServer { .. } => Duration::ZERO,
        }
    }
}

/// Which of the projects that a backend lists belong to it.
#[derive(Debug, Default, Clone)]
pub struct Discovery {
    /// Each matches the whole of a name; none: nothing is looked for.
    pub patterns: Vec<Regex>,
    /// What this or another backend names: not looked for.
    named: BTreeSet<String>,
    /// The patterns of the backends before this one, by name: what they match is theirs.
    before: Vec<Regex>,
}

impl Discovery {
    /// By these patterns, where there is no other backend.
    #[must_use]
    pub fn of(patterns: Vec<Regex>) -> Self {
        Self {
            patterns,
            ..Self::default()
        }
    }

    /// Whether every pattern asks for home projects only: it begins with `home:`.
    #[must_use]
    pub fn is_home(&self) -> bool {
        let home = |pattern: &Regex| pattern.as_str().contains("(?:home:");
        self.patterns.iter().all(home)
    }

    /// Whether a project that the backend lists is one of those that it was asked for.
    #[must_use]
    pub fn takes(&self, project: &str) -> bool {
        let matches = |patterns: &[Regex]| patterns.iter().any(|p| p.is_match(project));
        matches(&self.patterns) && !self.named.contains(project) && !matches(&self.before)
    }
}

pub(super) fn read_backends(
    list: &Node<'_>,
    secrets: &dyn SecretSource,
) -> Option<BTreeMap<BackendName, Backend>> {
    let section = |node: &Node<'_>| node.section(|s| backend(s, secrets));
    let read = list.list(|node| section(node).map(|b| (node.clone(), b)))?;
    refuse_repeated_projects(&read);
    let mut backends = BTreeMap::new();
    for (node, backend) in read {
        if backends.contains_key(&backend.name) {
            let found = format!("\"{}\" again", backend.name);
            node.child("name")
                .wrong(found, "a name of its own for each backend");
        }
        backends.insert(backend.name.clone(), backend);
    }
    leave_to_others(&mut backends);
    Some(backends)
}

fn refuse_repeated_projects(read: &[(Node<'_>, Backend)]) {
    let mut projects = BTreeSet::new();
    let mut patterns = BTreeSet::new();
    for (node, backend) in read {
        for (number, project) in backend.projects.iter().enumerate() {
            if !projects.insert(project) {
                let at = node.child("projects").nth(number);
                let found = format!("{project:?} again");
                at.wrong(found, "each project once, over all backends");
            }
        }
        for (number, pattern) in backend.discovery.patterns.iter().enumerate() {
            if !patterns.insert(pattern.as_str()) {
                let at = node.child("projects_matching").nth(number);
                let expected = "each pattern once, over all backends";
                at.wrong("the same pattern again", expected);
            }
        }
    }
}

/// A project belongs to one backend: to the one that names it; where none does, to the first, by
/// name, of those with a pattern that matches.
fn leave_to_others(backends: &mut BTreeMap<BackendName, Backend>) {
    let named = backends.values().flat_map(|b| b.projects.iter().cloned());
    let named: BTreeSet<String> = named.collect();
    let mut before = Vec::new();
    for Backend { discovery, .. } in backends.values_mut() {
        discovery.named = named.clone();
        discovery.before = before.clone();
        before.extend(discovery.patterns.iter().cloned());
    }
}

fn backend(s: &Section<'_>, secrets: &dyn SecretSource) -> Option<Backend> {
    let name = s.required("name", |tree| {
        pool_name(tree).map(|n| BackendName::new(n.as_str()))
    });
    let servers = Servers {
        source: s.get("source_server"),
        repository: s.get("repository_server"),
        frontend: s.get("frontend"),
    };
    let access = match servers.frontend.clone() {
        Some(node) => frontend(s, &node, &servers, secrets),
        None => servers_of(s, &servers),
    };
    let (access, source, repository) = access.map_or((None, None, None), |found| {
        (Some(found.access), found.source, found.repository)
    });
    let whole = access.is_some();
    let worker_source = told(s, "worker_source_server", source, whole);
    let worker_repository = told(s, "worker_repository_server", repository, whole);
    let patterns = s.get("projects_matching");
    let projects = match (s.get("projects"), &patterns) {
        (Some(node), _) => node.list(|project| project.read(project_name)),
        (None, Some(_)) => Some(Vec::new()),
        (None, None) => {
            let expected = "the projects that it schedules, or projects_matching";
            s.node.lacks("projects", expected);
            None
        }
    };
    let patterns = patterns.map_or(Some(Vec::new()), |node| {
        node.list(|pattern| pattern.read(whole_name))
    });
    let ramp = s.or("ramp", 10, number(0..=1000));
    Some(Backend {
        name: name?,
        access: access?,
        worker_source_server: worker_source?,
        worker_repository_server: worker_repository?,
        projects: projects?,
        discovery: Discovery::of(patterns?),
        ramp: ramp?,
    })
}

/// The nodes that say where a backend is read from.
struct Servers<'a> {
    source: Option<Node<'a>>,
    repository: Option<Node<'a>>,
    frontend: Option<Node<'a>>,
}

/// Where a backend is read from, and what that says of its servers' addresses.
struct Found {
    access: Access,
    source: Option<String>,
    repository: Option<String>,
}

fn servers_of(s: &Section<'_>, servers: &Servers<'_>) -> Option<Found> {
    for key in [
        "frontend_user",
        "frontend_password_env",
        "frontend_password_file",
    ] {
        if let Some(node) = s.get(key) {
            node.wrong("credentials without a frontend", "frontend beside it");
        }
    }
    let source = match &servers.source {
        Some(node) => node.read(base_url),
        None => {
            s.node.lacks("source_server", "source_server or frontend");
            None
        }
    };
    let repository = match &servers.repository {
        Some(node) => node.read(base_url).map(Some),
        None => Some(None),
    };
    let (source, repository) = (source?, repository?);
    let access = match &repository {
        Some(repository) => Access::Servers {
            source: source.url,
            repository: repository.url.clone(),
        },
        None => Access::SourceServer { source: source.url },
    };
    Some(Found {
        access,
        source: Some(source.host_port),
        repository: repository.map(|base| base.host_port),
    })
}

fn frontend(
    s: &Section<'_>,
    node: &Node<'_>,
    servers: &Servers<'_>,
    secrets: &dyn SecretSource,
) -> Option<Found> {
    for other in [&servers.source, &servers.repository].into_iter().flatten() {
        let expected = "frontend alone, or source_server and perhaps repository_server";
        other.wrong("a server beside a frontend", expected);
    }
    let url = node.read(frontend_url);
    let user = s.required("frontend_user", user);
    let password = ["frontend_password_env", "frontend_password_file"];
    let password = s.secret(password, PASSWORD, secrets);
    Some(Found {
        access: Access::Frontend {
            url: url?.url,
            user: user?,
            password: password?,
        },
        source: None,
        repository: None,
    })
}

/// What workers are told of a server, where it is not the address under which it is read.
fn told(
    s: &Section<'_>,
    key: &'static str,
    address: Option<String>,
    access_is_whole: bool,
) -> Option<String> {
    if let Some(node) = s.get(key) {
        return node.read(host_port);
    }
    if address.is_none() && access_is_whole {
        let expected =
            "HOST:PORT, as workers reach it: what this backend is read from does not say";
        s.node.lacks(key, expected);
    }
    address
}

/// A password goes along with each request: over the network only in TLS.
fn frontend_url(tree: &Tree) -> Result<Base, String> {
    let base = base_url(tree)?;
    let host = base.host_port.rsplit_once(':').map(|(host, _)| host);
    let host = host.map(|host| host.trim_matches(['[', ']']));
    let here = host.is_some_and(|host| {
        host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    });
    if base.url.starts_with("https://") || here {
        return Ok(base);
    }
    Err("https://, since a password is sent (http:// on this machine only)".to_owned())
}

/// A user's name ends at the first colon in the header that it is sent in (RFC 7617).
fn user(tree: &Tree) -> Result<String, String> {
    let lawful = |c: char| c.is_ascii_graphic() && c != ':';
    text("1 to 100 visible ASCII characters, no ':'", 100, lawful)(tree)
}

/// The name becomes part of the paths that OBS is asked for.
fn project_name(tree: &Tree) -> Result<String, String> {
    let expected = "a project: letters, digits and '_+-.:', no '_' or '.' first";
    let lawful = |c: char| c.is_alphanumeric() || matches!(c, '_' | '+' | '-' | '.' | ':');
    text(expected, 200, lawful)(tree).and_then(|name| match name.starts_with(['_', '.']) {
        true => Err(expected.to_owned()),
        false => Ok(name),
    })
}

/// What a frontend says of workers is old when it comes: the pools that it feeds would be held for
/// ever.
pub(super) fn readings_outlive_their_cache(
    scaling: &Node<'_>,
    max_age: Duration,
    poll: &Poll,
    backends: &BTreeMap<BackendName, Backend>,
) {
    for backend in backends.values() {
        let cached = backend.access.workers_cached_for();
        let least = cached + 2 * poll.workers;
        if !cached.is_zero() && max_age < least {
            let found = format!("{max_age:?}, with a frontend for backend {}", backend.name);
            let expected = format!(
                "at least {least:?}: {cached:?} for which a frontend keeps what it says of workers, and two polls"
            );
            scaling.child("max_age").wrong(found, expected);
        }
    }
}

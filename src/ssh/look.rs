//! Looks at a worker, from the first thing to the last, and changes nothing there.

use super::facts::Expected;
use super::finding::{Fact, Finding, Verdict};
use super::sysconfig::value_of;
use super::{Access, Check, Pinned, RemoteShell, Service, SshError, WorkerSettings};
use jiff::Timestamp;
use std::net::SocketAddr;
use std::time::Instant;

/// What a worker's settings and service should be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExpectedService {
    /// All its settings, where they are known.
    pub settings: Option<WorkerSettings>,
    /// `OBS_WORKER_INSTANCES`.
    pub instances: Option<u32>,
    /// `OBS_WORKER_JOBS`.
    pub jobs: Option<u32>,
}

impl ExpectedService {
    /// Of a worker whose settings are known.
    #[must_use]
    pub fn of(settings: WorkerSettings) -> Self {
        Self {
            instances: Some(settings.instances()),
            jobs: Some(settings.jobs()),
            settings: Some(settings),
        }
    }

    /// Keys of the settings file that are compared, and those that are shown in any case.
    fn pairs(&self) -> Vec<(&'static str, Option<String>)> {
        let known = self.settings.iter().flat_map(WorkerSettings::pairs);
        let known: Vec<_> = known.map(|(key, value)| (key, Some(value))).collect();
        if !known.is_empty() {
            return known;
        }
        let number = |n: Option<u32>| n.map(|n| n.to_string());
        vec![
            ("OBS_WORKER_INSTANCES", number(self.instances)),
            ("OBS_WORKER_JOBS", number(self.jobs)),
        ]
    }
}

/// Everything that is found on a worker. What could not be learnt is among it.
pub async fn look(
    access: &Access,
    host: &Pinned<SocketAddr>,
    expected: &Expected,
    service: &ExpectedService,
    now: Timestamp,
) -> Vec<Finding> {
    let begun = Instant::now();
    match RemoteShell::connect(access, host).await {
        Ok(shell) => look_on(&shell, expected, service, (now, begun)).await,
        Err(why) => vec![Finding::unknown(Check::Session, "ssh", why.to_string())],
    }
}

async fn look_on(
    shell: &RemoteShell,
    expected: &Expected,
    service: &ExpectedService,
    clock: (Timestamp, Instant),
) -> Vec<Finding> {
    let mut findings = machine(shell, expected, clock).await;
    findings.extend(match shell.read_settings().await {
        Ok(text) => config(&text, service),
        Err(why) => vec![unknown(Check::Config, &why)],
    });
    findings.extend(match shell.service().await {
        Ok(found) => judge(&found, service),
        Err(why) => vec![unknown(Check::Service, &why)],
    });
    findings
}

/// What is found of the machine itself. `clock` tells the time: what it was, and when that was.
pub(super) async fn machine(
    shell: &RemoteShell,
    expected: &Expected,
    (now, begun): (Timestamp, Instant),
) -> Vec<Finding> {
    let arch = match shell.arch().await {
        Ok(found) => Finding::same(Check::Machine, "arch", found, expected.arch.as_deref()),
        Err(why) => unknown(Check::Machine, &why),
    };
    if matches!(arch.verdict, Verdict::Wrong | Verdict::Unknown) {
        // another machine than is meant: nothing more is asked of it
        return vec![arch];
    }
    let sent = begun.elapsed();
    let facts = shell.facts().await;
    let received = begun.elapsed();
    let mut findings = vec![arch];
    match facts {
        Ok(facts) => findings.extend(facts.judge(expected, (now + sent, now + received))),
        Err(why) => findings.push(unknown(Check::Machine, &why)),
    }
    findings
}

fn unknown(check: Check, why: &SshError) -> Finding {
    Finding::unknown(Check::Session, check.as_str(), why.to_string())
}

fn config(text: &str, expected: &ExpectedService) -> Vec<Finding> {
    let pairs = expected.pairs().into_iter();
    let finding = |(key, wanted): (&'static str, Option<String>)| {
        let found = value_of(text, key);
        let right = found == wanted;
        let found = found.map_or_else(|| Fact::from("not set"), number_or_text);
        let wanted = wanted.map(number_or_text);
        Finding::judged(Check::Config, key, found, wanted, right)
    };
    pairs.map(finding).collect()
}

fn number_or_text(text: String) -> Fact {
    text.parse().map_or(Fact::Text(text), Fact::Number)
}

fn judge(service: &Service, expected: &ExpectedService) -> Vec<Finding> {
    let unit = Finding::same(Check::Service, "unit", &*service.unit, Some("active"));
    let running = u32::try_from(service.state_dirs().len()).unwrap_or(u32::MAX);
    let instances = Finding::same(Check::Service, "instances", running, expected.instances);
    let jobs = service.processes.iter().map(|p| p.jobs.as_deref());
    let outdated = match &expected.settings {
        Some(settings) => service.outdated(settings),
        None => expected.jobs.and_then(|wanted| {
            let wanted = wanted.to_string();
            let other = jobs.flatten().find(|jobs| **jobs != wanted);
            other.map(|jobs| format!("a process with jobs {jobs}"))
        }),
    };
    let mut findings = vec![unit, instances];
    findings.extend(outdated.map(|found| {
        let expected = Fact::from("as the settings are to be");
        Finding::judged(Check::Config, "processes", found, Some(expected), false)
    }));
    findings
}

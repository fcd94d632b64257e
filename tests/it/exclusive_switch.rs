//! Exclusive mode on two real OBS backends while both build: workers go to one of them, each after its builds, and
//! come back. With `--nocapture` what was seen is told as it happens.

use crate::the_loop::{MINUTE, on_a_farm, options};
use crate::two_backends::shared_workers_are_bought_and_counted_once;
use anyhow::{Context, Result, ensure};
use rig::{Backend, Farm, Options};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const BOTH: &str = "127.0.0.1:5252 127.0.0.1:5253";
const FIRST: &str = "127.0.0.1:5252";

/// What is seen from outside: of each worker whom its settings file names, and what each backend lists of it.
type Seen = BTreeMap<String, String>;

/// Tells what changes, with the time.
struct Film {
    began: Instant,
    seen: Seen,
}

impl Film {
    fn tell(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "[{seconds:6.1} s] {text}").unwrap();
    }

    async fn look(&mut self, farm: &Farm) -> Result<()> {
        let now = seen(farm).await?;
        for (host, what) in &now {
            if self.seen.get(host) != Some(what) {
                self.tell(&format!("{host}: {what}"));
            }
        }
        for host in self.seen.keys().filter(|host| !now.contains_key(*host)) {
            self.tell(&format!("{host}: is gone"));
        }
        self.seen = now;
        Ok(())
    }

    /// Follows what happens until the command has ended, and says what it told of its progress.
    async fn follow(&mut self, farm: &Farm, command: &[&str]) -> Result<String> {
        self.tell(&format!("$ obs-scaler {}", command.join(" ")));
        let mut child = obs_scaler(farm, command)?;
        let progress = child.stderr.take().context("its progress")?;
        let mut progress = BufReader::new(progress).lines();
        let begun = Instant::now();
        let mut said = String::new();
        // until it closes its side: it ends
        loop {
            let line = tokio::time::timeout(Duration::from_millis(300), progress.next_line());
            match line.await {
                Ok(line) => match line? {
                    Some(line) => {
                        self.tell(&format!("obs-scaler: {line}"));
                        said.push_str(&line);
                    }
                    None => break,
                },
                Err(_nothing_new) => self.look(farm).await?,
            }
            ensure!(begun.elapsed() < 5 * MINUTE, "{command:?} does not end");
        }
        let output = child.wait_with_output().await?;
        self.look(farm).await?;
        for line in String::from_utf8(output.stdout)?.lines() {
            self.tell(&format!("obs-scaler: {}", line.trim_end()));
        }
        ensure!(output.status.success(), "{command:?}: {said}");
        Ok(said)
    }
}

fn obs_scaler(farm: &Farm, command: &[&str]) -> Result<Child> {
    let child = Command::new(env!("CARGO_BIN_EXE_obs-scaler"))
        .arg("--config")
        .arg(farm.config())
        .args(command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    child.context("obs-scaler")
}

async fn seen(farm: &Farm) -> Result<Seen> {
    let mut listed = BTreeMap::<String, String>::new();
    for (backend, name) in [(Backend::First, "main"), (Backend::Second, "lts")] {
        for state in ["building", "idle", "away"] {
            let mut counts = BTreeMap::<String, u32>::new();
            for id in farm.obs_at(backend).instances(state).await? {
                let (host, _) = id.split_once(':').context("HOST:NUMBER")?;
                *counts.entry(host.to_owned()).or_default() += 1;
            }
            for (host, count) in counts {
                let list = listed.entry(host).or_default();
                list.push_str(&format!(", {count} {state} at {name}"));
            }
        }
    }
    let servers = farm.repository_servers()?.into_iter();
    let what = |(host, servers): (String, String)| {
        let nowhere = || ", listed nowhere".to_owned();
        let listed = listed.get(&host).cloned().unwrap_or_else(nowhere);
        let serves = match servers.as_str() {
            BOTH => "both",
            FIRST => "main",
            other => other,
        };
        (host, format!("told to serve {serves}{listed}"))
    };
    Ok(servers.map(what).collect())
}

/// The hosts that have some instance at this backend's hand.
async fn at_hand(farm: &Farm, backend: Backend) -> Result<BTreeSet<String>> {
    let mut hosts = BTreeSet::new();
    for state in ["building", "idle", "away"] {
        let listed = farm.obs_at(backend).instances(state).await?;
        let host = |id: &String| id.split(':').next().map(str::to_owned);
        hosts.extend(listed.iter().filter_map(host));
    }
    Ok(hosts)
}

/// An instance that has just delivered a build is in no list for a moment.
async fn all_serve(farm: &mut Farm, backend: Backend, workers: &BTreeSet<String>) -> Result<()> {
    let what = format!("all serve {backend:?}");
    let all = async |farm: &Farm| Ok(at_hand(farm, backend).await? == *workers);
    farm.wait(&what, MINUTE, all).await
}

async fn count(farm: &Farm, backend: Backend, code: &str) -> Result<usize> {
    let packages = farm.obs_at(backend).packages().await?;
    Ok(packages.get(code).copied().unwrap_or_default())
}

#[tokio::test]
async fn workers_go_to_one_backend_after_their_builds_and_come_back_and_each_job_is_built_once() {
    let options = Options {
        two_backends: true,
        reserve: 3,
        ..options()
    };
    on_a_farm(options, switch).await;
}

async fn switch(farm: &mut Farm) -> Result<()> {
    shared_workers_are_bought_and_counted_once(farm).await?;
    let workers: BTreeSet<String> = farm.repository_servers()?.into_keys().collect();
    a_project_is_preferred_and_no_longer(farm).await?;
    let mut film = Film {
        began: Instant::now(),
        seen: Seen::new(),
    };
    film.tell("main builds 3 jobs and lts 3, on three workers that serve both");
    film.look(farm).await?;
    let pool = ["--pool", "x86-64-l1", "--wait"];
    let on = [&["exclusive", "on", "main"], &pool[..]].concat();
    let said = film.follow(farm, &on).await?;
    ensure!(!said.contains("held"), "{said}");
    one_after_the_other(&said)?;
    let told: BTreeSet<String> = farm.repository_servers()?.into_values().collect();
    ensure!(told == [FIRST.to_owned()].into(), "{told:?}");
    all_serve(farm, Backend::First, &workers).await?;

    film.tell("lts gets 2 more jobs, and main 4");
    farm.queue_at(Backend::Second, 2, "x86_64", 3, "late")
        .await?;
    farm.queue_at(Backend::First, 4, "x86_64", 3, "more")
        .await?;
    farm.wait(
        "main has built all of its own",
        MINUTE,
        async |farm: &Farm| Ok(count(farm, Backend::First, "succeeded").await? == 7),
    )
    .await?;
    let waiting = count(farm, Backend::Second, "scheduled").await?;
    film.tell(&format!("main has built its 4; {waiting} jobs wait at lts"));
    ensure!(waiting == 2, "{waiting} jobs wait at lts");

    let said = film.follow(farm, &["exclusive", "off", "--wait"]).await?;
    one_after_the_other(&said)?;
    let told: BTreeSet<String> = farm.repository_servers()?.into_values().collect();
    ensure!(told == [BOTH.to_owned()].into(), "{told:?}");
    farm.wait("lts has built its own", 2 * MINUTE, async |farm: &Farm| {
        Ok(count(farm, Backend::Second, "succeeded").await? == 5)
    })
    .await?;
    for backend in [Backend::First, Backend::Second] {
        all_serve(farm, backend, &workers).await?;
    }
    film.tell("lts has built its 2");
    farm.each_job_was_built_once(Backend::First, 7).await?;
    farm.each_job_was_built_once(Backend::Second, 5).await?;
    let servers = farm.ledger().await?.servers().len();
    ensure!(servers == workers.len(), "{servers} servers were bought");
    film.tell("12 jobs, each built once; no server was bought or given back for it");
    Ok(())
}

/// `prioritise`, with what the backend itself shows after each.
async fn a_project_is_preferred_and_no_longer(farm: &Farm) -> Result<()> {
    const PROJECT: &str = "openEuler:Mainline";
    let prefer = ["prioritise", PROJECT, "--by", "20"];
    let show = ["prioritise", "--backend", "main"];
    let clear = ["prioritise", PROJECT, "--clear"];
    let entry = json!([{"backend": "main", "project": PROJECT, "repository": null, "arch": null, "adjust": 20.0}]);
    for (command, set) in [
        (&prefer[..], &entry),
        (&show, &entry),
        (&clear, &json!([])),
        (&show, &json!([])),
    ] {
        let output = obs_scaler(farm, &[command, &["-o", "json"]].concat())?;
        let output = output.wait_with_output().await?;
        let said: Value =
            serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
        ensure!(said == *set, "{command:?}: {said}");
        let at_obs = farm.obs_at(Backend::First).priorities().await?;
        let preferred = at_obs.contains(&format!("project=\"{PROJECT}\""));
        ensure!(preferred == (set == &entry), "{command:?}: {at_obs}");
    }
    Ok(())
}

/// Where nothing is said of it, one worker at most is on its way.
fn one_after_the_other(said: &str) -> Result<()> {
    let more = ["2 on_the_way", "3 on_the_way"]
        .iter()
        .any(|more| said.contains(more));
    ensure!(said.contains("1 on_the_way") && !more, "{said}");
    Ok(())
}

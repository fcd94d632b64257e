//! What must be true all along, by the simulators' own books.

use super::farm::Farm;
use obs_sim::ecs::{Foreign, Ledger};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A deletion that was decided before a server was pinned may be under way for so long: the program
/// looks at the server, then deletes it, and either call may take its whole time.
const UNDER_WAY: Duration = Duration::from_secs(3);

/// What was done by others, and what follows from it for us.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Servers that somebody else bought: name and tags.
    foreign: BTreeMap<String, (String, Vec<String>)>,
    /// Servers that are pinned, and since when.
    pinned: BTreeMap<String, Instant>,
    /// Servers that somebody else deleted.
    taken: BTreeSet<String>,
    /// Every server that the program ever had in hand.
    pub(super) known: BTreeSet<String>,
}

impl Judge {
    pub(super) fn bought_by_others(&mut self, id: String, foreign: Foreign) {
        self.foreign.insert(id, (foreign.name, foreign.tags));
    }

    pub(super) fn foreign(&self) -> usize {
        self.foreign.len()
    }

    pub(super) fn pinned(&mut self, id: &str, pinned: bool) {
        // one that somebody else takes away may go after that: the cloud takes 5 minutes to reclaim one
        if pinned && !self.taken.contains(id) {
            self.pinned.entry(id.to_owned()).or_insert(Instant::now());
        } else {
            self.pinned.remove(id);
        }
    }

    /// Somebody else deletes it, pinned or not.
    pub(super) fn taken(&mut self, id: &str) {
        self.pinned.remove(id);
        self.taken.insert(id.to_owned());
    }

    pub(super) fn is_taken(&self, id: &str) -> bool {
        self.taken.contains(id)
    }

    /// What is broken now; nothing where all is well.
    pub(super) async fn look(&mut self, farm: &Farm) -> Result<(), String> {
        let ledger = farm.cloud.ledger();
        ceiling(farm, &ledger)?;
        tokens(&ledger)?;
        self.foreign_is_untouched(&ledger)?;
        self.pinned_is_there(&ledger)?;
        self.no_build_is_killed(&ledger, &farm.obs_state().await)
    }

    fn foreign_is_untouched(&self, ledger: &Ledger) -> Result<(), String> {
        for (id, (name, tags)) in &self.foreign {
            let found = ledger.servers.iter().find(|server| server.id == *id);
            let found = found.ok_or_else(|| format!("foreign {name} is not in the books"))?;
            if found.deleted_at.is_some() || found.status != "ACTIVE" || found.tags != *tags {
                return Err(format!("foreign {name} was touched: {found:?}"));
            }
            if found.volumes.iter().any(|disk| disk.deleted_at.is_some()) {
                return Err(format!("a disk of foreign {name} was taken: {found:?}"));
            }
        }
        Ok(())
    }

    /// Where a deletion was under way already, the pin came too late, and is forgotten.
    fn pinned_is_there(&mut self, ledger: &Ledger) -> Result<(), String> {
        let gone = ledger.servers.iter().filter(|s| s.deleted_at.is_some());
        for server in gone {
            match self.pinned.remove(&server.id) {
                Some(since) if since.elapsed() > UNDER_WAY => {
                    return Err(format!("pinned {} was deleted", server.name));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Jobs that lost their worker: only on hosts that somebody else took away.
    fn no_build_is_killed(&self, ledger: &Ledger, obs: &Value) -> Result<(), String> {
        let Some(haunted) = obs["haunted"].as_object() else {
            return Err(format!("the simulated OBS does not tell of ghosts: {obs}"));
        };
        let taken = ledger.servers.iter().filter(|s| self.taken.contains(&s.id));
        let taken: BTreeSet<&str> = taken.map(|s| s.name.as_str()).collect();
        match haunted.keys().find(|host| !taken.contains(host.as_str())) {
            Some(host) => Err(format!("a build on {host} was killed by our doing")),
            None => Ok(()),
        }
    }

    /// At the end: nothing of ours is left, and nothing was there that the program never knew.
    pub(super) fn end(&self, ledger: &Ledger) -> Result<(), String> {
        let ours = ledger.servers.iter().filter(|server| !server.foreign);
        for server in ours {
            if !self.known.contains(&server.id) {
                return Err(format!("{} was never known: {server:?}", server.name));
            }
            if server.deleted_at.is_none() {
                return Err(format!("{} is still there: {server:?}", server.name));
            }
        }
        let ours = ledger.servers.iter().filter(|server| !server.foreign);
        let mut disks = ours.flat_map(|server| &server.volumes);
        if let Some(disk) = disks.find(|disk| disk.deleted_at.is_none()) {
            return Err(format!("a disk bills on without its server: {disk:?}"));
        }
        let mut leaked = ledger.leaked_volumes.iter();
        if let Some(disk) = leaked.find(|disk| disk.deleted_at.is_none()) {
            return Err(format!("a disk was left behind: {disk:?}"));
        }
        match ledger.left_ports.first() {
            Some(port) => Err(format!("a port was left behind: {port}")),
            None => Ok(()),
        }
    }
}

fn ceiling(farm: &Farm, ledger: &Ledger) -> Result<(), String> {
    let (most, ceiling) = (
        ledger.totals.vcpu_committed_max,
        farm.config.policy.ceiling.0,
    );
    if most > ceiling {
        return Err(format!("{most} vCPU were bought, where {ceiling} may be"));
    }
    Ok(())
}

/// The same call again has no effect: each token has bought once.
fn tokens(ledger: &Ledger) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for call in &ledger.create_calls {
        let token = call.client_token.as_deref();
        let token = token.ok_or_else(|| format!("bought without a token: {call:?}"))?;
        if !seen.insert(token) {
            return Err(format!("bought twice under one token: {call:?}"));
        }
    }
    Ok(())
}

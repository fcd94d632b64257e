//! What was bought and what it came to: the truth that tests hold a client's claims against.

use jiff::Timestamp;
use serde::Serialize;

use super::server::{Server, Volume, whole_seconds};
use super::world::World;

/// Everything that was ever bought.
#[derive(Debug, Clone, Serialize)]
pub struct Ledger {
    /// The sums.
    pub totals: Totals,
    /// Every server that ever was, in the order in which they were accepted.
    pub servers: Vec<ServerEntry>,
    /// Every create call that took effect.
    pub create_calls: Vec<CreateCall>,
    /// Ids that were handed out for servers that never came to be.
    pub never_built: Vec<String>,
}

/// The sums of a ledger; foreign servers do not count.
#[derive(Debug, Clone, Serialize)]
pub struct Totals {
    /// Servers that ever were.
    pub servers_created: usize,
    /// Servers that are there now.
    pub alive_now: usize,
    /// vCPU that are there now.
    pub vcpu_alive_now: u32,
    /// The most vCPU there at any instant.
    pub vcpu_alive_max: u32,
    /// The most vCPU at any instant that was there or accepted and still to come.
    pub vcpu_committed_max: u32,
    /// Server seconds billed, over all servers.
    pub billed_seconds: i64,
    /// vCPU seconds billed, over all servers.
    pub billed_vcpu_seconds: i64,
    /// Volumes that bill on although their server is gone.
    pub orphan_volumes: usize,
}

/// One server.
#[derive(Debug, Clone, Serialize)]
pub struct ServerEntry {
    /// Its UUID.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its flavor.
    pub flavor: String,
    /// vCPU of its flavor.
    pub vcpus: u32,
    /// `aarch64` or `x86_64`.
    pub arch: String,
    /// `k=v` each.
    pub tags: Vec<String>,
    /// Its address.
    pub ip: Option<String>,
    /// As the API shows it; DELETED once it is gone.
    pub status: String,
    /// Whether it was put there through the control route.
    pub foreign: bool,
    /// Since when it exists and bills.
    pub created_at: Timestamp,
    /// Since when it is ACTIVE.
    pub launched_at: Option<Timestamp>,
    /// When it was gone, and billed no more.
    pub deleted_at: Option<Timestamp>,
    /// From creation to gone, or to now.
    pub billed_seconds: i64,
    /// Its disks, kept ones included.
    pub volumes: Vec<VolumeEntry>,
}

/// One disk.
#[derive(Debug, Clone, Serialize)]
pub struct VolumeEntry {
    /// Its UUID.
    pub id: String,
    /// `root` or `data`.
    pub kind: String,
    /// Its size in GB.
    pub size_gb: u32,
    /// When it was deleted; none while it bills.
    pub deleted_at: Option<Timestamp>,
    /// From creation to deletion, or to now.
    pub billed_seconds: i64,
}

/// One create call that took effect.
#[derive(Debug, Clone, Serialize)]
pub struct CreateCall {
    /// When.
    pub at: Timestamp,
    /// Its `X-Client-Token`.
    pub client_token: Option<String>,
    /// The name that it asked for.
    pub name: String,
    /// The flavor that it asked for.
    pub flavor: String,
    /// How many servers it asked for.
    pub count: u32,
    /// The job that it was answered.
    pub job_id: String,
    /// The ids that it was answered.
    pub server_ids: Vec<String>,
}

impl World {
    /// The ledger as of `now`.
    pub(super) fn ledger(&self, now: Timestamp) -> Ledger {
        let mut all: Vec<&Server> = self.servers.values().collect();
        all.sort_by_key(|server| server.seq);
        let (built, unbuilt): (Vec<&Server>, Vec<&Server>) = all
            .into_iter()
            .partition(|server| server.created_at.is_some());
        let servers = built
            .iter()
            .filter_map(|server| entry(server, now))
            .collect();
        let failed = unbuilt.into_iter().filter(|server| !server.is_committed());
        Ledger {
            totals: self.totals(&built, now),
            servers,
            create_calls: self.calls.clone(),
            never_built: failed.map(|server| server.id.clone()).collect(),
        }
    }

    fn totals(&self, built: &[&Server], now: Timestamp) -> Totals {
        let ours = || built.iter().filter(|server| !server.foreign);
        let alive = || ours().filter(|server| server.gone_at.is_none());
        let orphans = ours()
            .filter(|server| server.gone_at.is_some())
            .flat_map(|s| &s.volumes);
        Totals {
            servers_created: ours().count(),
            alive_now: alive().count(),
            vcpu_alive_now: alive().map(|server| server.flavor.vcpus).sum(),
            vcpu_alive_max: self.peaks.alive,
            vcpu_committed_max: self.peaks.committed,
            billed_seconds: ours().map(|server| server.billed_seconds(now)).sum(),
            billed_vcpu_seconds: ours()
                .map(|server| server.billed_seconds(now) * i64::from(server.flavor.vcpus))
                .sum(),
            orphan_volumes: orphans.filter(|volume| volume.deleted_at.is_none()).count(),
        }
    }
}

fn entry(server: &Server, now: Timestamp) -> Option<ServerEntry> {
    Some(ServerEntry {
        id: server.id.clone(),
        name: server.name.clone(),
        flavor: server.flavor.id.to_owned(),
        vcpus: server.flavor.vcpus,
        arch: server.flavor.arch().machine().to_owned(),
        tags: server.tag_texts(),
        ip: server.ip.map(|ip| ip.to_string()),
        status: server.status().to_owned(),
        foreign: server.foreign,
        created_at: server.created_at?,
        launched_at: server.launched_at,
        deleted_at: server.gone_at,
        billed_seconds: server.billed_seconds(now),
        volumes: server
            .volumes
            .iter()
            .map(|volume| disk(volume, now))
            .collect(),
    })
}

fn disk(volume: &Volume, now: Timestamp) -> VolumeEntry {
    let end = volume.deleted_at.unwrap_or(now);
    VolumeEntry {
        id: volume.id.clone(),
        kind: volume.kind.to_owned(),
        size_gb: volume.size_gb,
        deleted_at: volume.deleted_at,
        billed_seconds: whole_seconds(volume.created_at, end),
    }
}

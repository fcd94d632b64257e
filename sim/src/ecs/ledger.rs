//! What was bought and what it came to: the truth that tests hold a client's claims against.

use jiff::Timestamp;
use serde::Serialize;

use super::server::{Server, Volume};
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
    /// Volumes that a failed rollback left.
    pub leaked_volumes: Vec<VolumeEntry>,
    /// Ports that a failed rollback left, and that hold an address.
    pub left_ports: Vec<String>,
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
    /// Volumes that bill on although their server is gone, or never was.
    pub orphan_volumes: usize,
    /// What everything came to, volumes included, in millionths of the currency.
    pub cost_micro: i64,
    /// The same to the cent. Priced with the table that is in force now.
    pub cost: f64,
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
    /// Its zone.
    pub zone: String,
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
    /// When it was gone, and billed no more: the end of its deletion's sub job. The list may have it longer.
    pub deleted_at: Option<Timestamp>,
    /// From creation to gone, or to now, without the time that it was stopped for free.
    pub billed_seconds: i64,
    /// What they came to, without its disks, in millionths of the currency.
    pub cost_micro: i64,
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
    /// Such as `SSD`.
    pub volume_type: String,
    /// Its size in GB.
    pub size_gb: u32,
    /// Since when it bills.
    pub created_at: Timestamp,
    /// When it was deleted; none while it bills.
    pub deleted_at: Option<Timestamp>,
    /// From creation to deletion, or to now.
    pub billed_seconds: i64,
    /// What they came to, in millionths of the currency.
    pub cost_micro: i64,
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

/// Money, exactly: millionths of the currency times seconds of an hour.
#[derive(Debug, Clone, Copy, Default)]
struct Bill(i128);

impl Bill {
    fn of(micro_per_hour: i64, seconds: i64) -> Self {
        Self(i128::from(micro_per_hour) * i128::from(seconds))
    }

    /// To the millionth, half up.
    fn micro(self) -> i64 {
        i64::try_from((self.0 + 1800).div_euclid(3600)).unwrap_or(i64::MAX)
    }

    /// To the cent, half up.
    fn cents(self) -> i64 {
        let part = 3600 * 10_000;
        i64::try_from((self.0 + part / 2).div_euclid(part)).unwrap_or(i64::MAX)
    }
}

impl std::iter::Sum for Bill {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        Self(all.map(|bill| bill.0).sum())
    }
}

impl World {
    /// The ledger as of `now`.
    pub(super) fn ledger(&self, now: Timestamp) -> Ledger {
        let mut all: Vec<&Server> = self.servers.values().collect();
        all.sort_by_key(|server| server.seq);
        let (built, unbuilt): (Vec<&Server>, Vec<&Server>) = all
            .into_iter()
            .partition(|server| server.created_at.is_some());
        let entry = |server: &&Server| self.entry(server, now);
        let leaks = unbuilt.iter().flat_map(|server| &server.volumes);
        let failed = unbuilt.iter().filter(|server| !server.is_committed());
        let left = unbuilt
            .iter()
            .filter(|s| !s.is_committed() && s.holds_port());
        Ledger {
            totals: self.totals(&built, &unbuilt, now),
            servers: built.iter().filter_map(entry).collect(),
            create_calls: self.calls.clone(),
            leaked_volumes: leaks.map(|volume| self.disk(volume, now)).collect(),
            left_ports: left.map(|server| server.port_id.clone()).collect(),
            never_built: failed.map(|server| server.id.clone()).collect(),
        }
    }

    fn totals(&self, built: &[&Server], unbuilt: &[&Server], now: Timestamp) -> Totals {
        let ours = || built.iter().filter(|server| !server.foreign);
        let alive = || ours().filter(|server| server.gone_at.is_none());
        let gone = ours().filter(|server| server.gone_at.is_some());
        let orphans = gone.chain(unbuilt).flat_map(|s| &s.volumes);
        let bill: Bill = ours().chain(unbuilt).map(|s| self.whole_bill(s, now)).sum();
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
            cost_micro: bill.micro(),
            cost: currency(bill),
        }
    }

    /// A server with its volumes.
    fn whole_bill(&self, server: &Server, now: Timestamp) -> Bill {
        let disks = server.volumes.iter().map(|v| self.disk_bill(v, now));
        disks.chain([self.server_bill(server, now)]).sum()
    }

    fn server_bill(&self, server: &Server, now: Timestamp) -> Bill {
        let price = self.prices.server(server.flavor.id);
        Bill::of(price, server.billed_seconds(now))
    }

    fn disk_bill(&self, volume: &Volume, now: Timestamp) -> Bill {
        let price = self.prices.volume(&volume.disk_type, volume.size_gb);
        Bill::of(price, volume.billed_seconds(now))
    }

    fn entry(&self, server: &Server, now: Timestamp) -> Option<ServerEntry> {
        let disks = server.volumes.iter().map(|volume| self.disk(volume, now));
        Some(ServerEntry {
            id: server.id.clone(),
            name: server.name.clone(),
            flavor: server.flavor.id.to_owned(),
            zone: server.zone.to_owned(),
            vcpus: server.flavor.vcpus,
            arch: server.flavor.arch().machine().to_owned(),
            tags: server.tag_texts(),
            ip: server.ip.map(|ip| ip.to_string()),
            status: server.status_of_the_bill().to_owned(),
            foreign: server.foreign,
            created_at: server.created_at?,
            launched_at: server.launched_at,
            deleted_at: server.gone_at,
            billed_seconds: server.billed_seconds(now),
            cost_micro: self.server_bill(server, now).micro(),
            volumes: disks.collect(),
        })
    }

    fn disk(&self, volume: &Volume, now: Timestamp) -> VolumeEntry {
        VolumeEntry {
            id: volume.id.clone(),
            kind: volume.kind.to_owned(),
            volume_type: volume.disk_type.clone(),
            size_gb: volume.size_gb,
            created_at: volume.created_at,
            deleted_at: volume.deleted_at,
            billed_seconds: volume.billed_seconds(now),
            cost_micro: self.disk_bill(volume, now).micro(),
        }
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "cents of any bill are far below the exact integers of a float"
)]
fn currency(bill: Bill) -> f64 {
    bill.cents() as f64 / 100.0
}

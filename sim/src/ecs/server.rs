//! One server: what it is, where it stands, and how the cloud shows it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::faults::FailSub;
use super::flavors::Flavor;
use super::job::{Cause, SubRef};
use super::order::{Order, Tag};

/// Where a server stands. Between the answer to the create call and `Building` it has an id and
/// nothing else: a look at it is answered 404 (DOC24 创建云服务器（按需）).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Accepted,
    Building,
    Active,
    Stopped,
    Error,
    /// Never came to be.
    Failed,
    /// Was there, and is not any more.
    Gone,
}

/// A deletion under way.
#[derive(Debug, Default)]
pub(super) struct Deletion {
    /// Every call that asked for it has its own job.
    pub(super) subs: Vec<SubRef>,
    pub(super) with_volumes: bool,
    /// The time that it takes is over.
    pub(super) due: bool,
    /// The jobs have ended well, and the list still has the server for a while.
    pub(super) finished: bool,
}

/// The machine behind a server, where `--machines` is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    None,
    Booting,
    /// Started, be it with success or not: it has to be destroyed.
    Up,
    Destroying,
}

/// A disk and its life.
#[derive(Debug, Clone)]
pub(super) struct Volume {
    pub(super) id: String,
    /// `root` or `data`.
    pub(super) kind: &'static str,
    /// Such as `SSD`.
    pub(super) disk_type: String,
    pub(super) size_gb: u32,
    pub(super) goes_with_server: bool,
    pub(super) created_at: Timestamp,
    pub(super) deleted_at: Option<Timestamp>,
}

impl Volume {
    /// Seconds billed until now, counted as those of servers are.
    pub(super) fn billed_seconds(&self, now: Timestamp) -> i64 {
        whole_seconds(self.created_at, self.deleted_at.unwrap_or(now))
    }
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) id: String,
    /// Rises with every server; the list shows the newest first.
    pub(super) seq: u64,
    pub(super) name: String,
    pub(super) order: Arc<Order>,
    pub(super) flavor: &'static Flavor,
    pub(super) zone: &'static str,
    pub(super) tags: Vec<Tag>,
    pub(super) foreign: bool,
    pub(super) phase: Phase,
    pub(super) task: Option<&'static str>,
    pub(super) ip: Option<Ipv4Addr>,
    pub(super) port_id: String,
    pub(super) addressed: bool,
    pub(super) launch_index: usize,
    pub(super) reservation: String,
    pub(super) created_at: Option<Timestamp>,
    pub(super) launched_at: Option<Timestamp>,
    pub(super) updated_at: Timestamp,
    pub(super) gone_at: Option<Timestamp>,
    pub(super) stopped_since: Option<Timestamp>,
    /// Seconds stopped on a flavor that costs nothing then.
    pub(super) free_seconds: i64,
    pub(super) volumes: Vec<Volume>,
    pub(super) fault: Option<(Cause, Timestamp)>,
    /// How it is to fail in its build (fault injection).
    pub(super) doom: Option<FailSub>,
    /// When the cloud is to delete it by itself.
    pub(super) ends_at: Option<Timestamp>,
    pub(super) locked: bool,
    /// Because of arrears.
    pub(super) frozen: bool,
    /// The cloud takes it back, and has said so.
    pub(super) reclaimed: bool,
    /// A spot server that was taken back in its first hour costs nothing.
    pub(super) unbilled: bool,
    pub(super) machine: Machine,
    pub(super) create_sub: Option<SubRef>,
    pub(super) deletion: Option<Deletion>,
}

impl Server {
    /// Whether list and show know it.
    pub(super) fn is_visible(&self) -> bool {
        self.created_at.is_some() && !matches!(self.phase, Phase::Failed | Phase::Gone)
    }

    /// Whether it is still to come or there: what an order has committed to.
    pub(super) fn is_committed(&self) -> bool {
        !matches!(self.phase, Phase::Failed | Phase::Gone)
    }

    /// Whether a delete, power or tag call finds it.
    pub(super) fn can_be_addressed(&self) -> bool {
        self.is_visible() && !self.deletion.as_ref().is_some_and(|d| d.finished)
    }

    /// Whether its port is there, and its address in use.
    pub(super) fn holds_port(&self) -> bool {
        self.ip.is_some() && self.phase != Phase::Gone
    }

    /// Whether its volumes are attached to it.
    pub(super) fn holds_volumes(&self) -> bool {
        self.is_visible() && self.gone_at.is_none()
    }

    /// 2 is spot, 0 pay-per-use (DOC24 竞价计费型实例).
    pub(super) fn charging_mode(&self) -> &'static str {
        if self.order.is_spot() { "2" } else { "0" }
    }

    /// Seconds billed until now: from creation to gone (huawei-ecs reference §10). Counted between whole
    /// seconds of the clock, so that who knows `created` and the deletion's `end_time` gets the same.
    pub(super) fn billed_seconds(&self, now: Timestamp) -> i64 {
        let Some(created) = self.created_at.filter(|_| !self.unbilled) else {
            return 0;
        };
        let end = self.gone_at.unwrap_or(now);
        let stopped = self
            .stopped_since
            .filter(|_| !self.flavor.bills_when_stopped());
        let idle = stopped.map_or(0, |since| whole_seconds(since, end));
        whole_seconds(created, end) - self.free_seconds - idle
    }

    /// DOC24 云服务器状态: a server under deletion still reads ACTIVE.
    pub(super) fn status(&self) -> &'static str {
        match self.phase {
            Phase::Accepted | Phase::Building => "BUILD",
            Phase::Active => match self.task {
                Some("rebooting") => "REBOOT",
                Some("rebooting_hard") => "HARD_REBOOT",
                _ => "ACTIVE",
            },
            Phase::Stopped => "SHUTOFF",
            Phase::Error => "ERROR",
            Phase::Failed | Phase::Gone => "DELETED",
        }
    }

    /// DELETED from the moment that it bills no more.
    pub(super) fn status_of_the_bill(&self) -> &'static str {
        if self.gone_at.is_some() {
            "DELETED"
        } else {
            self.status()
        }
    }

    fn vm_state(&self) -> (&'static str, u8) {
        match self.phase {
            Phase::Accepted | Phase::Building => ("building", 0),
            Phase::Active => ("active", 1),
            Phase::Stopped => ("stopped", 4),
            Phase::Error => ("error", 0),
            Phase::Failed | Phase::Gone => ("deleted", 0),
        }
    }

    pub(super) fn tag_texts(&self) -> Vec<String> {
        self.tags.iter().map(Tag::text).collect()
    }

    /// The server object of list and show; which values are texts and which numbers follows
    /// huawei-ecs reference §4.
    pub(super) fn view(&self, project: &str) -> Value {
        let mut map = Map::new();
        for part in [
            self.identity(project),
            self.state(),
            self.hardware(),
            self.extras(),
        ] {
            if let Value::Object(fields) = part {
                map.extend(fields);
            }
        }
        Value::Object(map)
    }

    fn identity(&self, project: &str) -> Value {
        json!({
            "id": self.id, "name": self.name, "tenant_id": project, "user_id": "0".repeat(32),
            "description": self.order.description, "key_name": self.order.key_name,
            "tags": self.tag_texts(), "metadata": self.metadata(),
            "enterprise_project_id": self.order.enterprise_project(),
            "sys_tags": [{"key": "_sys_enterprise_project_id",
                "value": self.order.enterprise_project()}],
            "security_groups": self.security_groups(),
            "OS-EXT-SRV-ATTR:hostname": self.name.to_lowercase().replace('_', "-"),
            "OS-EXT-SRV-ATTR:instance_name": format!("instance-{:08x}", self.seq),
            "OS-EXT-SRV-ATTR:launch_index": self.launch_index,
            "OS-EXT-SRV-ATTR:reservation_id": self.reservation,
            "OS-EXT-SRV-ATTR:user_data": self.order.user_data,
        })
    }

    fn state(&self) -> Value {
        let (vm_state, power_state) = self.vm_state();
        let second = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let launched = self
            .launched_at
            .map(|at| at.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string());
        json!({
            "status": self.status(),
            "OS-EXT-STS:vm_state": vm_state, "OS-EXT-STS:task_state": self.task,
            "OS-EXT-STS:power_state": power_state,
            "created": self.created_at.map(second), "updated": second(self.updated_at),
            "OS-SRV-USG:launched_at": launched, "OS-SRV-USG:terminated_at": null,
            "progress": 0, "locked": self.locked, "fault": self.fault_view(),
            "auto_terminate_time": self.ends_at.map(second).unwrap_or_default(),
            "host_status": if power_state == 1 { "UP" } else { "" },
        })
    }

    fn hardware(&self) -> Value {
        json!({
            "OS-EXT-AZ:availability_zone": self.zone,
            "addresses": self.addresses(),
            "flavor": {
                "id": self.flavor.id, "name": self.flavor.id,
                "vcpus": self.flavor.vcpus.to_string(), "ram": self.flavor.ram_mb.to_string(),
                "disk": "0", "gpus": [], "asic_accelerators": [],
            },
            "image": {"id": self.order.image},
            "os-extended-volumes:volumes_attached": self.attached(),
            "OS-EXT-SRV-ATTR:root_device_name": "/dev/vda",
            "hostId": "0".repeat(56),
        })
    }

    fn extras(&self) -> Value {
        json!({
            "os:scheduler_hints": {}, "config_drive": "", "accessIPv4": "", "accessIPv6": "",
            "OS-DCF:diskConfig": "MANUAL",
        })
    }

    pub(super) fn metadata(&self) -> Value {
        let mut map = self.order.metadata.clone();
        let arch = self.flavor.arch().machine();
        let code = format!("{}.linux", self.flavor.id);
        for (key, value) in [
            ("vpc_id", self.order.vpcid.as_str()),
            ("charging_mode", self.charging_mode()),
            ("os_type", "Linux"),
            ("os_bit", "64"),
            ("image_name", &format!("build-worker-{arch}")),
            ("metering.image_id", &self.order.image),
            ("metering.imagetype", "private"),
            ("metering.resourcespeccode", &code),
            ("metering.resourcetype", "1"),
        ] {
            map.insert(key.to_owned(), json!(value));
        }
        if self.frozen {
            map.insert("EcmResStatus".to_owned(), json!("freeze"));
        }
        Value::Object(map)
    }

    fn security_groups(&self) -> Vec<Value> {
        let groups = self.order.security_groups.iter();
        groups
            .map(|group| json!({"name": "sg", "id": group.id}))
            .collect()
    }

    /// Keyed by the VPC's id, and empty early in BUILD.
    fn addresses(&self) -> Value {
        let (true, Some(ip)) = (self.addressed, self.ip) else {
            return json!({});
        };
        let [_, b, c, d] = ip.octets();
        let fixed = json!({
            "version": "4", "addr": ip.to_string(), "OS-EXT-IPS:type": "fixed",
            "OS-EXT-IPS-MAC:mac_addr": format!("fa:16:3e:{b:02x}:{c:02x}:{d:02x}"),
            "OS-EXT-IPS:port_id": self.port_id, "primary": true,
        });
        json!({self.order.vpcid.clone(): [fixed]})
    }

    fn attached(&self) -> Vec<Value> {
        let view = |(device, volume): (char, &Volume)| {
            json!({
                "id": volume.id, "device": format!("/dev/vd{device}"),
                "bootIndex": (volume.kind == "root").then_some("0"),
                "delete_on_termination": volume.goes_with_server.to_string(),
            })
        };
        ('a'..='z').zip(&self.volumes).map(view).collect()
    }

    fn fault_view(&self) -> Value {
        self.fault.as_ref().map_or(Value::Null, |(cause, at)| {
            json!({"code": 500, "message": cause.reason, "created": at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()})
        })
    }
}

/// From the second that one moment is in to the second that the other is in.
pub(super) fn whole_seconds(from: Timestamp, to: Timestamp) -> i64 {
    to.as_second() - from.as_second()
}

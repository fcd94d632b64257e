//! A small catalogue of server specifications.

use serde_json::{Value, json};

use super::faults::Faults;

/// The zones of this region, in the order in which the cloud fills them.
pub(super) const ZONES: [&str; 2] = ["cn-north-4a", "cn-north-4b"];

/// A server specification.
#[derive(Debug, PartialEq)]
pub(super) struct Flavor {
    pub(super) id: &'static str,
    pub(super) vcpus: u32,
    pub(super) ram_mb: u32,
    performance: &'static str,
    generation: &'static str,
    /// Its local NVMe disks (`quota:nvme_ssd`): card, kind, how many, GB each, safe format.
    nvme: Option<&'static str>,
}

/// What `ecs:instance_architecture` says: set on Kunpeng only (huawei-ecs reference §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arch {
    Aarch64,
    X86,
}

impl Arch {
    /// As `uname -m` has it.
    pub(super) fn machine(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::X86 => "x86_64",
        }
    }
}

/// vCPU and RAM as huawei-ecs reference §10 has them (ki1.16xlarge.4 really is 64/228 there). How many local disks
/// Ki1 has is not in the reference: the form of the text is (§4), its numbers are of our making.
static CATALOGUE: [Flavor; 5] = [
    flavor("ki1.8xlarge.4", 32, 128, "kunpeng_highio", "ki1").with_nvme("ssd:large:4:3200:0"),
    flavor("ki1.16xlarge.4", 64, 228, "kunpeng_highio", "ki1").with_nvme("ssd:large:8:3200:0"),
    flavor("c7.8xlarge.4", 32, 128, "computingv3", "c7"),
    flavor("c7.16xlarge.4", 64, 256, "computingv3", "c7"),
    flavor("c7.32xlarge.4", 128, 512, "computingv3", "c7"),
];

const fn flavor(
    id: &'static str,
    vcpus: u32,
    ram_gib: u32,
    performance: &'static str,
    generation: &'static str,
) -> Flavor {
    Flavor {
        id,
        vcpus,
        ram_mb: ram_gib * 1024,
        performance,
        generation,
        nvme: None,
    }
}

pub(super) fn all() -> impl Iterator<Item = &'static Flavor> {
    CATALOGUE.iter()
}

pub(super) fn find(id: &str) -> Option<&'static Flavor> {
    all().find(|f| f.id == id)
}

impl Flavor {
    const fn with_nvme(self, nvme: &'static str) -> Self {
        Self {
            nvme: Some(nvme),
            ..self
        }
    }

    pub(super) fn arch(&self) -> Arch {
        if self.performance.starts_with("kunpeng") {
            Arch::Aarch64
        } else {
            Arch::X86
        }
    }

    pub(super) fn has_local_disk(&self) -> bool {
        self.nvme.is_some()
    }

    /// Whether it has local disks, so that it bills on while stopped (WEB ecs_billing_11106).
    pub(super) fn bills_when_stopped(&self) -> bool {
        self.has_local_disk()
    }

    /// One entry of `GET …/cloudservers/flavors` (huawei-ecs reference §4): `vcpus` is a string
    /// here and `ram` a number.
    pub(super) fn listed(&self, faults: &Faults) -> Value {
        json!({
            "id": self.id, "name": self.id, "vcpus": self.vcpus.to_string(), "ram": self.ram_mb,
            "disk": "0", "swap": "", "links": [], "OS-FLV-EXT-DATA:ephemeral": 0,
            "rxtx_factor": 1.0, "rxtx_quota": null, "rxtx_cap": null,
            "OS-FLV-DISABLED:disabled": false, "os-flavor-access:is_public": true,
            "attachableQuantity":
                {"free_scsi": 59, "free_blk": 23, "free_disk": 59, "free_nic": 11},
            "os_extra_specs": self.extra_specs(faults),
        })
    }

    fn extra_specs(&self, faults: &Faults) -> Value {
        let zones: Vec<String> = ZONES
            .iter()
            .map(|zone| format!("{zone}({})", faults.zone_word(self.id, zone)))
            .collect();
        let mut specs = json!({
            "ecs:performancetype": self.performance,
            "ecs:generation": self.generation,
            "ecs:virtualization_env_types": "CloudCompute",
            "cond:operation:az": zones.join(", "),
            "cond:operation:status": "normal",
            "cond:operation:charge:stop":
                if self.bills_when_stopped() { "charge" } else { "free" },
        });
        let only_of_some = [
            (
                "ecs:instance_architecture",
                (self.arch() == Arch::Aarch64).then_some("arm64"),
            ),
            ("quota:nvme_ssd", self.nvme),
        ];
        for (name, value) in only_of_some {
            if let (Some(value), Some(map)) = (value, specs.as_object_mut()) {
                map.insert(name.to_owned(), json!(value));
            }
        }
        specs
    }
}

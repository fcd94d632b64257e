use super::families;

const SOURCE: &str =
    "the worker's kernel, by node_exporter, `/proc` over ssh, or Prometheus: `hosts.resource_use`";
const ABSENT: &str = "where `hosts.resource_use` is none, the worker does not tell it, or was not read for `scaling.max_age`";
const ABSENT_CPU: &str = "where `hosts.resource_use` is none, the worker does not tell it, was not read for \
     `scaling.max_age`, or was booted since the reading before";

families! {
    OBS_WORKER_CPU_USAGE_RATIO: Gauge "obs_worker_cpu_usage_ratio" ["worker"] {
        help: "Share of the worker's CPU time that was busy over the last poll interval, 0 to 1",
        source: SOURCE,
        absent: ABSENT_CPU,
    }
    OBS_WORKER_MEMORY_USAGE_RATIO: Gauge "obs_worker_memory_usage_ratio" ["worker"] {
        help: "Share of the worker's memory that is not available, 0 to 1",
        source: SOURCE,
        absent: ABSENT,
    }
    OBS_WORKER_DISK_OPERATIONS_TOTAL: Counter "obs_worker_disk_operations_total" ["worker", "direction"] {
        help: "Operations that the worker's disks have completed since it was booted",
        source: SOURCE,
        absent: ABSENT,
    }
    OBS_WORKER_DISK_BYTES_TOTAL: Counter "obs_worker_disk_bytes_total" ["worker", "direction"] {
        help: "Bytes to and from the worker's disks since it was booted",
        source: SOURCE,
        absent: ABSENT,
    }
    OBS_WORKER_NETWORK_BYTES_TOTAL: Counter "obs_worker_network_bytes_total" ["worker", "direction"] {
        help: "Bytes over the worker's network interfaces since it was booted, without loopback",
        source: SOURCE,
        absent: ABSENT,
    }
}

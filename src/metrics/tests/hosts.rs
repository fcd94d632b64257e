//! The workers' resource use.

use super::*;
use crate::model::{HostCounters, HostUse, InOut};

fn used(read: i64, cpu: Option<f64>) -> HostUse {
    let pair = |inward, outward| Some(InOut { inward, outward });
    HostUse {
        at: at(read),
        counters: HostCounters {
            cpu: None,
            memory_usage_ratio: Some(0.5),
            disk_operations: pair(10.0, 20.0),
            disk_bytes: pair(4096.0, 8192.0),
            network_bytes: cpu.and(pair(1.0, 2.0)),
        },
        cpu_usage_ratio: cpu,
        past: Arc::default(),
    }
}

/// Worker `w1`, just read.
pub(super) fn read() -> Arc<Observed<BTreeMap<HostName, HostUse>>> {
    known(&[("w1", used(NOW, Some(0.25)))])
}

fn known(hosts: &[(&str, HostUse)]) -> Arc<Observed<BTreeMap<HostName, HostUse>>> {
    let hosts = hosts.iter();
    let hosts = hosts.map(|(name, used)| (HostName::new(*name), used.clone()));
    Arc::new(Observed::known(at(NOW), hosts.collect()))
}

fn with(hosts: &[(&str, HostUse)]) -> FleetState {
    let mut state = state();
    Arc::make_mut(&mut state.snapshot).hosts = known(hosts);
    state
}

#[test]
fn a_worker_s_resource_use_is_shown_as_far_as_it_is_known() {
    let page = page(with(&[
        ("w1", used(NOW, Some(0.25))),
        ("w2", used(NOW, None)),
    ]));
    assert_shows(
        &page,
        &[
            "obs_worker_cpu_usage_ratio{worker=\"w1\"} 0.25",
            "obs_worker_memory_usage_ratio{worker=\"w2\"} 0.5",
            "# TYPE obs_worker_disk_operations_total counter",
            "obs_worker_disk_operations_total{worker=\"w1\",direction=\"read\"} 10.0",
            "obs_worker_disk_bytes_total{worker=\"w2\",direction=\"write\"} 8192.0",
            "obs_scaler_last_success_timestamp_seconds{collector=\"hosts\"} 1000000.0",
        ],
    );
    for unknown in [
        "obs_worker_cpu_usage_ratio{worker=\"w2\"",
        "obs_worker_network_bytes_total{worker=\"w2\"",
    ] {
        assert!(!page.contains(unknown), "{unknown} is in\n{page}");
    }
}

#[test]
fn a_worker_that_was_not_read_for_too_long_is_left_out_and_no_other() {
    let page = page(with(&[
        ("w1", used(NOW - 121, Some(0.25))),
        ("w2", used(NOW - 120, Some(0.75))),
    ]));
    assert_shows(&page, &["obs_worker_cpu_usage_ratio{worker=\"w2\"} 0.75"]);
    let use_of_w1 = |line: &str| line.contains("worker=\"w1\"") && line.contains("_ratio");
    assert!(!page.lines().any(use_of_w1), "{page}");
    assert!(!page.contains("disk_bytes_total{worker=\"w1\""), "{page}");
}

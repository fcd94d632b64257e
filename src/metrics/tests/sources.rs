//! What is said of the sources themselves.

use super::*;

#[test]
fn a_frontends_list_of_workers_was_read_when_it_was_read_however_old_it_is() {
    let mut configured = configured();
    let cached = Duration::from_secs(180);
    let of_b = (BackendName::new("b"), cached);
    configured.workers_cached_for = BTreeMap::from([of_b]);
    let mut state = state();
    let snapshot = Arc::make_mut(&mut state.snapshot);
    let old = backend(NOW - 180, &[]);
    snapshot.backends.insert(BackendName::new("b"), old);
    let fleet = FleetCollector::new(configured, Arc::new(Fixed(state)));
    let metrics = Metrics::new(Registry::default(), fleet);
    let page = whole(&metrics, Format::Prometheus, Coding::Identity);
    let read = "obs_scaler_last_success_timestamp_seconds{collector=";
    assert_shows(
        &String::from_utf8(page).unwrap(),
        &[
            &format!("{read}\"workers\",backend=\"a\"}} 1000000.0"),
            &format!("{read}\"workers\",backend=\"b\"}} 1000000.0"),
            &format!("{read}\"results\",backend=\"b\"}} 999820.0"),
        ],
    );
}

//! A page comes in pieces, however many series there are.

use super::*;
use flate2::read::GzDecoder;
use std::io::Read as _;

/// `packages` series of `obs_packages`, besides the rest.
fn metrics(packages: u32) -> Metrics {
    let mut state = state();
    let project = |n: u32| format!("P:{n}");
    let key = |n| [&project(n), "standard", "aarch64", "succeeded"].map(str::to_owned);
    let results = Results {
        jobs: vec![],
        packages: (0..packages).map(|n| (key(n).into(), 12)).collect(),
    };
    let view = BackendView {
        results: Observed::known(at(NOW), results),
        ..BackendView::clone(&backend(NOW, &[]))
    };
    let snapshot = Arc::make_mut(&mut state.snapshot);
    snapshot.backends.insert(BackendName::new("a"), view.into());
    let mut registry = Registry::default();
    let _own = Own::register(&mut registry, &configured().pools, &[]);
    let fleet = FleetCollector::new(configured(), Arc::new(Fixed(state)));
    Metrics::new(registry, fleet)
}

#[test]
fn a_page_of_many_series_comes_in_small_pieces_and_is_the_same_in_every_coding() {
    let metrics = metrics(20_000);
    for format in [Format::OpenMetrics, Format::Prometheus] {
        let (mut largest, mut pieces, mut plain) = (0, 0, Vec::new());
        let mut take = |piece: Vec<u8>| {
            largest = largest.max(piece.capacity());
            pieces += 1;
            plain.extend(piece);
            Ok(())
        };
        metrics.write(format, Coding::Identity, &mut take).unwrap();
        assert!(largest <= 2 * PIECE, "a piece takes {largest} bytes");
        assert!(pieces > 40, "{pieces} pieces");
        let series = "obs_packages{backend=\"a\",project=\"P:19999\",repository=\"standard\",\
            arch=\"aarch64\",code=\"succeeded\"} 12";
        let text = String::from_utf8(plain).unwrap();
        assert!(has(&text, series));
        assert_eq!(text.ends_with("\n# EOF\n"), format == Format::OpenMetrics);
        let packed = whole(&metrics, format, Coding::Gzip);
        assert!(packed.len() < text.len() / 5, "{} bytes", packed.len());
        let mut unpacked = String::new();
        GzDecoder::new(packed.as_slice())
            .read_to_string(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, text);
    }
}

#[test]
fn writing_ends_when_nobody_takes_the_pieces() {
    let metrics = metrics(20_000);
    for coding in [Coding::Identity, Coding::Gzip] {
        let mut asked = 0;
        let mut take = |_| {
            asked += 1;
            Err(Gone)
        };
        let ended = metrics.write(Format::OpenMetrics, coding, &mut take);
        assert!(matches!(ended, Err(PageError::Gone)), "{ended:?}");
        assert_eq!(asked, 1, "{coding:?}: asked again after the end");
    }
}

//! Writing families of gauges.

use crate::config::Pool;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use std::borrow::Cow;
use std::fmt;

/// The labels of one series.
pub(super) type Labels<'a> = Vec<(&'static str, Cow<'a, str>)>;

/// `pool, arch, level`, which always come together.
pub(super) fn of_pool(pool: &Pool) -> Labels<'_> {
    labels([
        ("pool", pool.name.as_str()),
        ("arch", pool.arch.as_str()),
        ("level", pool.level.as_str()),
    ])
}

/// Labels with these values.
pub(super) fn labels<'a, const N: usize>(pairs: [(&'static str, &'a str); N]) -> Labels<'a> {
    pairs
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect()
}

/// These labels, and one more.
pub(super) fn and<'a>(
    mut labels: Labels<'a>,
    more: impl IntoIterator<Item = (&'static str, &'a str)>,
) -> Labels<'a> {
    labels.extend(more.into_iter().map(|(key, value)| (key, value.into())));
    labels
}

/// Writes one family after the other.
pub(super) struct Writer<'a>(pub(super) DescriptorEncoder<'a>);

impl Writer<'_> {
    /// A family of gauges; left out where there is no series.
    pub(super) fn gauge<'l, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in series {
            if labels.is_empty() {
                family.encode_gauge(&value)?;
            } else {
                family.encode_family(&labels)?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }

    /// A family of counters; `_total` is added to the name. Left out where there is no series.
    pub(super) fn counter<'l, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        series.try_for_each(|(labels, value)| {
            let mut encoder = family.encode_family(&labels)?;
            encoder.encode_counter::<NoLabelSet, V, f64>(&value, None)
        })
    }

    /// A family whose labels are all that it tells; `_info` is added to the name.
    pub(super) fn info<'l>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = Labels<'l>>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        series.try_for_each(|labels| family.encode_info(&labels))
    }
}

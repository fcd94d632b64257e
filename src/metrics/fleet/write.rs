//! Writing families that are made anew at each scrape.

use crate::config::Pool;
use crate::metrics::catalogue::Declared;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
    NoLabelSet,
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

/// Writes one family after the other. Labels are given as [`Labels`], or as an array of pairs, which
/// costs no allocation: that tells where series are many.
pub(super) struct Writer<'a>(pub(super) DescriptorEncoder<'a>);

impl Writer<'_> {
    /// A family of gauges; left out where there is no series.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        family: &Declared,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(family, MetricType::Gauge, series, |mut metric, value| {
            metric.encode_gauge(value)
        })
    }

    /// A family of counters that are kept elsewhere; left out where there is no series.
    pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        family: &Declared,
        series: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.family(family, MetricType::Counter, series, |mut metric, value| {
            metric.encode_counter::<NoLabelSet, V, f64>(value, None)
        })
    }

    /// A family whose labels are all that it tells; left out where there is no series.
    pub(super) fn info<L: EncodeLabelSet>(
        &mut self,
        family: &Declared,
        series: impl IntoIterator<Item = L>,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let mut metric =
            self.0
                .encode_descriptor(family.stem(), family.help, None, MetricType::Info)?;
        series.try_for_each(|labels| metric.encode_info(&labels))
    }

    fn family<L: EncodeLabelSet, V>(
        &mut self,
        family: &Declared,
        kind: MetricType,
        series: impl IntoIterator<Item = (L, V)>,
        encode: impl Fn(MetricEncoder<'_>, &V) -> fmt::Result,
    ) -> fmt::Result {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return Ok(());
        }
        let (stem, help) = (family.stem(), family.help);
        if family.labels.is_empty() {
            return series.try_for_each(|(_, value)| {
                encode(self.0.encode_descriptor(stem, help, None, kind)?, &value)
            });
        }
        let mut metric = self.0.encode_descriptor(stem, help, None, kind)?;
        series.try_for_each(|(labels, value)| encode(metric.encode_family(&labels)?, &value))
    }
}

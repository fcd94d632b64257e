//! A small seeded generator, so that one seed gives one course of events.

/// SplitMix64 (Steele, Lea and Flood, 2014): eight lines, good enough for durations and ids.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        let unit = f64::from((self.next() >> 32) as u32) / (f64::from(u32::MAX) + 1.0);
        low + unit * (high - low)
    }

    /// A random UUID (version 4) in lower case.
    pub(crate) fn uuid(&mut self) -> String {
        let a = self.next();
        let b = self.next();
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            (b >> 48) & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff,
        )
    }

    /// A job's id: 32 hex digits that begin with `ff8080` (huawei-ecs reference §3).
    pub(crate) fn job_id(&mut self) -> String {
        format!("ff808082{:016x}{:08x}", self.next(), self.next() >> 32)
    }

    /// 32 hex digits, as in `X-Request-Id`.
    pub(crate) fn request_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_the_cloud_s_form_and_repeat_with_the_seed() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let id = a.uuid();
        assert_eq!(id, b.uuid());
        assert_eq!(id.len(), 36);
        assert_eq!(a.job_id().len(), 32);
        assert_eq!(a.request_id().len(), 32);
        for _ in 0..1000 {
            let n = a.between(40.0, 60.0);
            assert!((40.0..60.0).contains(&n));
        }
    }
}

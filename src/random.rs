//! The only place that asks for randomness, but for what is secret.

use ring::rand::{SecureRandom, SystemRandom};

/// The system's randomness.
#[derive(Debug, Clone)]
pub struct Random(SystemRandom);

impl Default for Random {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Random {
    /// So many bytes; `None` where the system gives none.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).ok()?;
        Some(bytes)
    }

    /// From 0 to 1, for the length of a pause; 1 where the system gives no randomness.
    #[must_use]
    pub fn fraction(&self) -> f64 {
        let bytes = self.bytes();
        bytes.map_or(1.0, |bytes| {
            f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
        })
    }
}

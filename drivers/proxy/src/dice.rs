//! Cheap randomness for choices and trace ids, where nobody gains by guessing it.

use std::sync::atomic::{AtomicU64, Ordering};

/// A shared generator (SplitMix64): one atomic addition a draw, no lock.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

/// The odd number nearest to 2^64 divided by the golden ratio, as SplitMix64 steps.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// A generator that starts somewhere unknown, so that nodes do not choose alike.
    pub(crate) fn new() -> Self {
        let mut seed = [0; 8];
        if aws_lc_rs::rand::fill(&mut seed).is_err() {
            tracing::warn!("no randomness from the system; choices start from a fixed point");
        }
        Self(AtomicU64::new(u64::from_le_bytes(seed)))
    }

    /// 64 random bits.
    pub(crate) fn roll(&self) -> u64 {
        let mut bits = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `bound`; 0 when the bound is 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        let product = u128::from(self.roll()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

//! The operating system's randomness.

use base::Random;

/// Random bytes that nobody can foresee.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemRandom;

impl Random for SystemRandom {
    #[expect(clippy::expect_used, reason = "a system without randomness cannot make keys")]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system gives random bytes");
    }
}

//! Time-based one-time passwords, as virtual MFA devices show them.
//!
//! RFC 6238 with SHA-1, six digits and steps of thirty seconds, and RFC 4648 for the seed.

use aws_lc_rs::hmac;

/// How long a code is shown.
const STEP_SECS: i64 = 30;
/// How many steps a device may be off when it is used.
const WINDOW_STEPS: i64 = 1;
/// How many steps it may be off when it is enabled or synchronized: a day.
pub(crate) const SYNC_STEPS: i64 = 2880;

/// The step that a time lies in.
pub(crate) fn step(secs: i64) -> i64 {
    secs.div_euclid(STEP_SECS)
}

/// The code of a step, six digits.
pub(crate) fn code(seed: &[u8], step: i64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, seed);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes.last().copied().unwrap_or_default() & 0xf);
    let part = bytes.get(at..at + 4).unwrap_or_default();
    let number = part.iter().fold(0u32, |sum, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// The step of a device that shows `shown`, which must be one that was not used yet.
pub(crate) fn matching(seed: &[u8], now: i64, drift: i64, spent: i64, shown: &str) -> Option<i64> {
    let middle = now + drift;
    (middle - WINDOW_STEPS..=middle + WINDOW_STEPS)
        .find(|at| *at > spent && code(seed, *at) == shown)
}

/// The step of the second of two codes that a device showed one after the other.
pub(crate) fn matching_pair(seed: &[u8], now: i64, first: &str, second: &str) -> Option<i64> {
    // The nearest step first: a device is rarely far off.
    let near = (0..=SYNC_STEPS).flat_map(|off| [now + off, now - off]);
    near.into_iter().find(|at| code(seed, *at) == second && code(seed, *at - 1) == first)
}

/// Base 32 without padding.
pub(crate) fn base32(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut out = String::new();
    for chunk in bytes.chunks(5) {
        let mut word = 0u64;
        for at in 0..5 {
            word = word << 8 | u64::from(chunk.get(at).copied().unwrap_or(0));
        }
        for at in 0..(chunk.len() * 8).div_ceil(5) {
            let index = usize::try_from(word >> (35 - at * 5) & 31).unwrap_or_default();
            out.push(char::from(LETTERS.get(index).copied().unwrap_or(b'A')));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        let seed = b"12345678901234567890";
        for (secs, want) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(seed, step(secs)), want, "{secs}");
        }
        assert_eq!(base32(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(base32(b"f"), "MY");
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
    }

    #[test]
    fn a_code_is_taken_once_and_only_near_its_time() {
        let seed = b"12345678901234567890";
        let now = step(1_111_111_109);
        let shown = code(seed, now);
        assert_eq!(matching(seed, now, 0, 0, &shown), Some(now));
        assert_eq!(matching(seed, now, 0, now, &shown), None);
        assert_eq!(matching(seed, now + 1, 0, 0, &shown), Some(now));
        assert_eq!(matching(seed, now + 2, 0, 0, &shown), None);
        assert_eq!(matching(seed, now + 50, -50, 0, &shown), Some(now));
        let pair = matching_pair(seed, now + 7, &code(seed, now), &code(seed, now + 1));
        assert_eq!(pair, Some(now + 1));
        assert_eq!(matching_pair(seed, now, &code(seed, now), &code(seed, now + 2)), None);
    }
}

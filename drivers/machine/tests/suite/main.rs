//! The machine driver on this host, for real. Needs root and, on a host's first run, a Debian
//! mirror to build the image from.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a test ends where its expectation does, and stands outside of what it tests"
)]

mod machines;
mod region;
mod zones;

//! STS keeps no tables: a session token carries its session.

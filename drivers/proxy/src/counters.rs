//! Counters that the request path raises without a lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::StatusCode;

use crate::status::{Bucket, GroupCounters, NodeCounters};

/// A number that many raise.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn up(&self) {
        self.add(1);
    }

    pub(crate) fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The number, which is zero afterwards.
    pub(crate) fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// What the node counts.
#[derive(Debug, Default)]
pub(crate) struct NodeCounts {
    pub(crate) active_connections: Count,
    pub(crate) new_connections: Count,
    pub(crate) rejected_connections: Count,
    pub(crate) tls_errors: Count,
    pub(crate) processed_bytes: Count,
    pub(crate) requests: Count,
    pub(crate) in_flight: Count,
    pub(crate) redirects: Count,
    pub(crate) fixed_responses: Count,
    pub(crate) grpc_requests: Count,
    elb_3xx: Count,
    elb_4xx: Count,
    elb_5xx: Count,
    elb_500: Count,
    elb_502: Count,
    elb_503: Count,
    elb_504: Count,
}

impl NodeCounts {
    /// Counts an answer that the load balancer made itself.
    pub(crate) fn own_answer(&self, status: u16) {
        match status {
            300..=399 => self.elb_3xx.up(),
            400..=499 => self.elb_4xx.up(),
            500..=599 => self.elb_5xx.up(),
            _ => {}
        }
        match status {
            500 => self.elb_500.up(),
            502 => self.elb_502.up(),
            503 => self.elb_503.up(),
            504 => self.elb_504.up(),
            _ => {}
        }
    }

    pub(crate) fn read(&self) -> NodeCounters {
        NodeCounters {
            active_connections: self.active_connections.get(),
            new_connections: self.new_connections.get(),
            rejected_connections: self.rejected_connections.get(),
            tls_errors: self.tls_errors.get(),
            processed_bytes: self.processed_bytes.get(),
            requests: self.requests.get(),
            redirects: self.redirects.get(),
            fixed_responses: self.fixed_responses.get(),
            elb_3xx: self.elb_3xx.get(),
            elb_4xx: self.elb_4xx.get(),
            elb_5xx: self.elb_5xx.get(),
            elb_500: self.elb_500.get(),
            elb_502: self.elb_502.get(),
            elb_503: self.elb_503.get(),
            elb_504: self.elb_504.get(),
            grpc_requests: self.grpc_requests.get(),
            in_flight: self.in_flight.get(),
        }
    }
}

/// What is counted for a target group.
#[derive(Debug, Default)]
pub(crate) struct GroupCounts {
    pub(crate) requests: Count,
    pub(crate) connection_errors: Count,
    pub(crate) retries: Count,
    classes: [Count; 4],
    times: [Count; TIME_BUCKETS],
    time_sum_us: Count,
}

/// The first bar of the histogram holds all up to this; each next one twice as much.
const FIRST_BUCKET_US: u64 = 64;
/// Bars up to 134 s, and one for what is longer.
const TIME_BUCKETS: usize = 23;

impl GroupCounts {
    /// Counts a target's answer and the time from the last byte asked to its headers.
    pub(crate) fn answer(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).wrapping_sub(2);
        if let Some(count) = self.classes.get(class) {
            count.up();
        }
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.time_sum_us.add(took_us);
        if let Some(bar) = self.times.get(bucket(took_us)) {
            bar.up();
        }
    }

    pub(crate) fn read(&self) -> GroupCounters {
        let [ok, redirect, client, server] = &self.classes;
        let bars = self.times.iter().enumerate();
        GroupCounters {
            requests: self.requests.get(),
            target_2xx: ok.get(),
            target_3xx: redirect.get(),
            target_4xx: client.get(),
            target_5xx: server.get(),
            connection_errors: self.connection_errors.get(),
            retries: self.retries.get(),
            response_time: bars
                .map(|(at, count)| Bucket {
                    up_to_us: (at + 1 < TIME_BUCKETS).then_some(FIRST_BUCKET_US << at),
                    count: count.get(),
                })
                .collect(),
            response_time_sum_us: self.time_sum_us.get(),
            healthy: 0,
            unhealthy: 0,
        }
    }
}

/// The bar that a time falls in.
fn bucket(took_us: u64) -> usize {
    let above = took_us.saturating_sub(1) / FIRST_BUCKET_US;
    let bits = u64::BITS - above.leading_zeros();
    usize::try_from(bits).unwrap_or(usize::MAX).min(TIME_BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_in_the_bar_whose_bound_holds_them() {
        for (us, at) in [(0, 0), (64, 0), (65, 1), (128, 1), (129, 2), (u64::MAX, 22)] {
            assert_eq!(bucket(us), at, "{us}");
        }
    }
}

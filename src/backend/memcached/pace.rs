//! Somebody's server at its own pace: real time passes until it is where the scheduler's is, and
//! the server's seconds are looked up, or nobody could say when an item ended.

use std::time::{Duration, Instant};

use super::clock::NodeClock;
use super::{Memcached, Node, dead, own, unreachable_text};
use crate::backend::{BackendError, Clock};
use crate::time::Time;

/// Where real time stands.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// How far the first node's clock is to be into its second when the run begins, in nanoseconds:
    /// as on the model, or an item of TTL n would always live for all of its n seconds.
    pub phase: u64,
    /// When the run began; `None` before.
    since: Option<Instant>,
}

impl Memcached {
    /// Waits until real time is where the scheduler's is.
    pub(super) fn keep_pace(&mut self, now: Time) -> Result<(), BackendError> {
        let since = match self.pace.since {
            Some(since) => since,
            None => self.begin_to_pace()?,
        };
        let due = since + Duration::from_nanos(now.nanos());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        Ok(())
    }

    fn begin_to_pace(&mut self) -> Result<Instant, BackendError> {
        let tick = |node: &Node| {
            own::next_tick(&node.address)
                .map_err(|error| dead(&node.address, &unreachable_text(&error.to_string())))
        };
        let ticks: Result<Vec<Option<Instant>>, BackendError> =
            self.nodes.iter().rev().map(tick).collect();
        let ticks = ticks?;
        if ticks.contains(&None) {
            self.not_tested("a server does not tell its time, so nobody knows when entries end");
        }
        // The first node's second was looked up last, and has just begun.
        if let Some(Some(tick)) = ticks.last() {
            let begin = *tick + Duration::from_nanos(self.pace.phase);
            std::thread::sleep(begin.saturating_duration_since(Instant::now()));
        }
        let since = *self.pace.since.insert(Instant::now());
        for (node, tick) in self.nodes.iter_mut().rev().zip(ticks) {
            let phase = |tick| since.duration_since(tick).as_nanos() as u64;
            node.clock = tick.map(phase).map(NodeClock::new);
        }
        Ok(since)
    }

    /// When a step was carried out that was due now: on a machine that is behind the pace, later.
    pub(super) fn carried_out(&self, now: Time) -> Time {
        let since = self.pace.since.filter(|_| self.clock == Clock::Paced);
        since.map_or(now, |since| Time(since.elapsed().as_nanos() as u64).max(now))
    }
}

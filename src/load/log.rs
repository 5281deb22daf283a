//! The database's log of commits, as all background clients of a load read it.
//!
//! One reader follows the server's log; what it got is numbered from 1 on and kept for a while, so
//! that each process reads at its own pace. What goes wrong with such readers happens here: the
//! log is purged (a gap), the reader starts anew (changes come again), and two changes change
//! places.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::BackendError;
use crate::backend::feed::{Change, Feed};
use crate::step::LogRecord;

use super::fault::RealWhat;

/// Records that are kept; who is further behind finds a gap.
const KEPT: usize = 1 << 16;
/// A fault that needs changes that nobody has read yet waits for them for so long.
const PATIENCE: Duration = Duration::from_millis(200);

/// The log, shared by threads.
pub(super) struct Log(Mutex<State>);

struct State {
    feed: Box<dyn Feed + Send>,
    records: VecDeque<LogRecord>,
    /// The position of the latest record.
    last: u64,
}

impl Log {
    pub fn new(feed: Box<dyn Feed + Send>) -> Log {
        Log(Mutex::new(State { feed, records: VecDeque::new(), last: 0 }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most so many records after a position.
    pub fn read(&self, after: u64, limit: u32) -> Result<Vec<LogRecord>, BackendError> {
        let mut state = self.state();
        if after >= state.last {
            let changes = state.feed.read()?;
            state.take(changes);
        }
        let first = state.records.partition_point(|record| record.position <= after);
        Ok(state.records.range(first..).take(limit as usize).cloned().collect())
    }

    /// Makes it go wrong; how one knows, `None` when nothing was there to go wrong.
    pub fn strike(&self, what: RealWhat) -> Result<Option<String>, BackendError> {
        let mut state = self.state();
        match what {
            RealWhat::LogGap => state.lose(),
            RealWhat::LogReplay => state.feed.start_anew().map(Some),
            RealWhat::LogReorder => state.swap(),
            what => unreachable!("{} does not concern the log", what.name()),
        }
    }
}

impl State {
    fn take(&mut self, changes: Vec<Change>) {
        for Change { id, writer, version, row } in changes {
            self.last += 1;
            self.records.push_back(LogRecord { position: self.last, id, writer, version, row });
        }
        let surplus = self.records.len().saturating_sub(KEPT);
        self.records.drain(..surplus);
    }

    fn lose(&mut self) -> Result<Option<String>, BackendError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (lost, witness) = self.feed.purge()?;
            // Positions are counted here, so that readers see that some are missing.
            self.last += lost;
            if lost > 0 {
                return Ok(Some(witness));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn swap(&mut self) -> Result<Option<String>, BackendError> {
        let deadline = Instant::now() + PATIENCE;
        let mut changes = Vec::new();
        loop {
            changes.extend(self.feed.read()?);
            if let Some((one, other)) = same_row(&changes) {
                changes.swap(one, other);
                let (first, second) = (&changes[one], &changes[other]);
                let witness = format!(
                    "version {} of row {} came before version {}",
                    first.version, first.id.0, second.version
                );
                self.take(changes);
                return Ok(Some(witness));
            }
            if Instant::now() > deadline {
                self.take(changes);
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Two changes of one row, the second the next after the first.
fn same_row(changes: &[Change]) -> Option<(usize, usize)> {
    (0..changes.len()).find_map(|one| {
        let mut rest = changes.iter().skip(one + 1);
        let other = rest.position(|change| change.id == changes[one].id)?;
        Some((one, one + 1 + other))
    })
}

//! Those who follow the database's commits: its replica, and the log that patterns read.

use std::time::Duration;

use super::change_log::ChangeLog;
use super::identity::Fold128;
use super::replica::Replica;
use super::terms::{become_like, counts, feed};
use crate::time::Time;

/// Each is there only where somebody looks at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Followers {
    pub replica: Option<Replica>,
    pub log: Option<ChangeLog>,
}

impl Followers {
    pub fn become_like(&mut self, other: &Followers) {
        become_like!(Followers: self, other; replica, log);
    }

    /// Feeds what reads of the replica and of the log can still find to a hasher; the replica
    /// is behind by `lag`.
    pub fn fingerprint(&self, now: Time, lag: Option<Duration>, into: &mut Fold128) {
        let Followers { replica, log } = self;
        feed("Followers.log", log, into);
        if let (Some(replica), Some(lag)) = (replica, lag)
            && counts("Followers.replica")
        {
            replica.fingerprint(now, lag, into);
        }
    }
}

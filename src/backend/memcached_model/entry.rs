//! An item as a node keeps it, and what it counts for.

use bytes::Bytes;

use crate::backend::Origin;
use crate::step::{Item, Key, Remaining, Win};

/// The header of an item, with the 8 bytes of its CAS id, on a 64-bit machine.
const HEADER_BYTES: u64 = 56;
/// The expiry of what never expires, as memcached has it.
pub(super) const NEVER: i64 = 0;
/// The end of the LRU list.
pub(super) const NIL: u32 = u32::MAX;

/// An item as the node keeps it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: Bytes,
    /// Client flags.
    pub flags: u32,
    /// The CAS id.
    pub cas: u64,
    /// Which step installed the value.
    pub origin: Origin,
    /// Whether it was marked stale.
    pub stale: bool,
    /// Whether somebody has won the right to recache it.
    pub won: bool,
    /// Whether it was ever fetched.
    pub fetched: bool,
    /// Whether it was fetched twice: then fetching no longer moves `time`.
    pub(super) active: bool,
    /// Whether a meta set gave its key in base64, in which it is then shown.
    pub base64_key: bool,
    /// The tick at which it is gone; [`NEVER`] is never.
    pub(super) expires: i64,
    /// The tick of the last access that memcached takes note of.
    pub(super) time: i64,
    pub(super) newer: u32,
    pub(super) older: u32,
}

impl Entry {
    /// What remains of its life at a tick.
    pub(super) fn remaining(&self, tick: i64) -> Remaining {
        match self.expires {
            NEVER => Remaining::Never,
            expires => Remaining::Seconds(u32::try_from(expires - tick).unwrap_or(0)),
        }
    }

    /// What it counts for in the limit on bytes.
    pub fn bytes(&self) -> u64 {
        item_bytes(self.key.as_bytes().len(), self.flags, self.value.len())
    }

    /// The item as a classic get shows it: the reply of `gets` has no more than this.
    pub(super) fn classic(&self) -> Item {
        Item {
            value: self.value.clone(),
            flags: self.flags,
            cas: self.cas,
            remaining: Remaining::Never,
            stale: false,
            win: Win::None,
            fetched: false,
            idle_seconds: 0,
        }
    }

    /// The item as a meta get may show it.
    pub(super) fn meta(&self, tick: i64, win: Win) -> Item {
        Item {
            value: self.value.clone(),
            flags: self.flags,
            cas: self.cas,
            remaining: self.remaining(tick),
            stale: self.stale,
            win,
            fetched: self.fetched,
            idle_seconds: u32::try_from(tick - self.time).unwrap_or(0),
        }
    }
}

/// The size of an item with its header, as memcached computes it before it looks for a slab
/// class.
pub fn item_bytes(key_bytes: usize, flags: u32, value_bytes: usize) -> u64 {
    let flags_bytes = if flags == 0 { 0 } else { 4 };
    HEADER_BYTES + key_bytes as u64 + 1 + flags_bytes + value_bytes as u64 + 2
}

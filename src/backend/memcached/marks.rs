//! Which items are marked stale on a node while nobody has their token: known from what was sent
//! there, since asking takes the token.
//!
//! The first meta get of such an item wins its token, whatever its flags (measured on 1.6.18: with
//! `u` and without `v` too). Whoever asks next is told that another one reloads it, and is served
//! the old value. An audit must not be that first one; a classic `get` never is.

use rustc_hash::FxHashSet;

use crate::step::{CacheCommand, CacheReply, Key, Win};

/// The keys of such items on one node.
#[derive(Debug, Default)]
pub(super) struct Marks {
    waiting: FxHashSet<Key>,
}

impl Marks {
    /// A command was answered: what it did to marks and tokens.
    pub fn note(&mut self, command: &CacheCommand, reply: &CacheReply) {
        let Some(key) = command.key() else {
            if matches!(command, CacheCommand::FlushAll { .. }) {
                self.waiting.clear();
            }
            return;
        };
        match (command, reply) {
            (CacheCommand::MetaDelete(delete), CacheReply::Deleted) if delete.invalidate => {
                self.waiting.insert(key.clone());
            }
            (_, CacheReply::Stored | CacheReply::Deleted | CacheReply::Miss) => {
                self.waiting.remove(key);
            }
            (_, CacheReply::Found(item)) if item.win != Win::None => {
                self.waiting.remove(key);
            }
            _ => {}
        }
    }

    /// The node is empty.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// An item is gone.
    pub fn remove(&mut self, key: &Key) {
        self.waiting.remove(key);
    }

    /// Whether an item is marked stale and its token is nobody's.
    pub fn has(&self, key: &Key) -> bool {
        self.waiting.contains(key)
    }
}

//! What a command looks at and changes: the basis of independence in exploration.
//!
//! The claim behind it, tested in `commute.rs`: two commands whose footprints are
//! independent give the same replies and the same state in either order, and one that does
//! not look at the clock gives the same before and after time passes. "The same" is up to
//! the names of CAS ids and up to the seconds since an item was last used, neither of which
//! a pattern can tell.

use super::entry::NEVER;
use super::node::{Limits, Node};
use crate::step::{CacheCommand, Footprint, Key, Location, Ttl};

impl Node {
    /// Notes what executing a command would look at and change now.
    pub(super) fn note(&self, command: &CacheCommand, footprint: &mut Footprint) {
        let Some(key) = command.key() else {
            if command.has_effect() {
                footprint.write(|| Location::Node(self.id()));
                footprint.read(|| Location::Clock);
            }
            return;
        };
        if self.depends_on_time(command, key) {
            footprint.read(|| Location::Clock);
        }
        if self.may_restart && may_draw_cas(command) {
            footprint.write(|| Location::CasIds(self.id()));
        }
        let item = || Location::Item(self.id(), key.clone());
        let limited = self.limits() != Limits::default();
        match command {
            // It sees whether the item has been fetched, which other gets change.
            CacheCommand::MetaGet(get) if get.peek => footprint.write(item),
            // Under a limit even a get reorders the LRU, and so decides what is evicted.
            _ if limited => footprint.write(|| Location::Node(self.id())),
            // It marks the item as fetched, but no other get can tell.
            CacheCommand::Get { .. } => footprint.read(item),
            // A meta get too: another one sees that the item has been fetched.
            _ => footprint.write(item),
        }
    }

    /// Whether it may make a difference at which tick the command is executed.
    fn depends_on_time(&self, command: &CacheCommand, key: &Key) -> bool {
        let entry = self.items.place(key.as_bytes()).map(|place| self.items.entry(place));
        let expires = entry.is_some_and(|entry| entry.expires != NEVER);
        // Under a limit an item that has expired is reclaimed rather than evicted.
        let evicts = self.limits() != Limits::default() && command.has_effect();
        expires || evicts || self.oldest_live != 0 || may_set_expiry(command)
    }
}

/// Whether the command may give an item an expiry that depends on the clock.
fn may_set_expiry(command: &CacheCommand) -> bool {
    let set = |ttl: &Option<Ttl>| ttl.is_some_and(|ttl| ttl != Ttl::NEVER);
    match command {
        CacheCommand::GetAndTouch { ttl, .. }
        | CacheCommand::Store { ttl, .. }
        | CacheCommand::Touch { ttl, .. } => *ttl != Ttl::NEVER,
        CacheCommand::MetaGet(get) => set(&get.vivify) || set(&get.touch) || set(&get.recache),
        CacheCommand::MetaSet(set) => set.ttl != Ttl::NEVER,
        CacheCommand::MetaDelete(delete) => set(&delete.ttl),
        CacheCommand::MetaArithmetic(count) => set(&count.vivify) || set(&count.ttl),
        _ => false,
    }
}

/// Whether the command may give an item a new CAS id.
fn may_draw_cas(command: &CacheCommand) -> bool {
    match command {
        CacheCommand::Store { .. }
        | CacheCommand::Arithmetic { .. }
        | CacheCommand::MetaSet(_)
        | CacheCommand::MetaArithmetic(_) => true,
        CacheCommand::MetaGet(get) => get.vivify.is_some(),
        CacheCommand::MetaDelete(delete) => delete.invalidate,
        _ => false,
    }
}

//! What `stats` counts, as memcached 1.6 counts it, but for stores with a bad data chunk,
//! which never get as far as here.
//!
//! `tests/servers/serve_stats.rs` compares the numbers with those of the real server.

use super::prefixes::Prefixes;
use super::request::Work;
use crate::backend::memcached_model::Node;
use crate::step::{CacheCommand, CacheReply, Direction, Verb};

/// The counters of a node that is served; `stats reset` sets most of them to zero.
#[derive(Clone, Debug, Default)]
pub(super) struct Counters {
    pub(super) sums: Sums,
    /// Connections that are open now.
    pub(super) connections: u64,
    /// The most connections that may be open.
    pub(super) connections_max: u64,
    /// Where the node listens: `HOST:PORT` or `unix:PATH`.
    pub(super) address: String,
    /// `stats detail`.
    pub(super) prefixes: Prefixes,
    /// Items that had been made when the counters were reset.
    made_before: u64,
}

/// What `stats reset` sets to zero.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sums {
    pub(super) total_connections: u64,
    pub(super) rejected_connections: u64,
    pub(super) bytes_read: u64,
    pub(super) bytes_written: u64,
    get: u64,
    set: u64,
    flush: u64,
    touch: u64,
    meta: u64,
    get_hits: u64,
    get_misses: u64,
    delete_hits: u64,
    delete_misses: u64,
    incr_hits: u64,
    incr_misses: u64,
    decr_hits: u64,
    decr_misses: u64,
    cas_hits: u64,
    cas_badval: u64,
    cas_misses: u64,
    touch_hits: u64,
    touch_misses: u64,
    store_too_large: u64,
    store_no_memory: u64,
    evictions: u64,
}

impl Counters {
    /// Those of a node that listens at an address.
    pub(super) fn at(address: String) -> Counters {
        Counters { address, ..Counters::default() }
    }

    /// Notes a command that was executed.
    pub(super) fn note(&mut self, node: &Node, command: &CacheCommand, reply: &CacheReply) {
        if self.prefixes.on {
            self.prefixes.note(command, reply);
        }
        let sums = &mut self.sums;
        let found = matches!(reply, CacheReply::Found(_));
        match command {
            CacheCommand::Get { .. } => sums.fetch(found, false),
            CacheCommand::GetAndTouch { .. } => sums.fetch(found, true),
            CacheCommand::Touch { .. } => sums.touched(*reply == CacheReply::Touched),
            CacheCommand::Store { verb, .. } => {
                sums.set += 1;
                if let Verb::Cas(_) = verb {
                    sums.compared(reply);
                }
            }
            CacheCommand::MetaSet(set) => {
                sums.set += 1;
                if set.cas.is_some() {
                    sums.compared(reply);
                }
            }
            // A touch that finds nothing counts as a get here.
            CacheCommand::MetaGet(get) => sums.fetch(found, found && get.touch.is_some()),
            CacheCommand::Delete { .. } => sums.deleted(reply),
            // To mark as stale is not to delete.
            CacheCommand::MetaDelete(delete) if delete.invalidate => {}
            CacheCommand::MetaDelete(_) => sums.deleted(reply),
            CacheCommand::Arithmetic { direction, .. } => sums.counted(*direction, reply),
            // One that is created is neither a hit nor a miss.
            CacheCommand::MetaArithmetic(_) if node.trace().created => {}
            CacheCommand::MetaArithmetic(count) => sums.counted(count.direction, reply),
            CacheCommand::FlushAll { .. } => sums.flush += 1,
            CacheCommand::Version => {}
        }
    }

    /// Notes a request that is not one command.
    pub(super) fn note_other(&mut self, work: &Work) {
        match work {
            Work::TooLarge { .. } => self.sums.store_too_large += 1,
            Work::Inspect { .. } => self.sums.meta += 1,
            _ => {}
        }
    }

    /// Takes note of what the node has evicted.
    #[inline]
    pub(super) fn take_evicted(&mut self, node: &mut Node) {
        if node.has_evicted() {
            self.sums.evictions += node.take_evicted().count() as u64;
        }
    }

    /// `stats reset`.
    pub(super) fn reset(&mut self, node: &mut Node) {
        self.sums = Sums::default();
        self.prefixes.clear();
        node.forget_tally();
        self.made_before = node.items_made();
    }

    /// The process is another one.
    pub(super) fn restart(&mut self, node: &mut Node) {
        self.reset(node);
        self.prefixes.on = false;
    }

    /// Names and numbers in memcached's order.
    pub(super) fn list(&self) -> [(&'static str, u64); 27] {
        let s = &self.sums;
        [
            ("max_connections", self.connections_max),
            ("curr_connections", self.connections),
            ("total_connections", s.total_connections),
            ("rejected_connections", s.rejected_connections),
            ("listen_disabled_num", s.rejected_connections),
            ("cmd_get", s.get),
            ("cmd_set", s.set),
            ("cmd_flush", s.flush),
            ("cmd_touch", s.touch),
            ("cmd_meta", s.meta),
            ("get_hits", s.get_hits),
            ("get_misses", s.get_misses),
            ("delete_misses", s.delete_misses),
            ("delete_hits", s.delete_hits),
            ("incr_misses", s.incr_misses),
            ("incr_hits", s.incr_hits),
            ("decr_misses", s.decr_misses),
            ("decr_hits", s.decr_hits),
            ("cas_misses", s.cas_misses),
            ("cas_hits", s.cas_hits),
            ("cas_badval", s.cas_badval),
            ("touch_hits", s.touch_hits),
            ("touch_misses", s.touch_misses),
            ("store_too_large", s.store_too_large),
            ("store_no_memory", s.store_no_memory),
            ("bytes_read", s.bytes_read),
            ("bytes_written", s.bytes_written),
        ]
    }
    /// Items made.
    pub(super) fn total_items(&self, node: &Node) -> u64 {
        node.items_made().saturating_sub(self.made_before)
    }

    /// Live items that made room for others.
    pub(super) fn evictions(&self) -> u64 {
        self.sums.evictions
    }
}

impl Sums {
    fn fetch(&mut self, found: bool, touches: bool) {
        if touches {
            return self.touched(found);
        }
        self.get += 1;
        if found {
            self.get_hits += 1;
        } else {
            self.get_misses += 1;
        }
    }

    fn touched(&mut self, found: bool) {
        self.touch += 1;
        if found {
            self.touch_hits += 1;
        } else {
            self.touch_misses += 1;
        }
    }

    fn compared(&mut self, reply: &CacheReply) {
        match reply {
            CacheReply::Stored => self.cas_hits += 1,
            CacheReply::Exists => self.cas_badval += 1,
            CacheReply::NotFound => self.cas_misses += 1,
            _ => {}
        }
    }

    fn deleted(&mut self, reply: &CacheReply) {
        match reply {
            CacheReply::Deleted => self.delete_hits += 1,
            _ => self.delete_misses += 1,
        }
    }

    fn counted(&mut self, direction: Direction, reply: &CacheReply) {
        match (direction, reply) {
            (Direction::Increment, CacheReply::NotFound) => self.incr_misses += 1,
            (Direction::Decrement, CacheReply::NotFound) => self.decr_misses += 1,
            (Direction::Increment, CacheReply::Number(_)) => self.incr_hits += 1,
            (Direction::Decrement, CacheReply::Number(_)) => self.decr_hits += 1,
            _ => {}
        }
    }
}

//! `stats detail`: commands counted by what stands before the first `:` of their keys.

use std::collections::BTreeMap;

use crate::step::{CacheCommand, CacheReply, Key};

/// The separator.
const SEPARATOR: u8 = b':';

/// What is counted while it is on.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefixes {
    /// Whether commands are counted.
    pub(super) on: bool,
    counts: BTreeMap<Vec<u8>, Counts>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    get: u64,
    hit: u64,
    set: u64,
    delete: u64,
}

impl Prefixes {
    /// Counts a command. Meta commands, touches and arithmetic are not counted, as in
    /// memcached.
    pub(super) fn note(&mut self, command: &CacheCommand, reply: &CacheReply) {
        let hit = u64::from(matches!(reply, CacheReply::Found(_)));
        let counted = match command {
            CacheCommand::Get { key } | CacheCommand::GetAndTouch { key, .. } => {
                (key, Counts { get: 1, hit, ..Counts::default() })
            }
            CacheCommand::Store { key, .. } => (key, Counts { set: 1, ..Counts::default() }),
            CacheCommand::Delete { key } => (key, Counts { delete: 1, ..Counts::default() }),
            _ => return,
        };
        self.add(counted.0, counted.1);
    }

    fn add(&mut self, key: &Key, more: Counts) {
        let Some(end) = key.as_bytes().iter().position(|byte| *byte == SEPARATOR) else { return };
        let counts = self.counts.entry(key.as_bytes()[..end].to_vec()).or_default();
        counts.get += more.get;
        counts.hit += more.hit;
        counts.set += more.set;
        counts.delete += more.delete;
    }

    /// Forgets what was counted.
    pub(super) fn clear(&mut self) {
        self.counts.clear();
    }

    /// What `stats detail dump` shows; memcached shows the prefixes in no order.
    pub(super) fn dump(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (prefix, Counts { get, hit, set, delete }) in &self.counts {
            text.extend_from_slice(b"PREFIX ");
            text.extend_from_slice(prefix);
            let counts = format!(" get {get} hit {hit} set {set} del {delete}\r\n");
            text.extend_from_slice(counts.as_bytes());
        }
        text.extend_from_slice(b"END\r\n");
        text
    }
}

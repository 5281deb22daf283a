//! The meta commands: leases (`N`), recache (`R`), stale marks (`I`) and CAS (`C`).

use bytes::Bytes;

use super::node::{Node, expiry_tick, is_too_large};
use crate::backend::Origin;
use crate::step::{
    CacheRefusal, CacheReply, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, Win,
};

impl Node {
    pub(super) fn meta_get(&mut self, tick: i64, origin: Origin, get: &MetaGet) -> CacheReply {
        let Some(place) = self.find(tick, &get.key) else {
            let Some(ttl) = get.vivify.filter(|_| !get.peek) else { return CacheReply::Miss };
            let place = self.put(tick, origin, &get.key, Bytes::new(), 0, ttl);
            self.entry_mut(place).win_sent = true;
            return CacheReply::Found(self.item(place, tick, Win::Won));
        };
        if get.peek {
            return CacheReply::Found(self.item(place, tick, Win::None));
        }
        let win = self.win(tick, place, get);
        if let Some(ttl) = get.touch {
            self.entry_mut(place).expires = expiry_tick(tick, ttl);
        }
        let item = self.item(place, tick, win);
        self.entry_mut(place).fetched = true;
        self.bump(place);
        CacheReply::Found(item)
    }

    /// The first to ask for a stale or soon expiring item wins, the others are told so.
    fn win(&mut self, tick: i64, place: u32, get: &MetaGet) -> Win {
        let entry = self.entry_mut(place);
        if entry.win_sent {
            return Win::Lost;
        }
        let soon = match (get.recache, entry.expires) {
            (Some(ttl), Some(expires)) => expires - tick < ttl.0,
            _ => false,
        };
        if entry.stale || soon {
            entry.win_sent = true;
            return Win::Won;
        }
        Win::None
    }

    pub(super) fn meta_set(&mut self, tick: i64, origin: Origin, set: &MetaSet) -> CacheReply {
        let place = self.find(tick, &set.key);
        if is_too_large(&set.key, &set.value) {
            if let Some(place) = place {
                self.remove(place);
            }
            return CacheReply::Refusal(CacheRefusal::TooLarge);
        }
        let mut stale = false;
        if let Some(token) = set.cas {
            let Some(place) = place else { return CacheReply::NotFound };
            let current = self.entry(place).cas;
            stale = set.invalidate && token < current;
            if token != current && !stale {
                return CacheReply::Exists;
            }
        }
        match (set.mode, place) {
            (MetaMode::Add, Some(_)) | (MetaMode::Replace, None) => CacheReply::NotStored,
            (MetaMode::Append | MetaMode::Prepend, Some(place)) => {
                self.extend(place, origin, &set.value, set.mode == MetaMode::Append)
            }
            (MetaMode::Append | MetaMode::Prepend, None) if set.vivify.is_none() => {
                CacheReply::NotStored
            }
            _ => {
                let won = place.is_some_and(|place| self.entry(place).win_sent);
                let ttl = set.vivify.unwrap_or(set.ttl);
                let value = set.value.clone();
                let place = self.put(tick, origin, &set.key, value, set.flags, ttl);
                if stale {
                    // An outdated fill is kept, marked, and cannot be won again.
                    let entry = self.entry_mut(place);
                    entry.stale = true;
                    entry.win_sent = won;
                }
                CacheReply::Stored
            }
        }
    }

    pub(super) fn meta_delete(&mut self, tick: i64, delete: &MetaDelete) -> CacheReply {
        let Some(place) = self.find(tick, &delete.key) else { return CacheReply::NotFound };
        if delete.cas.is_some_and(|token| token != self.entry(place).cas) {
            return CacheReply::Exists;
        }
        if !delete.invalidate {
            self.remove(place);
            return CacheReply::Deleted;
        }
        let cas = self.next_cas();
        let entry = self.entry_mut(place);
        entry.stale = true;
        entry.win_sent = false;
        entry.cas = cas;
        if let Some(ttl) = delete.ttl {
            entry.expires = expiry_tick(tick, ttl);
        }
        CacheReply::Deleted
    }

    pub(super) fn meta_arithmetic(
        &mut self,
        tick: i64,
        origin: Origin,
        count: &MetaArithmetic,
    ) -> CacheReply {
        let Some(place) = self.find(tick, &count.key) else {
            let Some(ttl) = count.vivify else { return CacheReply::NotFound };
            let text = Bytes::from(count.initial.to_string());
            self.put(tick, origin, &count.key, text, 0, ttl);
            return CacheReply::Number(count.initial);
        };
        if count.cas.is_some_and(|token| token != self.entry(place).cas) {
            return CacheReply::Exists;
        }
        let reply = self.count(place, origin, count.direction, count.delta);
        if let (CacheReply::Number(_), Some(ttl)) = (&reply, count.ttl) {
            self.entry_mut(place).expires = expiry_tick(tick, ttl);
        }
        reply
    }
}

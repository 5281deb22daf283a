//! The meta commands: leases (vivify, recache, win), stale items, compare by CAS id.

use bytes::Bytes;

use super::classic::{Counted, Grown, Mode, Offer};
use super::node::Node;
use crate::backend::Origin;
use crate::step::{
    CacheRefusal, CacheReply, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, Remaining,
    Ttl, Win,
};

/// What the meta protocol can ask beside a [`CacheCommand`](crate::step::CacheCommand): the
/// order of flags where it matters (by default vivify and recache come before the new
/// expiry), and flags that only concern the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MetaExtras {
    /// `T` before `N`: an item that is created keeps the expiry of `N`.
    pub touch_before_vivify: bool,
    /// `T` before `R`: what remains is compared after the new expiry is set.
    pub touch_before_recache: bool,
    /// `u`: the fetch leaves the item's place in the LRU and its fetched mark alone.
    pub no_bump: bool,
    /// `b` of a meta set: the key is to be shown in base64.
    pub base64_key: bool,
}

impl Node {
    pub(super) fn meta_get(
        &mut self,
        tick: i64,
        origin: Origin,
        get: &MetaGet,
        extras: MetaExtras,
    ) -> CacheReply {
        if get.peek {
            return self.look(tick, get);
        }
        let found = self.find(tick, get.key.as_bytes());
        let place = match (found, get.vivify) {
            (Some(place), _) => place,
            (None, None) => return CacheReply::Miss,
            (None, Some(_)) => match self.vivify(tick, origin, get) {
                Some(place) => place,
                None => return CacheReply::Miss,
            },
        };
        let created = found.is_none();
        self.trace.before = self.items.entry(place).remaining(tick);
        self.trace.created = created;
        let recache = self.expiry_tick(tick, get.recache.unwrap_or(Ttl::NEVER));
        let touch = get.touch.map(|ttl| self.expiry_tick(tick, ttl));
        let vivify = get.vivify.filter(|_| created).map(|ttl| self.expiry_tick(tick, ttl));

        let entry = self.items.entry_mut(place);
        let before = entry.expires;
        entry.expires = match (touch, vivify) {
            (Some(_), Some(vivify)) if extras.touch_before_vivify => vivify,
            (Some(touch), _) => touch,
            (None, Some(vivify)) => vivify,
            (None, None) => before,
        };
        let compared = if extras.touch_before_recache { entry.expires } else { before };
        let runs_out = !created && compared != 0 && compared < recache;
        let wins = created || !entry.won && (runs_out || entry.stale);
        let win = match (wins, entry.won) {
            (true, _) => Win::Won,
            (false, true) => Win::Lost,
            (false, false) => Win::None,
        };
        entry.won |= wins;
        self.trace.cas = entry.cas;
        self.trace.base64_key = entry.base64_key;
        self.trace.after = entry.remaining(tick);
        let item = entry.meta(tick, win);
        if !extras.no_bump {
            self.bump(tick, place);
        }
        CacheReply::Found(item)
    }

    /// The audit's read: nothing is changed, not even what has expired or was flushed is
    /// removed.
    fn look(&self, tick: i64, get: &MetaGet) -> CacheReply {
        let entry = self.items.place(get.key.as_bytes()).map(|place| self.items.entry(place));
        match entry.filter(|entry| self.is_live(entry, tick)) {
            Some(entry) => {
                let win = if entry.won { Win::Lost } else { Win::None };
                CacheReply::Found(entry.meta(tick, win))
            }
            None => CacheReply::Miss,
        }
    }

    /// An empty item for a lease; `None` when the limits leave no room for it.
    fn vivify(&mut self, tick: i64, origin: Origin, get: &MetaGet) -> Option<u32> {
        let value = Bytes::new();
        if self.refusal(&get.key, 0, &value).is_some() {
            return None;
        }
        let offer = Offer {
            mode: Mode::Add,
            key: &get.key,
            value: &value,
            flags: 0,
            expires: 0,
            token: 0,
            may_be_stale: false,
        };
        self.put(tick, origin, &offer);
        self.items.place(get.key.as_bytes())
    }

    pub(super) fn meta_set(
        &mut self,
        tick: i64,
        origin: Origin,
        set: &MetaSet,
        extras: MetaExtras,
    ) -> CacheReply {
        if let Some(refusal) = self.refusal(&set.key, set.flags, &set.value) {
            // Unlike a classic store, in every mode.
            self.delete(tick, &set.key);
            return CacheReply::Refusal(refusal);
        }
        let mode = match (set.mode, set.cas) {
            (MetaMode::Set | MetaMode::Replace, Some(_)) => Mode::Cas,
            (MetaMode::Set, None) => Mode::Set,
            (MetaMode::Replace, None) => Mode::Replace,
            (MetaMode::Add, _) => Mode::Add,
            (MetaMode::Append, _) => Mode::Append,
            (MetaMode::Prepend, _) => Mode::Prepend,
        };
        let offer = Offer {
            mode,
            key: &set.key,
            value: &set.value,
            flags: set.flags,
            expires: self.expiry_tick(tick, set.ttl),
            token: set.cas.unwrap_or(0),
            may_be_stale: set.invalidate,
        };
        let reply = self.put(tick, origin, &offer);
        let appends = matches!(mode, Mode::Append | Mode::Prepend);
        if extras.base64_key
            && !appends
            && reply == CacheReply::Stored
            && let Some(place) = self.items.place(set.key.as_bytes())
        {
            self.items.entry_mut(place).base64_key = true;
        }
        reply
    }

    pub(super) fn meta_delete(&mut self, tick: i64, delete: &MetaDelete) -> CacheReply {
        self.trace.cas = 0;
        let Some(place) = self.find(tick, delete.key.as_bytes()) else {
            return CacheReply::NotFound;
        };
        if delete.cas.is_some_and(|cas| cas != self.items.entry(place).cas) {
            return CacheReply::Exists;
        }
        if !delete.invalidate {
            self.items.remove(place);
            return CacheReply::Deleted;
        }
        let expires = delete.ttl.map(|ttl| self.expiry_tick(tick, ttl));
        let cas = self.next_cas();
        let entry = self.items.entry_mut(place);
        entry.expires = expires.unwrap_or(entry.expires);
        entry.stale = true;
        // The next to fetch it wins.
        entry.won = false;
        entry.cas = cas;
        self.trace.cas = cas;
        CacheReply::Deleted
    }

    pub(super) fn meta_arithmetic(
        &mut self,
        tick: i64,
        origin: Origin,
        count: &MetaArithmetic,
        extras: MetaExtras,
    ) -> CacheReply {
        let by = (count.direction, count.delta);
        match self.count(tick, origin, &count.key, by, count.cas) {
            Counted::Missing => self.vivify_counter(tick, origin, count, extras),
            Counted::OtherCas => CacheReply::Exists,
            Counted::NotNumeric => CacheReply::Refusal(CacheRefusal::NotNumeric),
            Counted::Number(number, place, grown) => {
                self.trace.created = false;
                self.trace.before = self.items.entry(place).remaining(tick);
                self.trace.after = self.trace.before;
                if let Some(ttl) = count.ttl {
                    self.trace.after = self.remaining_at(tick, ttl);
                    // memcached 1.6.18 sets the expiry of the item that it has just
                    // replaced when the text became longer: the new one keeps its own.
                    if grown == Grown::No {
                        self.items.entry_mut(place).expires = self.expiry_tick(tick, ttl);
                    }
                }
                CacheReply::Number(number)
            }
        }
    }

    fn vivify_counter(
        &mut self,
        tick: i64,
        origin: Origin,
        count: &MetaArithmetic,
        extras: MetaExtras,
    ) -> CacheReply {
        let Some(vivify) = count.vivify else { return CacheReply::NotFound };
        let value = Bytes::from(count.initial.to_string());
        if let Some(refusal) = self.refusal(&count.key, 0, &value) {
            return CacheReply::Refusal(refusal);
        }
        let ttl = match count.ttl {
            Some(touch) if !extras.touch_before_vivify => touch,
            _ => vivify,
        };
        let offer = Offer {
            mode: Mode::Add,
            key: &count.key,
            value: &value,
            flags: 0,
            expires: self.expiry_tick(tick, ttl),
            token: 0,
            may_be_stale: false,
        };
        self.put(tick, origin, &offer);
        self.trace.created = true;
        self.trace.before = Remaining::Never;
        self.trace.after = self.remaining_at(tick, ttl);
        CacheReply::Number(count.initial)
    }
}

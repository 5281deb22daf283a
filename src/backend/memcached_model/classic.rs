//! The classic commands: get, the store commands, delete, counters, `flush_all`.

use bytes::Bytes;

use super::entry::{Entry, NIL};
use super::node::Node;
use super::number::leading_u64;
use super::{ITEM_BYTES_MAX, item_bytes};
use crate::backend::Origin;
use crate::step::{CacheRefusal, CacheReply, Direction, Key, Ttl, Verb};

/// Larger items are kept in several chunks, in which nobody looks for a number.
const CHUNKED_BYTES: u64 = 512 << 10;

/// How an item is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    /// Only over an item with the CAS id given beside it.
    Cas,
}

/// An item to be stored, in memcached's terms.
pub(super) struct Offer<'a> {
    pub(super) mode: Mode,
    pub(super) key: &'a Key,
    pub(super) value: &'a Bytes,
    pub(super) flags: u32,
    pub(super) expires: i64,
    /// The CAS id to compare with; 0 is none.
    pub(super) token: u64,
    /// A lower CAS id than the item's stores the value marked stale.
    pub(super) may_be_stale: bool,
}

/// What became of a counter.
pub(super) enum Counted {
    Missing,
    OtherCas,
    NotNumeric,
    /// The number, the place, and whether the item was made anew because it grew.
    Number(u64, u32, Grown),
}

/// Whether a counter's text became longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grown {
    No,
    Yes,
}

impl Node {
    pub(super) fn get(&mut self, tick: i64, key: &Key, touch: Option<Ttl>) -> CacheReply {
        let Some(place) = self.find(tick, key.as_bytes()) else { return CacheReply::Miss };
        self.bump(tick, place);
        if let Some(ttl) = touch {
            self.items.entry_mut(place).expires = self.expiry_tick(tick, ttl);
        }
        let entry = self.items.entry(place);
        self.trace.cas = entry.cas;
        CacheReply::Found(entry.classic())
    }

    /// A fetch: the item becomes the newest. Its time moves at the second fetch only, as
    /// memcached needs two hits to take an item for active.
    #[inline]
    pub(super) fn bump(&mut self, tick: i64, place: u32) {
        let entry = self.items.entry_mut(place);
        if !entry.fetched {
            entry.fetched = true;
        } else if !entry.active {
            entry.active = true;
            entry.time = tick;
        }
        self.items.bump(place);
    }

    pub(super) fn store(
        &mut self,
        tick: i64,
        origin: Origin,
        (verb, key, value): (Verb, &Key, &Bytes),
        flags: u32,
        ttl: Ttl,
    ) -> CacheReply {
        let (mode, token) = match verb {
            Verb::Set => (Mode::Set, 0),
            Verb::Add => (Mode::Add, 0),
            Verb::Replace => (Mode::Replace, 0),
            Verb::Append => (Mode::Append, 0),
            Verb::Prepend => (Mode::Prepend, 0),
            Verb::Cas(token) => (Mode::Cas, token),
        };
        if let Some(refusal) = self.refusal(key, flags, value) {
            // Only a plain set removes what it was meant to replace.
            if mode == Mode::Set {
                self.delete(tick, key);
            }
            return CacheReply::Refusal(refusal);
        }
        let expires = self.expiry_tick(tick, ttl);
        let offer = Offer { mode, key, value, flags, expires, token, may_be_stale: false };
        self.put(tick, origin, &offer)
    }

    /// Why an item of this size cannot be allocated.
    pub(super) fn refusal(&self, key: &Key, flags: u32, value: &Bytes) -> Option<CacheRefusal> {
        let bytes = item_bytes(key.as_bytes().len(), flags, value.len());
        if bytes > ITEM_BYTES_MAX {
            Some(CacheRefusal::TooLarge)
        } else if !self.can_hold(bytes) {
            Some(CacheRefusal::OutOfMemory)
        } else {
            None
        }
    }

    /// Stores an item if its mode and CAS id allow.
    pub(super) fn put(&mut self, tick: i64, origin: Origin, offer: &Offer<'_>) -> CacheReply {
        self.trace.cas = 0;
        let Some(place) = self.find(tick, offer.key.as_bytes()) else {
            return match offer.mode {
                Mode::Set | Mode::Add => {
                    let entry = self.fresh(tick, origin, offer);
                    self.items.insert(entry);
                    self.make_room(tick);
                    CacheReply::Stored
                }
                Mode::Cas => CacheReply::NotFound,
                Mode::Replace | Mode::Append | Mode::Prepend => CacheReply::NotStored,
            };
        };
        let old = self.items.entry(place);
        let same = offer.token == old.cas;
        match offer.mode {
            Mode::Add => {
                self.items.entry_mut(place).time = tick;
                self.items.bump(place);
                CacheReply::NotStored
            }
            Mode::Cas if offer.token != 0 && same => self.put_over(tick, origin, offer, place),
            Mode::Cas if offer.may_be_stale && (1..old.cas).contains(&offer.token) => {
                let (expires, won) = (old.expires, old.won);
                let entry = self.fresh(tick, origin, offer);
                self.items.replace(place, Entry { expires, won, stale: true, ..entry });
                self.make_room(tick);
                CacheReply::Stored
            }
            Mode::Cas => CacheReply::Exists,
            Mode::Append | Mode::Prepend if offer.token != 0 && !same => CacheReply::Exists,
            Mode::Append | Mode::Prepend => self.extend(tick, origin, offer, place),
            Mode::Set | Mode::Replace => self.put_over(tick, origin, offer, place),
        }
    }

    fn put_over(&mut self, tick: i64, origin: Origin, offer: &Offer<'_>, place: u32) -> CacheReply {
        let entry = self.fresh(tick, origin, offer);
        self.items.replace(place, entry);
        self.make_room(tick);
        CacheReply::Stored
    }

    /// Appending makes a new item that has only flags and expiry of the old one.
    fn extend(&mut self, tick: i64, origin: Origin, offer: &Offer<'_>, place: u32) -> CacheReply {
        let old = self.items.entry(place);
        let (first, second) = match offer.mode {
            Mode::Append => (&old.value, offer.value),
            _ => (offer.value, &old.value),
        };
        let joined = Bytes::from([first.as_ref(), second.as_ref()].concat());
        let (flags, expires) = (old.flags, old.expires);
        if self.refusal(offer.key, flags, &joined).is_some() {
            return CacheReply::NotStored;
        }
        let joined = Offer { value: &joined, flags, expires, ..*offer };
        self.put_over(tick, origin, &joined, place)
    }

    /// A new item with a new CAS id.
    pub(super) fn fresh(&mut self, tick: i64, origin: Origin, offer: &Offer<'_>) -> Entry {
        let cas = self.next_cas();
        self.trace.cas = cas;
        self.items_made += 1;
        Entry {
            key: offer.key.clone(),
            value: offer.value.clone(),
            flags: offer.flags,
            cas,
            origin,
            stale: false,
            won: false,
            fetched: false,
            active: false,
            base64_key: false,
            expires: offer.expires,
            time: tick,
            newer: NIL,
            older: NIL,
        }
    }

    pub(super) fn delete(&mut self, tick: i64, key: &Key) -> CacheReply {
        match self.find(tick, key.as_bytes()) {
            Some(place) => {
                self.items.remove(place);
                CacheReply::Deleted
            }
            None => CacheReply::NotFound,
        }
    }

    pub(super) fn arithmetic(
        &mut self,
        tick: i64,
        origin: Origin,
        key: &Key,
        direction: Direction,
        delta: u64,
    ) -> CacheReply {
        match self.count(tick, origin, key, (direction, delta), None) {
            Counted::Missing => CacheReply::NotFound,
            Counted::OtherCas => CacheReply::Exists,
            Counted::NotNumeric => CacheReply::Refusal(CacheRefusal::NotNumeric),
            Counted::Number(number, ..) => CacheReply::Number(number),
        }
    }

    /// Counts in the item's text. A result that is not longer is padded with blanks in
    /// place and leaves all but value, CAS id and time; a longer one makes a new item.
    pub(super) fn count(
        &mut self,
        tick: i64,
        origin: Origin,
        key: &Key,
        (direction, delta): (Direction, u64),
        cas: Option<u64>,
    ) -> Counted {
        self.trace.cas = 0;
        let Some(place) = self.find(tick, key.as_bytes()) else { return Counted::Missing };
        let entry = self.items.entry(place);
        // Asked before the CAS id is compared, as is what memcached keeps in several chunks.
        if entry.value.is_empty() || entry.bytes() > CHUNKED_BYTES {
            return Counted::NotNumeric;
        }
        if cas.is_some_and(|cas| cas != 0 && cas != entry.cas) {
            return Counted::OtherCas;
        }
        let Some(number) = leading_u64(&entry.value) else { return Counted::NotNumeric };
        let number = match direction {
            Direction::Increment => number.wrapping_add(delta),
            Direction::Decrement => number.saturating_sub(delta),
        };
        let text = format!("{number:<width$}", width = entry.value.len());
        let grown = if text.len() > entry.value.len() { Grown::Yes } else { Grown::No };
        let value = Bytes::from(text);
        match grown {
            Grown::No => self.overwrite(tick, origin, place, value),
            Grown::Yes => {
                let (flags, expires) = (entry.flags, entry.expires);
                let mode = Mode::Replace;
                let offer = Offer {
                    mode,
                    key,
                    value: &value,
                    flags,
                    expires,
                    token: 0,
                    may_be_stale: false,
                };
                self.put_over(tick, origin, &offer, place);
            }
        }
        Counted::Number(number, place, grown)
    }

    /// Gives an item another value of the same length, and a new CAS id.
    fn overwrite(&mut self, tick: i64, origin: Origin, place: u32, value: Bytes) {
        let cas = self.next_cas();
        self.trace.cas = cas;
        let entry = self.items.entry_mut(place);
        assert_eq!(entry.value.len(), value.len(), "a counter is padded to its length");
        entry.value = value;
        entry.cas = cas;
        entry.origin = origin;
        entry.time = tick;
        self.items.bump(place);
    }

    /// What is older than the given moment is gone, once that moment has come.
    pub(super) fn flush(&mut self, tick: i64, delay: i64) -> CacheReply {
        let moment = if delay > 0 { self.expiry_tick(tick, Ttl(delay)) } else { tick };
        self.oldest_live = moment - 1;
        if self.oldest_live <= tick {
            self.oldest_cas = self.next_cas();
        }
        CacheReply::Ok
    }
}

//! One modelled memcached server: items, expiry, eviction, and the classic commands.

use bytes::{BufMut, Bytes, BytesMut};
use rustc_hash::FxHashMap;

use crate::backend::Origin;
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, Direction, Footprint, Item, Key, Location, NodeId,
    Remaining, Ttl, Verb, Win,
};
use crate::time::Time;

/// What a node may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many items.
    pub items: Option<usize>,
    /// At most so many bytes of keys, values and headers.
    pub bytes: Option<u64>,
}

/// The header that each item has beside key and value, with its CAS id.
const ITEM_HEADER_BYTES: u64 = 56;
/// The largest item, header included.
const ITEM_BYTES_MAX: u64 = 1 << 20;
/// Longer keys are refused.
const KEY_BYTES_MAX: usize = 250;
/// Up to here an expiry is relative: 30 days.
const RELATIVE_SECONDS_MAX: i64 = 60 * 60 * 24 * 30;
/// The unix time at which every simulated run begins.
const EPOCH_SECONDS: i64 = 1_700_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// A server's tick counter does not begin at 0, which would mean "never".
const FIRST_TICK: i64 = 2;
/// The end of the LRU list.
const NIL: u32 = u32::MAX;

/// An item as the node keeps it.
#[derive(Clone, Debug)]
pub struct Entry {
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
    pub(super) win_sent: bool,
    pub(super) fetched: bool,
    /// The tick at which it is gone; `None` is never.
    pub(super) expires: Option<i64>,
    /// The tick at which it was stored or last used, as `flush_all` sees it.
    pub(super) time: i64,
    key: Key,
    newer: u32,
    older: u32,
}

/// One server.
#[derive(Clone, Debug)]
pub struct Node {
    id: NodeId,
    limits: Limits,
    phase: u64,
    jumped: i64,
    places: FxHashMap<Key, u32>,
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
    bytes: u64,
    last_cas: u64,
    /// `flush_all`: items not used since this tick are gone once it has come, and items
    /// with a lower CAS id.
    oldest_live: Option<i64>,
    oldest_cas: u64,
    evicted: Vec<Key>,
}

impl Node {
    /// An empty server whose clock was `phase` nanoseconds into its second at the start.
    pub fn new(id: NodeId, limits: Limits, phase: u64) -> Node {
        Node {
            id,
            limits,
            phase: phase % NANOS_PER_SECOND,
            jumped: 0,
            places: FxHashMap::default(),
            entries: Vec::new(),
            free: Vec::new(),
            newest: NIL,
            oldest: NIL,
            bytes: 0,
            last_cas: 0,
            oldest_live: None,
            oldest_cas: 0,
            evicted: Vec::new(),
        }
    }

    /// The server's clock: whole seconds.
    pub fn tick(&self, now: Time) -> i64 {
        ((now.0 + self.phase) / NANOS_PER_SECOND) as i64 + FIRST_TICK + self.jumped
    }

    /// The point in time at which an item is gone; `None` when never, or when there is none.
    pub fn expiry(&self, key: &Key) -> Option<Time> {
        let place = self.places.get(key)?;
        let expires = self.entry(*place).expires?;
        let seconds = u64::try_from(expires - FIRST_TICK - self.jumped).unwrap_or(0);
        Some(Time((seconds * NANOS_PER_SECOND).saturating_sub(self.phase)))
    }

    /// An item, without any effect on it.
    pub fn peek(&self, now: Time, key: &Key) -> Option<&Entry> {
        let entry = self.entry(*self.places.get(key)?);
        self.is_live(entry, self.tick(now)).then_some(entry)
    }

    /// Carries out a command.
    pub fn execute(
        &mut self,
        now: Time,
        origin: Origin,
        command: &CacheCommand,
        footprint: &mut Footprint,
    ) -> CacheReply {
        self.note(command, footprint);
        let tick = self.tick(now);
        if command.key().is_some_and(|key| key.as_bytes().len() > KEY_BYTES_MAX) {
            return CacheReply::Refusal(CacheRefusal::BadCommandLine);
        }
        match command {
            CacheCommand::Get { key } => self.get(tick, key, None),
            CacheCommand::GetAndTouch { key, ttl } => self.get(tick, key, Some(*ttl)),
            CacheCommand::Store { verb, key, value, flags, ttl } => {
                self.store(tick, origin, *verb, key, value, *flags, *ttl)
            }
            CacheCommand::Delete { key } => match self.find(tick, key) {
                Some(place) => {
                    self.remove(place);
                    CacheReply::Deleted
                }
                None => CacheReply::NotFound,
            },
            CacheCommand::Touch { key, ttl } => match self.find(tick, key) {
                Some(place) => {
                    self.entry_mut(place).expires = expiry_tick(tick, *ttl);
                    CacheReply::Touched
                }
                None => CacheReply::NotFound,
            },
            CacheCommand::Arithmetic { direction, key, delta } => match self.find(tick, key) {
                Some(place) => self.count(place, origin, *direction, *delta),
                None => CacheReply::NotFound,
            },
            CacheCommand::FlushAll { delay } => self.flush(tick, delay.unwrap_or(0)),
            CacheCommand::MetaGet(get) => self.meta_get(tick, origin, get),
            CacheCommand::MetaSet(set) => self.meta_set(tick, origin, set),
            CacheCommand::MetaDelete(delete) => self.meta_delete(tick, delete),
            CacheCommand::MetaArithmetic(count) => self.meta_arithmetic(tick, origin, count),
            CacheCommand::Version => CacheReply::Version("1.6.18".to_owned()),
        }
    }

    fn note(&self, command: &CacheCommand, footprint: &mut Footprint) {
        let bounded = self.limits != Limits::default();
        let node = || Location::Node(self.id);
        match command.key() {
            // Under a limit even a get reorders the LRU, and so decides what is evicted.
            Some(_) if bounded => footprint.write(node),
            Some(key) if command.has_effect() => {
                footprint.write(|| Location::Item(self.id, key.clone()));
            }
            Some(key) => footprint.read(|| Location::Item(self.id, key.clone())),
            None if command.has_effect() => footprint.write(node),
            None => {}
        }
    }

    fn get(&mut self, tick: i64, key: &Key, touch: Option<Ttl>) -> CacheReply {
        let Some(place) = self.find(tick, key) else { return CacheReply::Miss };
        if let Some(ttl) = touch {
            self.entry_mut(place).expires = expiry_tick(tick, ttl);
        }
        let item = self.item(place, tick, Win::None);
        self.entry_mut(place).fetched = true;
        self.bump(place);
        CacheReply::Found(item)
    }

    /// An item as a get shows it.
    pub(super) fn item(&self, place: u32, tick: i64, win: Win) -> Item {
        let entry = self.entry(place);
        Item {
            value: entry.value.clone(),
            flags: entry.flags,
            cas: entry.cas,
            remaining: remaining(entry, tick),
            stale: entry.stale,
            win,
            fetched: entry.fetched,
            idle_seconds: u32::try_from(tick - entry.time).unwrap_or(0),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the fields of one command")]
    fn store(
        &mut self,
        tick: i64,
        origin: Origin,
        verb: Verb,
        key: &Key,
        value: &Bytes,
        flags: u32,
        ttl: Ttl,
    ) -> CacheReply {
        let place = self.find(tick, key);
        if item_bytes(key, value) > ITEM_BYTES_MAX {
            // Only a plain set removes what it was meant to replace.
            if let (Some(place), Verb::Set) = (place, verb) {
                self.remove(place);
            }
            return CacheReply::Refusal(CacheRefusal::TooLarge);
        }
        match (verb, place) {
            (Verb::Add, Some(place)) => {
                self.bump(place);
                CacheReply::NotStored
            }
            (Verb::Replace | Verb::Append | Verb::Prepend, None) => CacheReply::NotStored,
            (Verb::Cas(_), None) => CacheReply::NotFound,
            (Verb::Cas(token), Some(place)) if self.entry(place).cas != token => CacheReply::Exists,
            (Verb::Append | Verb::Prepend, Some(place)) => {
                self.extend(place, origin, value, verb == Verb::Append)
            }
            _ => {
                self.put(tick, origin, key, value.clone(), flags, ttl);
                CacheReply::Stored
            }
        }
    }

    /// Appending keeps flags and expiry.
    pub(super) fn extend(
        &mut self,
        place: u32,
        origin: Origin,
        more: &Bytes,
        behind: bool,
    ) -> CacheReply {
        let entry = self.entry(place);
        let (first, second) = if behind { (&entry.value, more) } else { (more, &entry.value) };
        let mut joined = BytesMut::with_capacity(first.len() + second.len());
        joined.put_slice(first);
        joined.put_slice(second);
        let joined = joined.freeze();
        if item_bytes(&entry.key, &joined) > ITEM_BYTES_MAX {
            return CacheReply::NotStored;
        }
        self.overwrite(place, origin, joined);
        self.make_room();
        CacheReply::Stored
    }

    /// Gives an item a new value and CAS id and leaves the rest.
    fn overwrite(&mut self, place: u32, origin: Origin, value: Bytes) {
        let cas = self.next_cas();
        let entry = self.entry_mut(place);
        let before = entry.value.len() as u64;
        let after = value.len() as u64;
        entry.value = value;
        entry.cas = cas;
        entry.origin = origin;
        self.bytes = self.bytes - before + after;
    }

    pub(super) fn count(
        &mut self,
        place: u32,
        origin: Origin,
        direction: Direction,
        delta: u64,
    ) -> CacheReply {
        let entry = self.entry(place);
        let text = std::str::from_utf8(&entry.value).unwrap_or("").trim_end_matches(' ');
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = text.parse::<u64>().ok().filter(|_| digits) else {
            return CacheReply::Refusal(CacheRefusal::NotNumeric);
        };
        let number = match direction {
            Direction::Increment => number.wrapping_add(delta),
            Direction::Decrement => number.saturating_sub(delta),
        };
        // A result shorter than what was stored is padded to the same length.
        let padded = format!("{number:<width$}", width = entry.value.len());
        self.overwrite(place, origin, Bytes::from(padded));
        CacheReply::Number(number)
    }

    fn flush(&mut self, tick: i64, delay: i64) -> CacheReply {
        if delay > 1 {
            self.oldest_live = Some(tick + delay - 1);
        } else {
            self.oldest_live = Some(tick - 1);
            self.oldest_cas = self.next_cas();
        }
        CacheReply::Ok
    }

    /// Stores an item anew.
    pub(super) fn put(
        &mut self,
        tick: i64,
        origin: Origin,
        key: &Key,
        value: Bytes,
        flags: u32,
        ttl: Ttl,
    ) -> u32 {
        if let Some(place) = self.places.get(key) {
            self.remove(*place);
        }
        let cas = self.next_cas();
        let entry = Entry {
            value,
            flags,
            cas,
            origin,
            stale: false,
            win_sent: false,
            fetched: false,
            expires: expiry_tick(tick, ttl),
            time: tick,
            key: key.clone(),
            newer: NIL,
            older: NIL,
        };
        self.bytes += item_bytes(key, &entry.value);
        let place = match self.free.pop() {
            Some(place) => {
                self.entries[place as usize] = Some(entry);
                place
            }
            None => {
                self.entries.push(Some(entry));
                (self.entries.len() - 1) as u32
            }
        };
        self.places.insert(key.clone(), place);
        self.link_newest(place);
        self.make_room();
        place
    }

    /// Evicts from the old end of the LRU until the limits hold.
    fn make_room(&mut self) {
        let over = |node: &Node| {
            node.limits.items.is_some_and(|limit| node.places.len() > limit)
                || node.limits.bytes.is_some_and(|limit| node.bytes > limit)
        };
        while over(self) && self.oldest != NIL {
            let oldest = self.oldest;
            self.evicted.push(self.entry(oldest).key.clone());
            self.remove(oldest);
        }
    }

    pub(super) fn take_evicted(&mut self, into: &mut Vec<(NodeId, Key)>) {
        let id = self.id;
        into.extend(self.evicted.drain(..).map(|key| (id, key)));
    }

    pub(super) fn next_cas(&mut self) -> u64 {
        self.last_cas += 1;
        self.last_cas
    }

    /// The place of a live item; one that has expired or was flushed is removed.
    pub(super) fn find(&mut self, tick: i64, key: &Key) -> Option<u32> {
        let place = *self.places.get(key)?;
        if self.is_live(self.entry(place), tick) {
            return Some(place);
        }
        self.remove(place);
        None
    }

    fn is_live(&self, entry: &Entry, tick: i64) -> bool {
        let expired = entry.expires.is_some_and(|expires| expires <= tick);
        let flushed = self.oldest_live.is_some_and(|live| {
            live <= tick && (entry.time <= live || entry.cas < self.oldest_cas)
        });
        !expired && !flushed
    }

    pub(super) fn entry(&self, place: u32) -> &Entry {
        self.entries[place as usize].as_ref().expect("places name entries that exist")
    }

    pub(super) fn entry_mut(&mut self, place: u32) -> &mut Entry {
        self.entries[place as usize].as_mut().expect("places name entries that exist")
    }

    pub(super) fn remove(&mut self, place: u32) {
        self.unlink(place);
        let entry = self.entries[place as usize].take().expect("places name entries that exist");
        self.bytes -= item_bytes(&entry.key, &entry.value);
        self.places.remove(&entry.key);
        self.free.push(place);
    }

    pub(super) fn bump(&mut self, place: u32) {
        if self.newest != place {
            self.unlink(place);
            self.link_newest(place);
        }
    }

    fn unlink(&mut self, place: u32) {
        let (newer, older) = (self.entry(place).newer, self.entry(place).older);
        match newer {
            NIL => self.newest = older,
            newer => self.entry_mut(newer).older = older,
        }
        match older {
            NIL => self.oldest = newer,
            older => self.entry_mut(older).newer = newer,
        }
    }

    fn link_newest(&mut self, place: u32) {
        let second = self.newest;
        let entry = self.entry_mut(place);
        entry.newer = NIL;
        entry.older = second;
        match second {
            NIL => self.oldest = place,
            second => self.entry_mut(second).newer = place,
        }
        self.newest = place;
    }

    /// Removes one item; says whether there was one.
    pub fn evict(&mut self, now: Time, key: &Key) -> bool {
        let place = self.find(self.tick(now), key);
        if let Some(place) = place {
            self.remove(place);
        }
        place.is_some()
    }

    /// The process is killed and started again: no items, CAS ids from 1.
    pub fn restart(&mut self, now: Time) {
        // The new process's ticks begin now.
        let phase = NANOS_PER_SECOND - now.0 % NANOS_PER_SECOND;
        *self = Node::new(self.id, self.limits, phase);
    }

    /// The clock that the ticks follow jumps, as on a machine that was suspended.
    pub fn jump(&mut self, seconds: i64) {
        self.jumped = self.jumped.saturating_add(seconds);
    }
}

/// The tick at which an item stored now with this expiry is gone.
pub(super) fn expiry_tick(tick: i64, ttl: Ttl) -> Option<i64> {
    match ttl.0 as i32 {
        0 => None,
        ..0 => Some(tick - 1),
        seconds if i64::from(seconds) <= RELATIVE_SECONDS_MAX => Some(tick + i64::from(seconds)),
        absolute => Some((i64::from(absolute) - EPOCH_SECONDS + FIRST_TICK).max(1)),
    }
}

fn remaining(entry: &Entry, tick: i64) -> Remaining {
    match entry.expires {
        None => Remaining::Never,
        Some(expires) => Remaining::Seconds(u32::try_from(expires - tick).unwrap_or(0)),
    }
}

pub(super) fn is_too_large(key: &Key, value: &Bytes) -> bool {
    item_bytes(key, value) > ITEM_BYTES_MAX
}

fn item_bytes(key: &Key, value: &Bytes) -> u64 {
    ITEM_HEADER_BYTES + key.as_bytes().len() as u64 + 1 + value.len() as u64 + 2
}

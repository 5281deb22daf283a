//! One modelled memcached server: its clock, its limits, and which command goes where.

use super::entry::{Entry, NEVER};
use super::items::Items;
use super::meta::MetaExtras;
use super::tally::Tally;
use super::{KEY_BYTES_MAX, VERSION};
use crate::backend::Origin;
use crate::step::{CacheCommand, CacheRefusal, CacheReply, Footprint, Key, NodeId, Remaining, Ttl};
use crate::time::Time;

/// What a node may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// At most so many items.
    pub items: Option<usize>,
    /// At most so many bytes of keys, values and headers.
    pub bytes: Option<u64>,
}

/// Up to here an expiry is relative: 30 days.
const RELATIVE_SECONDS_MAX: i64 = 60 * 60 * 24 * 30;
/// The unix time at which a simulated run begins.
const EPOCH_SECONDS: i64 = 1_700_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// The tick in which a server starts, so that tick 1 is always over.
const FIRST_TICK: i64 = 62;
/// The expiry of what is gone at once.
const AT_ONCE: i64 = 1;

/// What the protocols tell of a command's effect beside its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The CAS id that the item has now, of a command that gave it one; else 0.
    pub cas: u64,
    /// A meta get or meta arithmetic: what remained before it changed the expiry.
    pub before: Remaining,
    /// A meta get or meta arithmetic: what remains now.
    pub after: Remaining,
    /// A meta get or meta arithmetic: it created the item.
    pub created: bool,
    /// A meta get: the item was stored under a key in base64.
    pub base64_key: bool,
}

impl Trace {
    const NOTHING: Trace = Trace {
        cas: 0,
        before: Remaining::Never,
        after: Remaining::Never,
        created: false,
        base64_key: false,
    };
}

/// One server.
#[derive(Clone, Debug)]
pub struct Node {
    pub(super) id: NodeId,
    pub(super) limits: Limits,
    /// The limits that it was started with, and has again after a restart.
    pub(super) first_limits: Limits,
    /// Whether a restart may let the CAS ids begin anew; see [`Node::may_restart`].
    pub(super) may_restart: bool,
    pub(super) items: Items,
    pub(super) last_cas: u64,
    /// How many items it has made: `total_items`.
    pub(super) items_made: u64,
    /// `flush_all`: once this tick has come, what is not newer than it is gone, and so are
    /// lower CAS ids than `oldest_cas`. 0 is none.
    pub(super) oldest_live: i64,
    pub(super) oldest_cas: u64,
    pub(super) trace: Trace,
    pub(super) tally: Tally,
    pub(super) evicted: Vec<Key>,
    /// How far its clock is into a second at time 0, in nanoseconds.
    pub(super) phase: u64,
    /// The second, counted with the phase from time 0, in which it was started.
    pub(super) started: i64,
    /// By how many ticks its clock has been moved.
    pub(super) jumped: i64,
    /// By how many seconds the clock that clients read has moved since it was started.
    pub(super) wall_jumped: i64,
    /// The unix time at time 0.
    pub(super) epoch: i64,
}

impl Node {
    /// An empty server whose clock was `phase` nanoseconds into its second at the start.
    pub fn new(id: NodeId, limits: Limits, phase: u64) -> Node {
        Node {
            id,
            limits,
            first_limits: limits,
            may_restart: false,
            items: Items::new(),
            last_cas: 0,
            items_made: 0,
            oldest_live: 0,
            oldest_cas: 0,
            trace: Trace::NOTHING,
            tally: Tally::default(),
            evicted: Vec::new(),
            phase: phase % NANOS_PER_SECOND,
            started: 0,
            jumped: 0,
            wall_jumped: 0,
            epoch: EPOCH_SECONDS,
        }
    }

    /// Its place in the list of nodes.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The same server for a time that begins at this unix time.
    pub fn with_epoch(self, unix_seconds: i64) -> Node {
        Node { epoch: unix_seconds, ..self }
    }

    /// The same server with a CAS counter that has come so far.
    pub fn with_last_cas(self, last_cas: u64) -> Node {
        Node { last_cas, ..self }
    }

    /// From now on commands that draw a CAS id are not independent of each other: to be
    /// called before an exploration in which the node can be restarted. CAS ids then begin at
    /// 1 again, and it depends on the numbers whether an old token matches a new item.
    pub fn may_restart(&mut self) {
        self.may_restart = true;
    }

    /// Everything as it was when the node was created, with another phase.
    pub fn reset(&mut self, phase: u64) {
        self.forget();
        self.phase = phase % NANOS_PER_SECOND;
        self.started = 0;
        self.jumped = 0;
        self.wall_jumped = 0;
    }

    fn forget(&mut self) {
        self.items.clear();
        self.last_cas = 0;
        self.items_made = 0;
        self.oldest_live = 0;
        self.oldest_cas = 0;
        self.trace = Trace::NOTHING;
        self.tally = Tally::default();
        self.evicted.clear();
        self.limits = self.first_limits;
    }

    fn second(&self, now: Time) -> i64 {
        (now.0.saturating_add(self.phase) / NANOS_PER_SECOND) as i64
    }

    /// The server's clock: whole seconds.
    #[inline]
    pub fn tick(&self, now: Time) -> i64 {
        let tick = self.second(now) - self.started + FIRST_TICK + self.jumped;
        tick.max(AT_ONCE + 1)
    }

    /// How many seconds the server says it has been up: memcached begins with 2.
    pub fn uptime_seconds(&self, now: Time) -> i64 {
        self.tick(now) - FIRST_TICK + 2
    }

    /// The tick at which something with this expiry, given now, is over.
    pub(super) fn expiry_tick(&self, tick: i64, ttl: Ttl) -> i64 {
        match ttl.0 {
            0 => NEVER,
            ..0 => AT_ONCE,
            1..=RELATIVE_SECONDS_MAX => tick + ttl.0,
            absolute => {
                // The server takes note of the unix time once, when it starts.
                let process_started = self.epoch + self.started - FIRST_TICK;
                absolute.saturating_add(self.wall_jumped - process_started).max(AT_ONCE)
            }
        }
    }

    /// What memcached shows to remain of a life of this expiry, given now: for one that is
    /// over at once a number of 32 bits that has wrapped around.
    pub fn remaining(&self, now: Time, ttl: Ttl) -> Remaining {
        self.remaining_at(self.tick(now), ttl)
    }

    pub(super) fn remaining_at(&self, tick: i64, ttl: Ttl) -> Remaining {
        match self.expiry_tick(tick, ttl) {
            NEVER => Remaining::Never,
            expires => Remaining::Seconds((expires - tick) as u32),
        }
    }

    /// The point in time at which an item is gone by itself, by expiry or by a `flush_all`
    /// with a delay; `None` when never, or when there is no item.
    pub fn expiry(&self, key: &Key) -> Option<Time> {
        let entry = self.items.entry(self.items.place(key.as_bytes())?);
        let flushed = Some(self.oldest_live).filter(|live| *live != 0 && entry.time <= *live);
        let expired = Some(entry.expires).filter(|expires| *expires != NEVER);
        let tick = flushed.into_iter().chain(expired).min()?;
        let seconds = tick - FIRST_TICK - self.jumped + self.started;
        let nanos = u64::try_from(seconds).unwrap_or(0).saturating_mul(NANOS_PER_SECOND);
        Some(Time(nanos.saturating_sub(self.phase)))
    }

    /// When each item that will be gone by itself will be.
    pub(super) fn expiries(&self) -> impl Iterator<Item = Time> {
        self.items.oldest_first().filter_map(|entry| self.expiry(&entry.key))
    }

    /// An item, without any effect on it.
    pub fn peek(&self, now: Time, key: &Key) -> Option<&Entry> {
        let entry = self.items.entry(self.items.place(key.as_bytes())?);
        self.is_live(entry, self.tick(now)).then_some(entry)
    }

    /// The live items, from the one that would be evicted first.
    pub fn entries(&self, now: Time) -> impl Iterator<Item = &Entry> {
        let tick = self.tick(now);
        self.items.oldest_first().filter(move |entry| self.is_live(entry, tick))
    }

    /// Whether it holds an item that a client can find.
    pub fn holds_items(&self, now: Time) -> bool {
        self.entries(now).next().is_some()
    }

    /// Whether a restart would change anything: it holds items, or has given out CAS numbers,
    /// which begin anew then.
    pub fn has_something_to_lose(&self, now: Time) -> bool {
        self.last_cas > 0 || self.holds_items(now)
    }

    /// What remains of an item's life.
    pub fn remaining_of(&self, now: Time, entry: &Entry) -> Remaining {
        entry.remaining(self.tick(now))
    }

    /// The unix time at which an item expires; `None` is never.
    pub fn expires_at(&self, now: Time, entry: &Entry) -> Option<i64> {
        let remains = entry.expires - self.tick(now);
        (entry.expires != NEVER).then(|| self.unix_seconds(now) + remains)
    }

    /// Seconds since the last access to an item that memcached took note of.
    pub fn idle_seconds(&self, now: Time, entry: &Entry) -> i64 {
        self.tick(now) - entry.time
    }

    /// What an absolute expiry is compared with, but for the time that has passed.
    pub(super) fn clock_moves(&self) -> i64 {
        self.wall_jumped - self.jumped
    }

    /// What the node takes for the unix time.
    pub fn unix_seconds(&self, now: Time) -> i64 {
        self.epoch + self.second(now) + self.wall_jumped
    }

    /// How many items it holds, with those that have expired and not yet been met.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.items.len() == 0
    }

    /// How many items it has made since it was started.
    pub fn items_made(&self) -> u64 {
        self.items_made
    }

    /// What its items count for in the limit on bytes.
    pub fn bytes(&self) -> u64 {
        self.items.bytes()
    }

    /// What it may hold.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Sets what it may hold, and evicts down to it.
    pub fn set_limits(&mut self, now: Time, limits: Limits) {
        self.limits = limits;
        self.make_room(self.tick(now));
    }

    /// What the last command did beside its reply.
    pub fn trace(&self) -> Trace {
        self.trace
    }

    /// Carries out a command.
    #[inline]
    pub fn execute(
        &mut self,
        now: Time,
        origin: Origin,
        command: &CacheCommand,
        footprint: &mut Footprint,
    ) -> CacheReply {
        self.execute_with(now, origin, command, MetaExtras::default(), footprint)
    }

    /// Carries out a command of the meta protocol with what it asks besides.
    pub fn execute_with(
        &mut self,
        now: Time,
        origin: Origin,
        command: &CacheCommand,
        extras: MetaExtras,
        footprint: &mut Footprint,
    ) -> CacheReply {
        if footprint.is_on() {
            self.note(command, footprint);
        }
        let bad_key = |key: &Key| !(1..=KEY_BYTES_MAX).contains(&key.as_bytes().len());
        if command.key().is_some_and(bad_key) {
            return CacheReply::Refusal(CacheRefusal::BadCommandLine);
        }
        let tick = self.tick(now);
        match command {
            CacheCommand::Get { key } => self.get(tick, key, None),
            CacheCommand::GetAndTouch { key, ttl } => self.get(tick, key, Some(*ttl)),
            CacheCommand::Store { verb, key, value, flags, ttl } => {
                self.store(tick, origin, (*verb, key, value), *flags, *ttl)
            }
            CacheCommand::Delete { key } => self.delete(tick, key),
            CacheCommand::Touch { key, ttl } => match self.get(tick, key, Some(*ttl)) {
                CacheReply::Found(_) => CacheReply::Touched,
                _ => CacheReply::NotFound,
            },
            CacheCommand::Arithmetic { direction, key, delta } => {
                self.arithmetic(tick, origin, key, *direction, *delta)
            }
            CacheCommand::FlushAll { delay } => self.flush(tick, delay.unwrap_or(0)),
            CacheCommand::MetaGet(get) => self.meta_get(tick, origin, get, extras),
            CacheCommand::MetaSet(set) => self.meta_set(tick, origin, set, extras),
            CacheCommand::MetaDelete(delete) => self.meta_delete(tick, delete),
            CacheCommand::MetaArithmetic(count) => {
                self.meta_arithmetic(tick, origin, count, extras)
            }
            CacheCommand::Version => CacheReply::Version(VERSION.to_owned()),
        }
    }

    pub(super) fn next_cas(&mut self) -> u64 {
        self.last_cas += 1;
        self.last_cas
    }

    /// The place of a live item; one that has expired or was flushed is removed.
    #[inline]
    pub(super) fn find(&mut self, tick: i64, key: &[u8]) -> Option<u32> {
        let place = self.items.place(key)?;
        if self.is_live(self.items.entry(place), tick) {
            return Some(place);
        }
        let entry = self.items.remove(place);
        self.tally.met(self.is_flushed(&entry, tick));
        None
    }

    #[inline]
    pub(super) fn is_live(&self, entry: &Entry, tick: i64) -> bool {
        !self.is_flushed(entry, tick) && (entry.expires == NEVER || entry.expires > tick)
    }

    pub(super) fn is_flushed(&self, entry: &Entry, tick: i64) -> bool {
        self.oldest_live != 0
            && self.oldest_live <= tick
            && (entry.time <= self.oldest_live || entry.cas < self.oldest_cas)
    }

    /// Whether an item of this size could ever be held.
    pub(super) fn can_hold(&self, item_bytes: u64) -> bool {
        self.limits.items != Some(0) && self.limits.bytes.is_none_or(|limit| item_bytes <= limit)
    }

    /// Evicts from the old end of the LRU until the limits hold. What is gone anyway is
    /// reclaimed on the way and not counted as evicted.
    pub(super) fn make_room(&mut self, tick: i64) {
        while self.limits.items.is_some_and(|limit| self.items.len() > limit)
            || self.limits.bytes.is_some_and(|limit| self.items.bytes() > limit)
        {
            let Some(oldest) = self.items.oldest() else { return };
            let entry = self.items.remove(oldest);
            if self.is_live(&entry, tick) {
                self.tally.evicted(&entry);
                self.evicted.push(entry.key);
            } else {
                self.tally.reclaimed(&entry);
            }
        }
    }

    /// What became of items since the start or the last [`Node::forget_tally`].
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Counts from zero again.
    pub fn forget_tally(&mut self) {
        self.tally = Tally::default();
    }

    pub(crate) fn has_evicted(&self) -> bool {
        !self.evicted.is_empty()
    }

    /// The keys evicted since the last call.
    pub fn take_evicted(&mut self) -> impl Iterator<Item = Key> {
        self.evicted.drain(..)
    }

    /// Removes one item; says whether there was one.
    pub fn evict(&mut self, now: Time, key: &Key) -> bool {
        match self.find(self.tick(now), key.as_bytes()) {
            Some(place) => {
                self.items.remove(place);
                true
            }
            None => false,
        }
    }

    /// The process is killed and started again: no items, CAS ids from 1, a tick that
    /// begins now.
    pub fn restart(&mut self, now: Time) {
        self.forget();
        self.align(now);
        self.started = self.second(now);
        self.jumped = 0;
        self.wall_jumped = 0;
    }

    /// The process is stopped with its memory file (`-e`) and started again: items, CAS ids
    /// and flushes are kept and expiry went on; only the tick begins now.
    pub fn restart_warm(&mut self, now: Time) {
        let tick = self.tick(now);
        self.align(now);
        self.started = self.second(now) + FIRST_TICK + self.jumped - tick;
    }

    fn align(&mut self, now: Time) {
        self.phase = (NANOS_PER_SECOND - now.0 % NANOS_PER_SECOND) % NANOS_PER_SECOND;
    }

    /// The clock that the ticks follow jumps, as on a machine that was suspended: every
    /// expiry comes so much sooner.
    pub fn jump(&mut self, seconds: i64) {
        self.jumped = self.jumped.saturating_add(seconds);
    }

    /// The machine's wall clock jumps, and with it what clients write as absolute expiry.
    /// The ticks do not follow, and the server read the wall clock only when it started: an
    /// absolute expiry given after a jump by +n comes n seconds late, a relative one in time.
    pub fn jump_wall(&mut self, seconds: i64) {
        self.wall_jumped = self.wall_jumped.saturating_add(seconds);
    }
}

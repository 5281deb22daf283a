//! A history as a register's clients see it: reads and writes of keys, with intervals.
//!
//! This is what the checkers of `check::linear` and its siblings judge, whoever recorded it:
//! a file of any program, a simulated run, an explored schedule. [`Op`] is plain data.

use std::sync::OnceLock;

use rustc_hash::FxHashMap;

use super::file::interner::{Index, Interner};
use super::record::{Effect, KeyId, Phases, Reported};
use crate::operation::{ClientId, Outcome};
use crate::time::Time;

/// A value, numbered within its key; names are looked up only to print them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u32);

impl Value {
    /// The value of an absent key; a delete writes it.
    pub const NULL: Value = Value(0);
}

/// Whether an operation reads or writes; a delete is a write of [`Value::NULL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It read the value.
    Read,
    /// It wrote the value.
    Write,
}

/// One operation on one key.
///
/// Its interval is closed: `a` precedes `b` only if `a.end < b.start`. The end counts only
/// where the outcome is ok; an unknown write may take effect at any time from its start on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    /// When it was invoked; at most [`Op::LATEST`].
    pub start: Time,
    /// When it returned, at most [`Op::LATEST`]; [`Time::NEVER`] when it did not.
    pub end: Time,
    /// The key.
    pub key: KeyId,
    /// The client, by its place in [`Log::clients`].
    pub client: ClientId,
    /// What was read or written.
    pub value: Value,
    /// Read or write.
    pub kind: Kind,
    /// What became of it.
    pub outcome: Outcome,
}

impl Op {
    /// The latest time that an operation may carry.
    pub const LATEST: Time = Time(u64::MAX - 2);

    /// A read or write of key 0 that is ok, by a client, in a closed interval.
    pub fn new(client: u32, kind: Kind, value: Value, start: u64, end: u64) -> Op {
        Op {
            start: Time(start),
            end: Time(end),
            key: KeyId(0),
            client: ClientId(client),
            value,
            kind,
            outcome: Outcome::Ok,
        }
    }

    /// The same operation with its outcome unknown.
    pub fn unknown(self) -> Op {
        Op { end: Time::NEVER, outcome: Outcome::Unknown, ..self }
    }

    /// The same operation, certainly without effect.
    pub fn failed(self) -> Op {
        Op { outcome: Outcome::Failed, ..self }
    }

    /// Whether it may have changed the register.
    pub fn may_write(&self) -> bool {
        self.kind == Kind::Write && self.outcome != Outcome::Failed
    }

    /// Whether it certainly saw the value that it carries.
    pub fn has_read(&self) -> bool {
        self.kind == Kind::Read && self.outcome == Outcome::Ok
    }

    /// The time from which on it can no longer take effect: its end, or never.
    pub fn deadline(&self) -> Time {
        if self.outcome == Outcome::Ok { self.end } else { Time::NEVER }
    }

    /// Whether it was over before the other began.
    pub fn precedes(&self, other: &Op) -> bool {
        self.deadline() < other.start
    }
}

/// What only some histories say about an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// The database's version of the value read or written.
    pub version: Option<u64>,
    /// The group of operations that belong together, from 1; 0 for none.
    pub group: u32,
    /// Whether a read was served by the cache.
    pub hit: Option<bool>,
    /// What the caller was told.
    pub reported: Option<Reported>,
    /// What it did to the database.
    pub effect: Option<Effect>,
}

/// A fault that struck while the history was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In words.
    pub what: String,
    /// When it struck.
    pub at: Time,
    /// When it ended, for one that lasts.
    pub until: Option<Time>,
}

/// A history: operations on keys, and the names of everything.
#[derive(Debug, Default)]
pub struct Log {
    /// The operations, in the order of the file.
    pub ops: Vec<Op>,
    /// What else is said about each of them; empty if nothing is said about any.
    pub extras: Vec<Extra>,
    /// The clients' numbers, by place.
    pub clients: Vec<i128>,
    /// Each key's value at the start, by the key's number.
    pub initial: Vec<Value>,
    /// The faults that struck, in the order of the file.
    pub faults: Vec<Fault>,
    /// When faults ended, all was quiet, the audit took place, where it is known.
    pub phases: Option<Phases>,
    /// What was added to the recorded times, so that 64 bits without a sign hold them.
    pub shift: i128,
    names: Names,
}

/// The strings of a history.
#[derive(Debug, Default)]
struct Names {
    keys: Interner,
    values: Interner,
    groups: Interner,
    index: OnceLock<(Index, Index)>,
    clients: FxHashMap<i128, ClientId>,
}

impl Log {
    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.initial.len()
    }

    /// A key's name.
    pub fn key_name(&self, key: KeyId) -> &str {
        let (keys, _) = self.index();
        self.names.keys.text(keys.place(0, key.0))
    }

    /// A value's name; `None` for absence.
    pub fn value_name(&self, key: KeyId, value: Value) -> Option<&str> {
        let (_, values) = self.index();
        let number = value.0.checked_sub(1)?;
        Some(self.names.values.text(values.place(key.0, number)))
    }

    /// The bytes of a value's name, which need not be text for a value that no operation has.
    pub(crate) fn value_bytes(&self, key: KeyId, value: Value) -> Option<&[u8]> {
        let (_, values) = self.index();
        let number = value.0.checked_sub(1)?;
        Some(self.names.values.bytes(values.place(key.0, number)))
    }

    /// What else is said about an operation.
    pub fn extra(&self, place: usize) -> Extra {
        self.extras.get(place).copied().unwrap_or_default()
    }

    /// A time as it was recorded.
    pub fn recorded(&self, time: Time) -> i128 {
        i128::from(time.0) - self.shift
    }

    /// The places of the operations, by key and then in the order of the file, and where each
    /// key's begin.
    pub fn by_key(&self) -> (Vec<u32>, Vec<u32>) {
        let mut from = vec![0u32; self.keys() + 1];
        for op in &self.ops {
            from[op.key.0 as usize + 1] += 1;
        }
        for key in 0..self.keys() {
            from[key + 1] += from[key];
        }
        let mut next = from.clone();
        let mut places = vec![0; self.ops.len()];
        for (place, op) in self.ops.iter().enumerate() {
            let next = &mut next[op.key.0 as usize];
            places[*next as usize] = place as u32;
            *next += 1;
        }
        (places, from)
    }

    /// The number of a key, a new one when it has none; it starts absent.
    pub fn intern_key(&mut self, name: &[u8]) -> KeyId {
        self.names.index.take();
        let key = self.names.keys.intern(0, name);
        if key as usize == self.initial.len() {
            self.initial.push(Value::NULL);
        }
        KeyId(key)
    }

    /// The number of a value of a key.
    pub fn intern_value(&mut self, key: KeyId, name: Option<&[u8]>) -> Value {
        self.names.index.take();
        name.map_or(Value::NULL, |name| Value(self.names.values.intern(key.0, name) + 1))
    }

    /// The place of a client.
    pub fn intern_client(&mut self, number: i128) -> ClientId {
        let clients = &mut self.clients;
        *self.names.clients.entry(number).or_insert_with(|| {
            clients.push(number);
            ClientId(clients.len() as u32 - 1)
        })
    }

    /// The number of a group of operations.
    pub fn intern_group(&mut self, name: &[u8]) -> u32 {
        self.names.groups.intern(0, name) + 1
    }

    /// Adds an operation.
    pub fn push(&mut self, op: Op, extra: Extra) {
        let said = extra != Extra::default();
        if said && self.extras.len() < self.ops.len() {
            self.extras.resize(self.ops.len(), Extra::default());
        }
        if said || !self.extras.is_empty() {
            self.extras.push(extra);
        }
        self.ops.push(op);
    }

    /// Nothing is added from here on: frees what only served for that.
    pub fn freeze(&mut self) {
        self.names.keys.freeze();
        self.names.values.freeze();
        self.names.groups.freeze();
    }

    fn index(&self) -> &(Index, Index) {
        let names = &self.names;
        names.index.get_or_init(|| (names.keys.index(), names.values.index()))
    }
}

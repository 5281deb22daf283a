//! The binary protocol, from bytes.

use bytes::Bytes;

use super::classic::key;
use super::request::{BinaryFraming, Framing, Request, Stats, Work};
use super::session::{Action, Parsed};
use super::{binary_reply as reply, binary_reply::Status};
use crate::backend::memcached_model::{ITEM_BYTES_MAX, KEY_BYTES_MAX, MetaExtras, item_bytes};
use crate::step::{
    CacheCommand, Direction, Key, MetaArithmetic, MetaDelete, MetaMode, MetaSet, Ttl, Verb,
};

/// The first byte of a request.
pub(super) const REQUEST: u8 = 0x80;
pub(super) const HEADER_BYTES: usize = 24;

/// The opcodes, without the quiet variants.
pub(super) mod op {
    pub(in crate::wire) const GET: u8 = 0x00;
    pub(in crate::wire) const SET: u8 = 0x01;
    pub(in crate::wire) const ADD: u8 = 0x02;
    pub(in crate::wire) const REPLACE: u8 = 0x03;
    pub(in crate::wire) const DELETE: u8 = 0x04;
    pub(in crate::wire) const INCREMENT: u8 = 0x05;
    pub(in crate::wire) const DECREMENT: u8 = 0x06;
    pub(in crate::wire) const QUIT: u8 = 0x07;
    pub(in crate::wire) const FLUSH: u8 = 0x08;
    pub(in crate::wire) const NOOP: u8 = 0x0a;
    pub(in crate::wire) const VERSION: u8 = 0x0b;
    pub(in crate::wire) const GETK: u8 = 0x0c;
    pub(in crate::wire) const APPEND: u8 = 0x0e;
    pub(in crate::wire) const PREPEND: u8 = 0x0f;
    pub(in crate::wire) const STAT: u8 = 0x10;
    pub(in crate::wire) const TOUCH: u8 = 0x1c;
    pub(in crate::wire) const GAT: u8 = 0x1d;
    pub(in crate::wire) const SASL_LIST: u8 = 0x20;
    pub(in crate::wire) const SASL_AUTH: u8 = 0x21;
    pub(in crate::wire) const SASL_STEP: u8 = 0x22;
    pub(in crate::wire) const GATK: u8 = 0x23;
}

/// The meaning of an opcode, and whether it is a quiet variant.
fn base(opcode: u8) -> (u8, bool) {
    match opcode {
        0x09 => (op::GET, true),
        0x0d => (op::GETK, true),
        0x11..=0x18 => (opcode - 0x10, true),
        0x19 => (op::APPEND, true),
        0x1a => (op::PREPEND, true),
        0x1e => (op::GAT, true),
        0x24 => (op::GATK, true),
        other => (other, false),
    }
}

/// A request's header and the parts behind it.
struct Packet<'a> {
    extras: &'a [u8],
    key: &'a [u8],
    /// Bytes behind the key.
    value_bytes: usize,
    cas: u64,
    framing: BinaryFraming,
    /// Bytes of header, extras and key.
    used: usize,
    after: &'a [u8],
}

/// What the bytes of a connection that speaks binary lead to.
pub(super) fn parse(input: &[u8]) -> Parsed {
    if input.len() < HEADER_BYTES {
        return Parsed::Incomplete(Some(HEADER_BYTES));
    }
    if input[0] != REQUEST {
        return Parsed::Done(input.len(), Action::Close(Vec::new()));
    }
    let key_bytes = usize::from(u16::from_be_bytes([input[2], input[3]]));
    let extra_bytes = usize::from(input[4]);
    let body_bytes = u32::from_be_bytes([input[8], input[9], input[10], input[11]]);
    let used = HEADER_BYTES + extra_bytes + key_bytes;
    if input.len() < used {
        return Parsed::Incomplete(Some(used));
    }
    let (base, quiet) = base(input[1]);
    let opaque = [input[12], input[13], input[14], input[15]];
    let framing = BinaryFraming { opcode: input[1], base, quiet, opaque, swallow: body_bytes };
    let Some(value_bytes) = (body_bytes as usize).checked_sub(extra_bytes + key_bytes) else {
        let error = reply::error(&framing, Status::UnknownCommand);
        return Parsed::Done(used, Action::Close(error));
    };
    let mut cas = [0; 8];
    cas.copy_from_slice(&input[16..24]);
    let packet = Packet {
        extras: &input[HEADER_BYTES..HEADER_BYTES + extra_bytes],
        key: &input[HEADER_BYTES + extra_bytes..used],
        value_bytes,
        cas: u64::from_be_bytes(cas),
        framing,
        used,
        after: &input[used..],
    };
    if key_bytes > KEY_BYTES_MAX || !packet.is_well_formed() {
        return packet.done(Action::Close(reply::error(&framing, Status::InvalidArguments)));
    }
    packet.dispatch()
}

impl Packet<'_> {
    /// Whether extras, key and value have the lengths that the opcode asks for.
    fn is_well_formed(&self) -> bool {
        let (extras, key, value) = (self.extras.len(), self.key.len(), self.value_bytes);
        match self.framing.base {
            op::VERSION | op::NOOP | op::QUIT | op::SASL_LIST => {
                extras == 0 && key == 0 && value == 0
            }
            op::FLUSH => key == 0 && value == 0 && (extras == 0 || extras == 4),
            op::SET | op::ADD | op::REPLACE => extras == 8 && key > 0,
            op::GET | op::GETK | op::DELETE => extras == 0 && key > 0 && value == 0,
            op::INCREMENT | op::DECREMENT => extras == 20 && key > 0 && value == 0,
            op::APPEND | op::PREPEND | op::SASL_AUTH | op::SASL_STEP => extras == 0 && key > 0,
            op::STAT => extras == 0,
            op::TOUCH | op::GAT | op::GATK => extras == 4 && key > 0,
            _ => true,
        }
    }

    fn done(&self, action: Action) -> Parsed {
        Parsed::Done(self.used, action)
    }

    fn run(&self, command: CacheCommand) -> Parsed {
        self.work(Work::One(command, MetaExtras::default()))
    }

    fn work(&self, work: Work) -> Parsed {
        self.done(Action::Run(Request { work, framing: Framing::Binary(self.framing) }))
    }

    /// Four bytes of the extras as a number; an expiry is unsigned here.
    fn number(&self, at: usize) -> u32 {
        let bytes = self.extras.get(at..at + 4).map_or([0; 4], |b| [b[0], b[1], b[2], b[3]]);
        u32::from_be_bytes(bytes)
    }

    fn long(&self, at: usize) -> u64 {
        u64::from(self.number(at)) << 32 | u64::from(self.number(at + 4))
    }

    fn ttl(&self, at: usize) -> Ttl {
        Ttl(i64::from(self.number(at)))
    }

    fn dispatch(&self) -> Parsed {
        match self.framing.base {
            op::GET | op::GETK => self.run(CacheCommand::Get { key: key(self.key) }),
            op::GAT | op::GATK => {
                self.run(CacheCommand::GetAndTouch { key: key(self.key), ttl: self.ttl(0) })
            }
            // A binary touch shows flags and CAS id, so it is executed as a get.
            op::TOUCH => {
                self.run(CacheCommand::GetAndTouch { key: key(self.key), ttl: self.ttl(0) })
            }
            op::SET | op::ADD | op::REPLACE | op::APPEND | op::PREPEND => self.store(),
            op::DELETE => self.delete(),
            op::INCREMENT | op::DECREMENT => self.count(),
            op::FLUSH => {
                let delay = (!self.extras.is_empty()).then(|| i64::from(self.number(0)));
                self.run(CacheCommand::FlushAll { delay })
            }
            op::VERSION => self.run(CacheCommand::Version),
            op::NOOP => self.done(Action::Say(reply::plain(&self.framing, 0))),
            op::QUIT if self.framing.quiet => self.done(Action::Close(Vec::new())),
            op::QUIT => self.done(Action::Close(reply::plain(&self.framing, 0))),
            op::STAT => self.stats(),
            op::SASL_LIST | op::SASL_AUTH | op::SASL_STEP => self.unknown(self.value_bytes),
            _ => self.unknown(self.framing.swallow as usize),
        }
    }

    /// memcached skips a body that it counts from behind the key, so an unknown command
    /// with a key puts the stream out of step.
    fn unknown(&self, swallow: usize) -> Parsed {
        let error = reply::error(&self.framing, Status::UnknownCommand);
        self.done(Action::SayAndSwallow(error, swallow as u64))
    }

    fn store(&self) -> Parsed {
        let extends = matches!(self.framing.base, op::APPEND | op::PREPEND);
        let (flags, ttl) = if extends { (0, Ttl::NEVER) } else { (self.number(0), self.ttl(4)) };
        if item_bytes(self.key.len(), flags, self.value_bytes) > ITEM_BYTES_MAX {
            let sets = self.framing.base == op::SET;
            let removes = sets.then(|| key(self.key));
            let work = Work::TooLarge { name: self.store_name(), removes };
            let request = Request { work, framing: Framing::Binary(self.framing) };
            return self.done(Action::RunAndSwallow(request, self.value_bytes as u64));
        }
        let Some(value) = self.after.get(..self.value_bytes) else {
            return Parsed::Incomplete(Some(self.used + self.value_bytes));
        };
        let (key, value) = (key(self.key), Bytes::copy_from_slice(value));
        let verb = match self.framing.base {
            op::APPEND | op::PREPEND if self.cas != 0 => {
                return self.whole(self.extend_if_unchanged(key, value));
            }
            op::APPEND => Verb::Append,
            op::PREPEND => Verb::Prepend,
            _ if self.cas != 0 => Verb::Cas(self.cas),
            op::ADD => Verb::Add,
            op::REPLACE => Verb::Replace,
            _ => Verb::Set,
        };
        self.whole(CacheCommand::Store { verb, key, value, flags, ttl })
    }

    fn whole(&self, command: CacheCommand) -> Parsed {
        let work = Work::One(command, MetaExtras::default());
        let request = Request { work, framing: Framing::Binary(self.framing) };
        Parsed::Done(self.used + self.value_bytes, Action::Run(request))
    }

    fn store_name(&self) -> &'static str {
        match self.framing.base {
            op::APPEND => "append",
            op::PREPEND => "prepend",
            op::ADD => "add",
            op::REPLACE => "replace",
            _ => "set",
        }
    }

    /// An append that depends on the CAS id: only the meta commands have a word for it.
    fn extend_if_unchanged(&self, key: Key, value: Bytes) -> CacheCommand {
        let appends = self.framing.base == op::APPEND;
        CacheCommand::MetaSet(MetaSet {
            key,
            value,
            flags: 0,
            ttl: Ttl::NEVER,
            mode: if appends { MetaMode::Append } else { MetaMode::Prepend },
            cas: Some(self.cas),
            invalidate: false,
            vivify: None,
        })
    }

    fn delete(&self) -> Parsed {
        let key = key(self.key);
        if self.cas == 0 {
            return self.run(CacheCommand::Delete { key });
        }
        let (cas, invalidate, ttl) = (Some(self.cas), false, None);
        self.run(CacheCommand::MetaDelete(MetaDelete { key, cas, invalidate, ttl }))
    }

    /// A counter is created on a miss unless its expiry is all ones.
    fn count(&self) -> Parsed {
        let increments = self.framing.base == op::INCREMENT;
        self.run(CacheCommand::MetaArithmetic(MetaArithmetic {
            key: key(self.key),
            direction: if increments { Direction::Increment } else { Direction::Decrement },
            delta: self.long(0),
            vivify: (self.number(16) != u32::MAX).then(|| self.ttl(16)),
            initial: self.long(8),
            ttl: None,
            cas: (self.cas != 0).then_some(self.cas),
        }))
    }

    /// A value behind the key is left in the stream, as memcached does.
    fn stats(&self) -> Parsed {
        match self.key {
            b"" => self.work(Work::Stats(Stats::General)),
            _ if self.key.starts_with(b"reset") => self.work(Work::Stats(Stats::Reset)),
            _ if self.key.starts_with(b"settings") => self.work(Work::Stats(Stats::Settings)),
            b"sizes" => self.work(Work::Stats(Stats::Sizes)),
            b"items" => self.work(Work::Stats(Stats::Items)),
            b"slabs" => self.work(Work::Stats(Stats::Slabs)),
            b"detail on" => self.work(Work::Stats(Stats::Detail(true))),
            b"detail off" => self.work(Work::Stats(Stats::Detail(false))),
            b"detail dump" => self.work(Work::Stats(Stats::DetailDump)),
            _ => self.done(Action::Say(reply::error(&self.framing, Status::NotFound))),
        }
    }
}

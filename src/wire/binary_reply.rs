//! Replies in the binary protocol.

use super::binary::{HEADER_BYTES, op};
use super::request::BinaryFraming;
use crate::backend::memcached_model::{Trace, VERSION};
use crate::step::{CacheRefusal, CacheReply, Item, Key};

const REPLY: u8 = 0x81;

/// The status of a reply other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    NotFound = 0x01,
    Exists = 0x02,
    TooLarge = 0x03,
    InvalidArguments = 0x04,
    NotStored = 0x05,
    NotNumeric = 0x06,
    UnknownCommand = 0x81,
    OutOfMemory = 0x82,
    Busy = 0x85,
}

impl Status {
    fn text(self) -> &'static str {
        match self {
            Status::NotFound => "Not found",
            Status::Exists => "Data exists for key.",
            Status::TooLarge => "Too large.",
            Status::InvalidArguments => "Invalid arguments",
            Status::NotStored => "Not stored.",
            Status::NotNumeric => "Non-numeric server-side value for incr or decr",
            Status::UnknownCommand => "Unknown command",
            Status::OutOfMemory => "Out of memory",
            Status::Busy => "Fault injected",
        }
    }
}

/// The parts of a reply behind the header.
#[derive(Default)]
struct Parts<'a> {
    extras: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
}

fn packet(framing: &BinaryFraming, status: u8, cas: u64, parts: Parts<'_>, out: &mut Vec<u8>) {
    let body = parts.extras.len() + parts.key.len() + parts.value.len();
    out.reserve(HEADER_BYTES + body);
    out.extend_from_slice(&[REPLY, framing.opcode]);
    out.extend_from_slice(&(parts.key.len() as u16).to_be_bytes());
    out.extend_from_slice(&[parts.extras.len() as u8, 0, 0, status]);
    out.extend_from_slice(&(body as u32).to_be_bytes());
    out.extend_from_slice(&framing.opaque);
    out.extend_from_slice(&cas.to_be_bytes());
    out.extend_from_slice(parts.extras);
    out.extend_from_slice(parts.key);
    out.extend_from_slice(parts.value);
}

/// An error reply; quiet requests get it too.
pub(super) fn error(framing: &BinaryFraming, status: Status) -> Vec<u8> {
    let mut out = Vec::new();
    write_error(framing, status, &mut out);
    out
}

fn write_error(framing: &BinaryFraming, status: Status, out: &mut Vec<u8>) {
    let parts = Parts { value: status.text().as_bytes(), ..Parts::default() };
    packet(framing, status as u8, 0, parts, out);
}

/// A reply that says only that it went well.
pub(super) fn plain(framing: &BinaryFraming, cas: u64) -> Vec<u8> {
    let mut out = Vec::new();
    packet(framing, 0, cas, Parts::default(), &mut out);
    out
}

/// Statistics, one packet each and an empty one behind them.
pub(super) fn stats(framing: &BinaryFraming, pairs: &[(String, String)], out: &mut Vec<u8>) {
    for (name, value) in pairs {
        let (key, value) = (name.as_bytes(), value.as_bytes());
        packet(framing, 0, 0, Parts { key, value, ..Parts::default() }, out);
    }
    packet(framing, 0, 0, Parts::default(), out);
}

/// A store whose value is too large to be read.
pub(super) fn too_large(framing: &BinaryFraming, out: &mut Vec<u8>) {
    write_error(framing, Status::TooLarge, out);
}

/// What a fault makes the server say.
pub(super) fn fault(framing: &BinaryFraming, out: &mut Vec<u8>) {
    write_error(framing, Status::Busy, out);
}

/// Writes the reply to a command.
pub(super) fn write(
    framing: &BinaryFraming,
    key: Option<&Key>,
    reply: &CacheReply,
    trace: Trace,
    out: &mut Vec<u8>,
) {
    let key = key.map_or(b"".as_slice(), Key::as_bytes);
    match reply {
        CacheReply::Found(item) => found(framing, key, item, out),
        CacheReply::Miss => miss(framing, key, out),
        CacheReply::Stored => done(framing, trace.cas, out),
        CacheReply::Deleted | CacheReply::Ok | CacheReply::Touched => done(framing, 0, out),
        CacheReply::Number(_) if framing.quiet => {}
        CacheReply::Number(number) => {
            let value = &number.to_be_bytes();
            packet(framing, 0, trace.cas, Parts { value, ..Parts::default() }, out);
        }
        CacheReply::Version(_) => {
            let parts = Parts { value: VERSION.as_bytes(), ..Parts::default() };
            packet(framing, 0, 0, parts, out);
        }
        CacheReply::NotStored => {
            let status = match framing.base {
                op::ADD => Status::Exists,
                op::REPLACE => Status::NotFound,
                _ => Status::NotStored,
            };
            write_error(framing, status, out);
        }
        CacheReply::Exists => write_error(framing, Status::Exists, out),
        CacheReply::NotFound => write_error(framing, Status::NotFound, out),
        CacheReply::Refusal(refusal) => {
            let status = match refusal {
                CacheRefusal::TooLarge => Status::TooLarge,
                CacheRefusal::OutOfMemory => Status::OutOfMemory,
                CacheRefusal::NotNumeric => Status::NotNumeric,
                CacheRefusal::BadCommandLine => Status::InvalidArguments,
            };
            write_error(framing, status, out);
        }
    }
}

fn done(framing: &BinaryFraming, cas: u64, out: &mut Vec<u8>) {
    if !framing.quiet {
        packet(framing, 0, cas, Parts::default(), out);
    }
}

fn found(framing: &BinaryFraming, key: &[u8], item: &Item, out: &mut Vec<u8>) {
    let shows_key = matches!(framing.base, op::GETK | op::GATK);
    let parts = Parts {
        extras: &item.flags.to_be_bytes(),
        key: if shows_key { key } else { &[] },
        value: if framing.base == op::TOUCH { &[] } else { &item.value },
    };
    packet(framing, 0, item.cas, parts, out);
}

fn miss(framing: &BinaryFraming, key: &[u8], out: &mut Vec<u8>) {
    if framing.quiet {
        return;
    }
    if matches!(framing.base, op::GETK | op::GATK) {
        let parts = Parts { key, ..Parts::default() };
        packet(framing, Status::NotFound as u8, 0, parts, out);
    } else {
        write_error(framing, Status::NotFound, out);
    }
}

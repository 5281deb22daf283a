//! Replies in the text protocol, classic and meta.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::classic::TOO_LARGE;
use super::request::MetaFraming;
use crate::backend::memcached_model::{Entry, Node, Trace};
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, Item, Key, MetaArithmetic, MetaGet, Remaining, Ttl, Win,
};
use crate::time::Time;

/// Appends a number in decimal.
pub(super) fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

pub(super) fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// The line of an error reply.
pub(super) fn refusal(refusal: CacheRefusal) -> &'static str {
    match refusal {
        CacheRefusal::TooLarge => TOO_LARGE,
        CacheRefusal::OutOfMemory => "SERVER_ERROR out of memory storing object",
        CacheRefusal::NotNumeric => "CLIENT_ERROR cannot increment or decrement non-numeric value",
        CacheRefusal::BadCommandLine => "CLIENT_ERROR bad command line format",
    }
}

/// One item of a `get`.
pub(super) fn value(out: &mut Vec<u8>, key: &Key, item: &Item, cas: bool) {
    out.extend_from_slice(b"VALUE ");
    out.extend_from_slice(key.as_bytes());
    out.push(b' ');
    number(out, u64::from(item.flags));
    out.push(b' ');
    number(out, item.value.len() as u64);
    if cas {
        out.push(b' ');
        number(out, item.cas);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(&item.value);
    out.extend_from_slice(b"\r\n");
}

/// The reply to a classic command other than a get.
pub(super) fn classic(out: &mut Vec<u8>, reply: &CacheReply) {
    let text = match reply {
        CacheReply::Stored => "STORED",
        CacheReply::NotStored => "NOT_STORED",
        CacheReply::Exists => "EXISTS",
        CacheReply::NotFound | CacheReply::Miss => "NOT_FOUND",
        CacheReply::Deleted => "DELETED",
        CacheReply::Touched => "TOUCHED",
        CacheReply::Ok | CacheReply::Found(_) => "OK",
        CacheReply::Refusal(kind) => refusal(*kind),
        CacheReply::Version(version) => return line(out, &format!("VERSION {version}")),
        CacheReply::Number(count) => {
            number(out, *count);
            return out.extend_from_slice(b"\r\n");
        }
    };
    line(out, text);
}

/// What a meta reply is written from.
pub(super) struct Meta<'a> {
    pub(super) framing: &'a MetaFraming,
    pub(super) command: &'a CacheCommand,
    pub(super) trace: Trace,
    pub(super) node: &'a Node,
    pub(super) now: Time,
}

impl Meta<'_> {
    /// Writes the reply, or nothing when the request is quiet and the outcome usual.
    pub(super) fn write(&self, out: &mut Vec<u8>, reply: &CacheReply) {
        let quiet = self.framing.quiet;
        match (self.command, reply) {
            (_, CacheReply::Refusal(kind)) => line(out, refusal(*kind)),
            (CacheCommand::MetaGet(get), CacheReply::Found(item)) => self.found(out, get, item),
            (CacheCommand::MetaGet(get), _) if !quiet => self.status(out, "EN", &get.key),
            (CacheCommand::MetaGet(_), _) => {}
            (CacheCommand::MetaArithmetic(count), CacheReply::Number(result)) => {
                // Quiet hides only a counter that was there.
                if !quiet || self.trace.created {
                    self.counted(out, count, *result);
                }
            }
            (_, CacheReply::Stored | CacheReply::Deleted) if quiet => {}
            (command, reply) => {
                let status = match reply {
                    CacheReply::Stored | CacheReply::Deleted => "HD",
                    CacheReply::NotStored => "NS",
                    CacheReply::Exists => "EX",
                    _ => "NF",
                };
                if let Some(key) = command.key() {
                    self.status(out, status, key);
                }
            }
        }
    }

    fn status(&self, out: &mut Vec<u8>, status: &str, key: &Key) {
        let is_set = matches!(self.command, CacheCommand::MetaSet(_));
        out.extend_from_slice(status.as_bytes());
        for letter in &self.framing.letters {
            match letter {
                b'O' => self.opaque(out),
                b'k' => show_key(out, key, self.framing.base64_key),
                b'c' if is_set => flag(out, b'c', self.trace.cas),
                _ => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn opaque(&self, out: &mut Vec<u8>) {
        out.push(b' ');
        out.extend_from_slice(&self.framing.opaque);
    }

    fn found(&self, out: &mut Vec<u8>, get: &MetaGet, item: &Item) {
        self.head(out, item.value.len());
        for (place, letter) in self.framing.letters.iter().enumerate() {
            match letter {
                b's' => flag(out, b's', item.value.len() as u64),
                b't' => self.remaining(out, place, get.vivify, get.touch),
                b'c' => flag(out, b'c', item.cas),
                b'f' => flag(out, b'f', u64::from(item.flags)),
                b'l' => flag(out, b'l', u64::from(item.idle_seconds)),
                b'h' => flag(out, b'h', u64::from(item.fetched)),
                b'O' => self.opaque(out),
                b'k' => show_key(out, &get.key, self.trace.base64_key),
                _ => {}
            }
        }
        if item.win == Win::Lost {
            out.extend_from_slice(b" Z");
        }
        if item.stale {
            out.extend_from_slice(b" X");
        }
        if item.win == Win::Won {
            out.extend_from_slice(b" W");
        }
        out.extend_from_slice(b"\r\n");
        if self.framing.value {
            out.extend_from_slice(&item.value);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn head(&self, out: &mut Vec<u8>, length: usize) {
        if self.framing.value {
            out.extend_from_slice(b"VA ");
            number(out, length as u64);
        } else {
            out.extend_from_slice(b"HD");
        }
    }

    fn counted(&self, out: &mut Vec<u8>, count: &MetaArithmetic, result: u64) {
        let mut text = Vec::with_capacity(20);
        number(&mut text, result);
        self.head(out, text.len());
        for (place, letter) in self.framing.letters.iter().enumerate() {
            match letter {
                b'c' => flag(out, b'c', self.trace.cas),
                b't' => self.remaining(out, place, count.vivify, count.ttl),
                b'O' => self.opaque(out),
                b'k' => show_key(out, &count.key, self.framing.base64_key),
                _ => {}
            }
        }
        out.extend_from_slice(b"\r\n");
        if self.framing.value {
            out.extend_from_slice(&text);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// The flags are worked off in their order, so that `t` shows what `T` or `N` before it
    /// have set, and what was there before those behind it.
    fn remaining(&self, out: &mut Vec<u8>, place: usize, vivify: Option<Ttl>, touch: Option<Ttl>) {
        let before = &self.framing.letters[..place];
        let last = before.iter().rev().find_map(|letter| match letter {
            b'T' => touch,
            b'N' if self.trace.created => vivify,
            _ => None,
        });
        let remaining = match last {
            Some(ttl) => self.node.remaining(self.now, ttl),
            None if self.trace.created => Remaining::Never,
            None => self.trace.before,
        };
        match remaining {
            Remaining::Never => out.extend_from_slice(b" t-1"),
            Remaining::Seconds(seconds) => flag(out, b't', u64::from(seconds)),
        }
    }
}

/// The reply to `me`.
pub(super) fn inspected(out: &mut Vec<u8>, node: &Node, now: Time, key: &Key) {
    let Some(entry) = node.peek(now, key) else { return line(out, "EN") };
    out.extend_from_slice(b"ME ");
    write_key(out, &entry.key, entry.base64_key);
    line(out, &details(node, now, entry));
}

fn details(node: &Node, now: Time, entry: &Entry) -> String {
    let expires = match node.remaining_of(now, entry) {
        Remaining::Never => -1,
        // memcached prints the low 32 bits, with a sign.
        Remaining::Seconds(seconds) => seconds.wrapping_neg() as i32,
    };
    let fetched = if entry.fetched { "yes" } else { "no" };
    let idle = node.idle_seconds(now, entry);
    // The class is not modelled; every item is said to be of the first.
    let (cas, bytes) = (entry.cas, entry.bytes());
    format!(" exp={expires} la={idle} cas={cas} fetch={fetched} cls=1 size={bytes}")
}

fn flag(out: &mut Vec<u8>, letter: u8, value: u64) {
    out.extend_from_slice(&[b' ', letter]);
    number(out, value);
}

fn show_key(out: &mut Vec<u8>, key: &Key, base64: bool) {
    out.extend_from_slice(b" k");
    write_key(out, key, base64);
    if base64 {
        out.extend_from_slice(b" b");
    }
}

fn write_key(out: &mut Vec<u8>, key: &Key, base64: bool) {
    if base64 {
        out.extend_from_slice(STANDARD.encode(key.as_bytes()).as_bytes());
    } else {
        out.extend_from_slice(key.as_bytes());
    }
}

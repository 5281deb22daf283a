//! Replies: what the server writes for a reply is read as that reply.

use bytes::Bytes;
use memcache::exp::{Error, MetaResponse};
use proptest::prelude::*;

use super::{cases, commands, flags, has_plain_key, in_binary, in_meta, in_text, numbers, values};
use crate::backend::memcached::{meta, text};
use crate::backend::memcached_model::{Limits, Node, Trace, VERSION};
use crate::backend::reply::{self, Read, Reply};
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, Item, Key, NodeId, Remaining, Verb, Win,
};
use crate::time::Time;
use crate::wire::binary::op;
use crate::wire::request::{BinaryFraming, MetaFraming};
use crate::wire::{binary_reply, render};

const VALUE_BYTES_MAX: usize = 1 << 20;

fn items() -> BoxedStrategy<Item> {
    let remaining = prop_oneof![
        Just(Remaining::Never),
        any::<u32>().prop_map(Remaining::Seconds),
        Just(Remaining::Seconds(0)),
    ];
    let win = prop_oneof![Just(Win::None), Just(Win::Won), Just(Win::Lost)];
    (values(), flags(), numbers(), remaining, any::<bool>(), win, any::<bool>(), any::<u32>())
        .prop_map(|(value, flags, cas, remaining, stale, win, fetched, idle_seconds)| Item {
            value,
            flags,
            cas,
            remaining,
            stale,
            win,
            fetched,
            idle_seconds,
        })
        .boxed()
}

/// Every reply.
fn replies() -> BoxedStrategy<CacheReply> {
    let refusals = prop_oneof![
        Just(CacheRefusal::TooLarge),
        Just(CacheRefusal::OutOfMemory),
        Just(CacheRefusal::NotNumeric),
        Just(CacheRefusal::BadCommandLine),
    ];
    prop_oneof![
        4 => items().prop_map(CacheReply::Found),
        1 => Just(CacheReply::Miss),
        1 => Just(CacheReply::Stored),
        1 => Just(CacheReply::NotStored),
        1 => Just(CacheReply::Exists),
        1 => Just(CacheReply::NotFound),
        1 => Just(CacheReply::Deleted),
        1 => Just(CacheReply::Touched),
        2 => numbers().prop_map(CacheReply::Number),
        1 => Just(CacheReply::Ok),
        1 => Just(CacheReply::Version(VERSION.to_owned())),
        1 => refusals.prop_map(CacheReply::Refusal),
    ]
    .boxed()
}

/// The item as far as a protocol tells of it: what it leaves out has the plainest value.
fn told(item: &Item, tells_of_leases: bool) -> CacheReply {
    let (remaining, stale, win) = match tells_of_leases {
        true => (item.remaining, item.stale, item.win),
        false => (Remaining::Never, false, Win::None),
    };
    let (fetched, idle_seconds) = (false, 0);
    CacheReply::Found(Item { remaining, stale, win, fetched, idle_seconds, ..item.clone() })
}

/// What was written for the client's own command, and how the client reads it.
struct Written {
    bytes: Vec<u8>,
    read: fn(&CacheCommand, &[u8]) -> Option<CacheReply>,
    expected: CacheReply,
}

fn trace(cas: u64, before: Remaining) -> Trace {
    Trace { cas, before, after: before, created: false, base64_key: false }
}

fn write_text(command: &CacheCommand, reply: &CacheReply) -> Option<Written> {
    let arrives = in_text(command).arrives(command).filter(|_| has_plain_key(command))?;
    if !reply.answers(&arrives) {
        return None;
    }
    let mut bytes = Vec::new();
    let gets = matches!(command, CacheCommand::Get { .. } | CacheCommand::GetAndTouch { .. });
    match (reply, command.key()) {
        (CacheReply::Found(item), Some(key)) => {
            render::value(&mut bytes, key, item, true);
            render::line(&mut bytes, "END");
        }
        (CacheReply::Miss, _) if gets => render::line(&mut bytes, "END"),
        _ => render::classic(&mut bytes, reply),
    }
    let expected = match reply {
        CacheReply::Found(item) => told(item, false),
        other => other.clone(),
    };
    Some(Written { bytes, read: read_text, expected })
}

/// By the client, of commands that it sends as text; others by what the protocol says.
fn read_text(command: &CacheCommand, input: &[u8]) -> Option<CacheReply> {
    match command {
        CacheCommand::Get { .. }
        | CacheCommand::GetAndTouch { .. }
        | CacheCommand::Store { .. }
        | CacheCommand::Touch { .. } => return text::read(input).unwrap(),
        _ => {}
    }
    let line = match reply::text(input, VALUE_BYTES_MAX) {
        Read::Done(_, Reply::Line(line)) => std::str::from_utf8(line).unwrap(),
        Read::Incomplete(_) => return None,
        other => panic!("{other:?}"),
    };
    Some(match line {
        "DELETED" => CacheReply::Deleted,
        "NOT_FOUND" => CacheReply::NotFound,
        "NOT_STORED" => CacheReply::NotStored,
        "EXISTS" => CacheReply::Exists,
        "OK" => CacheReply::Ok,
        line => match (line.strip_prefix("VERSION "), line.parse()) {
            (Some(version), _) => CacheReply::Version(version.to_owned()),
            (_, Ok(number)) => CacheReply::Number(number),
            _ => CacheReply::Refusal(meta::refusal(line)),
        },
    })
}

/// The flags of a request in the order in which the client writes them, with `k` and `O`.
fn framing(command: &CacheCommand, quiet: bool) -> MetaFraming {
    let words = meta::encode(command).flag("O17").flag("k").encode().unwrap();
    let line = words.split(|byte| *byte == b'\r').next().unwrap();
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').skip(2).collect();
    // The number of bytes behind the key of a set is no flag.
    let letters: Vec<u8> =
        words.iter().map(|word| word[0]).filter(|l| !l.is_ascii_digit()).collect();
    let has = |letter| letters.contains(&letter);
    let (value, base64_key) = (has(b'v'), has(b'b'));
    MetaFraming { opaque: Bytes::from_static(b"O17"), quiet, value, base64_key, letters }
}

fn write_meta(command: &CacheCommand, reply: &CacheReply, quiet: bool) -> Option<Written> {
    let arrives = in_meta(command).arrives(command)?;
    if !reply.answers(&arrives) {
        return None;
    }
    let framing = framing(command, quiet);
    let before = match reply {
        CacheReply::Found(item) => item.remaining,
        _ => Remaining::Never,
    };
    let node = Node::new(NodeId(0), Limits::default(), 0);
    let trace = Trace { base64_key: framing.base64_key, ..trace(3, before) };
    let mut bytes = Vec::new();
    let (framing, command_there) = (&framing, &arrives);
    render::Meta { framing, command: command_there, trace, node: &node, now: Time::ZERO }
        .write(&mut bytes, reply);
    let expected = match (command, reply) {
        (CacheCommand::Touch { .. }, CacheReply::Found(_)) => CacheReply::Touched,
        (CacheCommand::Touch { .. }, CacheReply::Miss) => CacheReply::NotFound,
        (_, CacheReply::Found(item)) => told(item, true),
        (_, other) => other.clone(),
    };
    Some(Written { bytes, read: read_meta, expected })
}

fn read_meta(command: &CacheCommand, input: &[u8]) -> Option<CacheReply> {
    let (line, value) = match reply::text(input, VALUE_BYTES_MAX) {
        Read::Incomplete(_) => return None,
        Read::Done(_, Reply::Line(line)) => (line, &b""[..]),
        Read::Done(_, Reply::Value { line, value }) => (line, value),
        other => panic!("{other:?}"),
    };
    Some(match MetaResponse::parse_header(line) {
        Ok(header) => {
            let flag = |letter| header.flags().find(|flag| flag[0] == letter);
            assert_eq!(flag(b'O'), Some(&b"O17"[..]), "the opaque comes back");
            let key = command.key().unwrap();
            if flag(b'b').is_none() {
                assert_eq!(&flag(b'k').unwrap()[1..], key.as_bytes(), "the key comes back");
            }
            meta::decode_parts(command, &header, Bytes::copy_from_slice(value))
        }
        Err(Error::Server(said) | Error::Rejected(said)) => {
            CacheReply::Refusal(meta::refusal(&said))
        }
        Err(other) => panic!("{other}"),
    })
}

/// The opcode of a command, and of what it becomes.
fn opcode(command: &CacheCommand) -> u8 {
    match command {
        CacheCommand::Get { .. } | CacheCommand::MetaGet(_) => op::GETK,
        CacheCommand::GetAndTouch { .. } => op::GATK,
        CacheCommand::Touch { .. } => op::TOUCH,
        CacheCommand::Store { verb, .. } => match verb {
            Verb::Set | Verb::Cas(_) => op::SET,
            Verb::Add => op::ADD,
            Verb::Replace => op::REPLACE,
            Verb::Append => op::APPEND,
            Verb::Prepend => op::PREPEND,
        },
        CacheCommand::MetaSet(_) => op::APPEND,
        CacheCommand::Delete { .. } | CacheCommand::MetaDelete(_) => op::DELETE,
        CacheCommand::Arithmetic { .. } | CacheCommand::MetaArithmetic(_) => op::INCREMENT,
        CacheCommand::FlushAll { .. } => op::FLUSH,
        CacheCommand::Version => op::VERSION,
    }
}

fn write_binary(command: &CacheCommand, reply: &CacheReply, quiet: bool) -> Option<Written> {
    let arrives = in_binary(command).arrives(command)?;
    if !reply.answers(&arrives) {
        return None;
    }
    let opcode = opcode(command);
    let framing = BinaryFraming { opcode, base: opcode, quiet, opaque: [1, 2, 3, 4], swallow: 0 };
    let mut bytes = Vec::new();
    let trace = trace(3, Remaining::Never);
    binary_reply::write(&framing, command.key(), reply, trace, &mut bytes);
    let expected = match (opcode, reply) {
        // A touch shows no value.
        (op::TOUCH, CacheReply::Found(item)) => {
            told(&Item { value: Bytes::new(), ..item.clone() }, false)
        }
        (_, CacheReply::Found(item)) => told(item, false),
        (_, CacheReply::NotFound) if arrives_as_get(&arrives) => CacheReply::Miss,
        // These two say why nothing was stored.
        (op::ADD, CacheReply::NotStored) => CacheReply::Exists,
        (op::REPLACE, CacheReply::NotStored) => CacheReply::NotFound,
        (_, other) => other.clone(),
    };
    Some(Written { bytes, read: read_binary, expected })
}

fn arrives_as_get(command: &CacheCommand) -> bool {
    matches!(command, CacheCommand::Get { .. } | CacheCommand::GetAndTouch { .. })
}

/// As the protocol's document has it: status and opcode tell what the parts mean.
fn read_binary(command: &CacheCommand, input: &[u8]) -> Option<CacheReply> {
    let (status, cas, extras, key, value) = match reply::binary(input, VALUE_BYTES_MAX) {
        Read::Incomplete(_) => return None,
        Read::Done(_, Reply::Packet { opcode: said, status, opaque, cas, extras, key, value }) => {
            assert_eq!((said, opaque), (opcode(command), [1, 2, 3, 4]));
            (status, cas, extras, key, value)
        }
        other => panic!("{other:?}"),
    };
    let opcode = opcode(command);
    let gets = matches!(opcode, op::GETK | op::GATK | op::TOUCH);
    if matches!(opcode, op::GETK | op::GATK) && status <= 1 {
        assert_eq!(key, command.key().map_or(&b""[..], Key::as_bytes), "the key comes back");
    }
    Some(match (status, opcode) {
        (0, op::GETK | op::GATK | op::TOUCH) => CacheReply::Found(Item {
            value: Bytes::copy_from_slice(value),
            flags: u32::from_be_bytes(extras.try_into().unwrap()),
            cas,
            remaining: Remaining::Never,
            stale: false,
            win: Win::None,
            fetched: false,
            idle_seconds: 0,
        }),
        (0, op::DELETE) => CacheReply::Deleted,
        (0, op::INCREMENT) => CacheReply::Number(u64::from_be_bytes(value.try_into().unwrap())),
        (0, op::FLUSH) => CacheReply::Ok,
        (0, op::VERSION) => CacheReply::Version(String::from_utf8_lossy(value).into_owned()),
        (0, _) => CacheReply::Stored,
        (0x01, _) if gets => CacheReply::Miss,
        (0x01, _) => CacheReply::NotFound,
        (0x02, _) => CacheReply::Exists,
        (0x03, _) => CacheReply::Refusal(CacheRefusal::TooLarge),
        (0x04, _) => CacheReply::Refusal(CacheRefusal::BadCommandLine),
        (0x05, _) => CacheReply::NotStored,
        (0x06, _) => CacheReply::Refusal(CacheRefusal::NotNumeric),
        (0x82, _) => CacheReply::Refusal(CacheRefusal::OutOfMemory),
        (other, _) => panic!("status {other}"),
    })
}

/// Reads every beginning of a reply: it is no reply before its last byte.
fn arrives_whole(command: &CacheCommand, written: &Written) {
    let (bytes, read) = (&written.bytes, written.read);
    for end in 0..bytes.len() {
        let early = read(command, &bytes[..end]);
        assert_eq!(early, None, "after {end} bytes of `{}`", bytes.escape_ascii());
    }
    let whole = read(command, bytes);
    assert_eq!(whole.as_ref(), Some(&written.expected), "of `{}`", bytes.escape_ascii());
}

/// Where the replies in a stream of text end.
fn taken_apart(mut stream: &[u8], binary: bool) -> Vec<usize> {
    let mut ends = Vec::new();
    while !stream.is_empty() {
        let read = match binary {
            true => reply::binary(stream, VALUE_BYTES_MAX),
            false => reply::text(stream, VALUE_BYTES_MAX),
        };
        let Read::Done(used, _) = read else { panic!("{read:?}") };
        ends.push(used);
        stream = &stream[used..];
    }
    ends
}

proptest! {
    #![proptest_config(cases(1000))]

    /// What is answered is read, however it is cut into pieces.
    #[test]
    fn every_reply_is_read_as_it_was_written(command in commands(), reply in replies()) {
        let written = [
            write_text(&command, &reply),
            write_meta(&command, &reply, false),
            write_binary(&command, &reply, false),
        ];
        for written in written.iter().flatten() {
            arrives_whole(&command, written);
        }
    }

    /// A quiet request hears the same or nothing, and of every refusal.
    #[test]
    fn quietness_hides_replies_and_changes_none(command in commands(), reply in replies()) {
        for write in [write_meta, write_binary] {
            let Some(quiet) = write(&command, &reply, true) else { continue };
            let loud = write(&command, &reply, false).unwrap();
            prop_assert!(quiet.bytes.is_empty() || quiet.bytes == loud.bytes);
            if matches!(reply, CacheReply::Refusal(_) | CacheReply::Exists) {
                prop_assert!(!quiet.bytes.is_empty());
            }
        }
    }

    /// Replies that come one behind the other are taken apart again.
    #[test]
    fn pipelined_replies_are_read_one_by_one(
        said in prop::collection::vec((commands(), replies()), 1..20),
    ) {
        for binary in [false, true] {
            let each = said.iter().filter_map(|(command, reply)| match binary {
                true => write_binary(command, reply, false),
                false => write_meta(command, reply, false),
            });
            let each: Vec<Vec<u8>> = each.map(|written| written.bytes).collect();
            let lengths: Vec<usize> = each.iter().map(Vec::len).collect();
            prop_assert_eq!(taken_apart(&each.concat(), binary), lengths);
        }
    }
}

/// What is generated has every reply that each protocol can give.
#[test]
fn every_reply_is_generated_and_written() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeSet;

    /// Exhaustive, so that a new reply is counted.
    fn name(reply: &CacheReply) -> &'static str {
        match reply {
            CacheReply::Found(_) => "found",
            CacheReply::Miss => "miss",
            CacheReply::Stored => "stored",
            CacheReply::NotStored => "not stored",
            CacheReply::Exists => "exists",
            CacheReply::NotFound => "not found",
            CacheReply::Deleted => "deleted",
            CacheReply::Touched => "touched",
            CacheReply::Number(_) => "number",
            CacheReply::Ok => "ok",
            CacheReply::Version(_) => "version",
            CacheReply::Refusal(_) => "refusal",
        }
    }
    let mut runner = TestRunner::deterministic();
    let mut seen: [BTreeSet<&str>; 3] = Default::default();
    for _ in 0..4000 {
        let (command, reply) = (commands(), replies()).new_tree(&mut runner).unwrap().current();
        let written = [
            write_text(&command, &reply),
            write_meta(&command, &reply, false),
            write_binary(&command, &reply, false),
        ];
        for (seen, written) in seen.iter_mut().zip(&written) {
            seen.extend(written.iter().map(|_| name(&reply)));
        }
    }
    let [text, meta, binary] = &seen;
    assert_eq!(text.len(), 12, "{text:?}");
    // Without `flush_all`, `version` and a touch of its own.
    assert_eq!(meta.len(), 9, "{meta:?}");
    // A touch is answered like a get.
    assert_eq!(binary.len(), 11, "{binary:?}");
}

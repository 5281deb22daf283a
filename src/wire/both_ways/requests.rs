//! Requests: what a client writes for a command is parsed to that command.

use proptest::prelude::*;

use super::{cases, commands, has_plain_key, in_binary, in_meta, in_text};
use crate::backend::memcached::{meta, text};
use crate::step::{CacheCommand, Direction, Key, MetaMode, Verb};
use crate::wire::binary::{REQUEST, op};
use crate::wire::request::{Answer, Framing, Request, Work};
use crate::wire::session::{Action, Parsed, Session};

/// What can be said about a request beside the command.
#[derive(Clone, Debug)]
struct Manner {
    /// `noreply`, `q`, a quiet opcode.
    quiet: bool,
    opaque: u32,
}

fn manners() -> impl Strategy<Value = Manner> {
    (any::<bool>(), any::<u32>()).prop_map(|(quiet, opaque)| Manner { quiet, opaque })
}

/// A request, and the command that must come of it.
struct Sent {
    bytes: Vec<u8>,
    arrives: CacheCommand,
    /// Whether quietness could be asked for, and was.
    quiet: bool,
}

/// Writes a command, where its protocol has words for it.
type Writer<'a> = &'a dyn Fn(&CacheCommand, &Manner) -> Option<Sent>;

/// As text: what the client writes, and for what it never sends so, what the protocol says.
fn text(command: &CacheCommand, manner: &Manner) -> Option<Sent> {
    let arrives = in_text(command).arrives(command).filter(|_| has_plain_key(command))?;
    let mut bytes = Vec::new();
    match command {
        CacheCommand::Get { .. }
        | CacheCommand::GetAndTouch { .. }
        | CacheCommand::Store { .. }
        | CacheCommand::Touch { .. } => text::encode(command, &mut bytes),
        CacheCommand::Delete { key } => bytes.extend(format!("delete {key}\r\n").bytes()),
        CacheCommand::Arithmetic { direction, key, delta } => {
            let word = if *direction == Direction::Increment { "incr" } else { "decr" };
            bytes.extend(format!("{word} {key} {delta}\r\n").bytes());
        }
        CacheCommand::FlushAll { delay: None } => bytes.extend_from_slice(b"flush_all\r\n"),
        CacheCommand::FlushAll { delay: Some(delay) } => {
            bytes.extend(format!("flush_all {delay}\r\n").bytes());
        }
        CacheCommand::Version => bytes.extend_from_slice(b"version\r\n"),
        CacheCommand::MetaGet(_)
        | CacheCommand::MetaSet(_)
        | CacheCommand::MetaDelete(_)
        | CacheCommand::MetaArithmetic(_) => return None,
    }
    let answers_always = matches!(
        command,
        CacheCommand::Get { .. } | CacheCommand::GetAndTouch { .. } | CacheCommand::Version
    );
    let quiet = manner.quiet && !answers_always;
    if quiet {
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
        bytes.splice(end..end, b" noreply".iter().copied());
    }
    Some(Sent { bytes, arrives, quiet })
}

fn meta(command: &CacheCommand, manner: &Manner) -> Option<Sent> {
    let arrives = in_meta(command).arrives(command)?;
    let mut request = meta::encode(command).flag(format!("O{}", manner.opaque)).flag("k");
    if manner.quiet {
        request = request.flag("q");
    }
    Some(Sent { bytes: request.encode().unwrap(), arrives, quiet: manner.quiet })
}

/// The packet of a command. The client is the `memcache` crate's; here are packets of all that
/// the protocol has words for.
fn binary(command: &CacheCommand, manner: &Manner) -> Option<Sent> {
    let arrives = in_binary(command).arrives(command)?;
    let (mut extras, mut cas, mut value) = (Vec::new(), 0, &b""[..]);
    let opcode = match command {
        CacheCommand::Get { .. } => op::GET,
        CacheCommand::GetAndTouch { ttl, .. } | CacheCommand::Touch { ttl, .. } => {
            extras.extend((ttl.0 as u32).to_be_bytes());
            let touches = matches!(command, CacheCommand::Touch { .. });
            if touches { op::TOUCH } else { op::GAT }
        }
        CacheCommand::Store { verb, value: stored, flags, ttl, .. } => {
            value = stored;
            if !matches!(verb, Verb::Append | Verb::Prepend) {
                extras.extend(flags.to_be_bytes());
                extras.extend((ttl.0 as u32).to_be_bytes());
            }
            match verb {
                Verb::Set => op::SET,
                Verb::Add => op::ADD,
                Verb::Replace => op::REPLACE,
                Verb::Append => op::APPEND,
                Verb::Prepend => op::PREPEND,
                Verb::Cas(token) => {
                    cas = *token;
                    op::SET
                }
            }
        }
        CacheCommand::Delete { .. } => op::DELETE,
        CacheCommand::Arithmetic { direction, delta, .. } => {
            counter(&mut extras, *delta, 0, u32::MAX, *direction)
        }
        CacheCommand::FlushAll { delay } => {
            extras.extend(delay.iter().flat_map(|delay| (*delay as u32).to_be_bytes()));
            op::FLUSH
        }
        CacheCommand::Version => op::VERSION,
        CacheCommand::MetaSet(set) => {
            (cas, value) = (set.cas?, &set.value);
            if set.mode == MetaMode::Append { op::APPEND } else { op::PREPEND }
        }
        CacheCommand::MetaDelete(delete) => {
            cas = delete.cas?;
            op::DELETE
        }
        CacheCommand::MetaArithmetic(count) => {
            cas = count.cas.unwrap_or(0);
            let expiry = count.vivify.map_or(u32::MAX, |ttl| ttl.0 as u32);
            counter(&mut extras, count.delta, count.initial, expiry, count.direction)
        }
        CacheCommand::MetaGet(_) => return None,
    };
    let quiet = manner.quiet.then(|| quiet(opcode)).flatten();
    let key = command.key().map_or(&b""[..], Key::as_bytes);
    let mut bytes = vec![REQUEST, quiet.unwrap_or(opcode)];
    bytes.extend((key.len() as u16).to_be_bytes());
    bytes.extend([extras.len() as u8, 0, 0, 0]);
    bytes.extend(((extras.len() + key.len() + value.len()) as u32).to_be_bytes());
    bytes.extend(manner.opaque.to_be_bytes());
    bytes.extend(cas.to_be_bytes());
    bytes.extend([&extras, key, value].concat());
    Some(Sent { bytes, arrives, quiet: quiet.is_some() })
}

fn counter(extras: &mut Vec<u8>, delta: u64, initial: u64, expiry: u32, way: Direction) -> u8 {
    extras.extend(delta.to_be_bytes());
    extras.extend(initial.to_be_bytes());
    extras.extend(expiry.to_be_bytes());
    if way == Direction::Increment { op::INCREMENT } else { op::DECREMENT }
}

/// The quiet variant of an opcode, of those that have one.
fn quiet(opcode: u8) -> Option<u8> {
    match opcode {
        op::GET => Some(0x09),
        op::SET..=op::FLUSH => Some(opcode + 0x10),
        op::APPEND => Some(0x19),
        op::PREPEND => Some(0x1a),
        op::GAT => Some(0x1e),
        _ => None,
    }
}

/// Feeds a request byte by byte: nothing comes of it before its last byte, and no byte is asked
/// for that it does not have.
fn arrives_whole(bytes: &[u8]) -> Request {
    let mut session = Session::new();
    for end in 1..bytes.len() {
        match session.parse(&bytes[..end]) {
            Parsed::Incomplete(None) => {}
            Parsed::Incomplete(Some(wanted)) => {
                assert!((end + 1..=bytes.len()).contains(&wanted), "{wanted} at {end}");
            }
            done => panic!("after {end} of {} bytes: {done:?}", bytes.len()),
        }
    }
    match session.parse(bytes) {
        Parsed::Done(used, Action::Run(request)) if used == bytes.len() => request,
        other => panic!("{other:?} of `{}`", bytes.escape_ascii()),
    }
}

fn check(sent: &Sent, manner: &Manner, command: &CacheCommand, request: &Request) {
    let Work::One(arrived, extras) = &request.work else { panic!("{request:?}") };
    assert_eq!(*arrived, sent.arrives, "of `{}`", sent.bytes.escape_ascii());
    let opaque = match &request.framing {
        Framing::Classic(answer) => {
            let expected = if sent.quiet { Answer::Suppressed } else { Answer::Wanted };
            return assert_eq!(*answer, expected);
        }
        Framing::Values { cas } => return assert!(*cas, "the client asks for the CAS id"),
        Framing::Meta(framing) => {
            assert_eq!(framing.quiet, sent.quiet);
            assert_eq!(framing.base64_key, !is_safe(command), "{command:?}");
            let peeks = matches!(command, CacheCommand::MetaGet(get) if get.peek);
            assert_eq!(extras.no_bump, peeks);
            let wants = !matches!(
                command,
                CacheCommand::Touch { .. }
                    | CacheCommand::Store { .. }
                    | CacheCommand::MetaSet(_)
                    | CacheCommand::Delete { .. }
                    | CacheCommand::MetaDelete(_)
            );
            assert_eq!(framing.value, wants);
            return assert_eq!(framing.opaque, format!("O{}", manner.opaque));
        }
        Framing::Binary(framing) => {
            assert_eq!(framing.quiet, sent.quiet);
            framing.opaque
        }
    };
    assert_eq!(opaque, manner.opaque.to_be_bytes());
}

/// Whether the client sends the key as it is; else in base64.
fn is_safe(command: &CacheCommand) -> bool {
    let key = command.key().unwrap().as_bytes();
    key.iter().all(|byte| *byte > b' ' && *byte != 0x7f)
}

proptest! {
    #![proptest_config(cases(300))]

    /// What is sent arrives, however it is cut into pieces.
    #[test]
    fn every_command_arrives_as_it_was_sent(command in commands(), manner in manners()) {
        for write in [text, meta, binary] {
            if let Some(sent) = write(&command, &manner) {
                check(&sent, &manner, &command, &arrives_whole(&sent.bytes));
            }
        }
    }

    /// Requests that are sent without waiting are taken apart again.
    #[test]
    fn pipelined_commands_arrive_one_by_one(
        sent in prop::collection::vec((commands(), manners()), 1..9),
    ) {
        let as_text = |command: &CacheCommand, manner: &Manner| {
            text(command, manner).or_else(|| meta(command, manner))
        };
        for write in [&as_text as Writer<'_>, &binary] {
            let each = sent.iter().filter_map(|(command, manner)| {
                write(command, manner).map(|sent| (sent, manner, command))
            });
            let each: Vec<_> = each.collect();
            let bytes: Vec<u8> = each.iter().flat_map(|(sent, ..)| sent.bytes.clone()).collect();
            let (mut session, mut rest) = (Session::new(), &bytes[..]);
            for (sent, manner, command) in each {
                match session.parse(rest) {
                    Parsed::Done(used, Action::Run(request)) => {
                        check(&sent, manner, command, &request);
                        assert_eq!(used, sent.bytes.len());
                        rest = &rest[used..];
                    }
                    other => panic!("{other:?} of `{}`", rest.escape_ascii()),
                }
            }
            prop_assert!(rest.is_empty());
        }
    }
}

/// What is generated has every command in every protocol that can say it; else the properties
/// would say nothing of some.
#[test]
fn every_command_is_generated_and_sent() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    use std::collections::BTreeSet;

    let mut runner = TestRunner::deterministic();
    let mut seen: [BTreeSet<&str>; 3] = Default::default();
    let manner = Manner { quiet: false, opaque: 1 };
    for _ in 0..2000 {
        let command = commands().new_tree(&mut runner).unwrap().current();
        for (place, write) in [text, meta, binary].into_iter().enumerate() {
            if write(&command, &manner).is_some() {
                seen[place].insert(command.name());
            }
        }
    }
    // 14 classic names and 4 meta ones; see the `Not`s of `in_text`, `in_meta`, `in_binary`.
    assert_eq!(seen.each_ref().map(BTreeSet::len), [14, 16, 17], "{seen:?}");
}

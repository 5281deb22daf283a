//! What one side writes the other reads: every command and every reply, in all protocols.
//!
//! Here are the generators, and for each protocol what becomes of a command on its way
//! ([`Travels`]). The matches are exhaustive, so that a command or reply without a decision
//! does not compile. `requests` and `replies` hold the bytes to it, cut at every byte and one
//! behind the other.

mod replies;
mod requests;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::step::{
    CacheCommand, Direction, Key, MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, Ttl, Verb,
};

/// The same cases in every run, and no files of failed ones.
fn cases(cases: u32) -> ProptestConfig {
    let (rng_seed, failure_persistence) = (RngSeed::Fixed(1), None);
    ProptestConfig { cases, rng_seed, failure_persistence, ..ProptestConfig::default() }
}

/// What becomes of a command in a protocol.
#[derive(Clone, Debug, PartialEq)]
enum Travels {
    /// It arrives as it was sent.
    Same,
    /// It arrives as another one, for this reason.
    As(CacheCommand, &'static str),
    /// The protocol has no words for it, for this reason.
    Not(&'static str),
}

use Travels::{As, Not, Same};

impl Travels {
    /// What arrives; `None` when nothing can be sent.
    fn arrives(self, sent: &CacheCommand) -> Option<CacheCommand> {
        match self {
            Same => Some(sent.clone()),
            As(other, _) => Some(other),
            Not(_) => None,
        }
    }
}

/// The classic commands as text.
fn in_text(command: &CacheCommand) -> Travels {
    match command {
        CacheCommand::Get { .. }
        | CacheCommand::GetAndTouch { .. }
        | CacheCommand::Store { .. }
        | CacheCommand::Delete { .. }
        | CacheCommand::Touch { .. }
        | CacheCommand::Arithmetic { .. }
        | CacheCommand::FlushAll { .. }
        | CacheCommand::Version => Same,
        CacheCommand::MetaGet(_)
        | CacheCommand::MetaSet(_)
        | CacheCommand::MetaDelete(_)
        | CacheCommand::MetaArithmetic(_) => Not("only the meta commands say it"),
    }
}

/// The meta commands.
fn in_meta(command: &CacheCommand) -> Travels {
    let get = |key: &Key, touch| {
        let (vivify, recache, peek) = (None, None, false);
        CacheCommand::MetaGet(MetaGet { key: key.clone(), vivify, recache, touch, peek })
    };
    match command {
        CacheCommand::Get { key } => As(get(key, None), "a meta get is also told of leases"),
        CacheCommand::GetAndTouch { key, ttl } => {
            As(get(key, Some(*ttl)), "a meta get is also told of leases")
        }
        CacheCommand::Touch { key, ttl } => {
            As(get(key, Some(*ttl)), "a meta get with a new expiry and no value touches")
        }
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let (mode, cas) = match verb {
                Verb::Set => (MetaMode::Set, None),
                Verb::Add => (MetaMode::Add, None),
                Verb::Replace => (MetaMode::Replace, None),
                Verb::Append => (MetaMode::Append, None),
                Verb::Prepend => (MetaMode::Prepend, None),
                Verb::Cas(token) => (MetaMode::Set, Some(*token)),
            };
            let (key, value, flags, ttl) = (key.clone(), value.clone(), *flags, *ttl);
            let (invalidate, vivify) = (false, None);
            let set = MetaSet { key, value, flags, ttl, mode, cas, invalidate, vivify };
            As(CacheCommand::MetaSet(set), "`ms` stores in all modes")
        }
        CacheCommand::Delete { key } => {
            let (key, cas, invalidate, ttl) = (key.clone(), None, false, None);
            let delete = MetaDelete { key, cas, invalidate, ttl };
            As(CacheCommand::MetaDelete(delete), "`md` without flags deletes")
        }
        CacheCommand::Arithmetic { direction, key, delta } => {
            As(counts(*direction, key, *delta), "`ma` without `N` counts what is there")
        }
        CacheCommand::MetaGet(meta) if meta.peek => {
            As(get(&meta.key, None), "a peek is the flag `u`, which is no part of the command")
        }
        CacheCommand::MetaArithmetic(meta) if meta.vivify.is_none() && meta.initial != 0 => {
            let same = MetaArithmetic { initial: 0, ..meta.clone() };
            As(CacheCommand::MetaArithmetic(same), "what is not created has no first number")
        }
        CacheCommand::MetaGet(_)
        | CacheCommand::MetaSet(_)
        | CacheCommand::MetaDelete(_)
        | CacheCommand::MetaArithmetic(_) => Same,
        CacheCommand::FlushAll { .. } => Not("`flush_all` has no meta command"),
        CacheCommand::Version => Not("`version` has no meta command; `mn` tells nothing"),
    }
}

fn counts(direction: Direction, key: &Key, delta: u64) -> CacheCommand {
    let (key, vivify, initial, ttl, cas) = (key.clone(), None, 0, None, None);
    CacheCommand::MetaArithmetic(MetaArithmetic {
        key,
        direction,
        delta,
        vivify,
        initial,
        ttl,
        cas,
    })
}

/// Binary requests.
fn in_binary(command: &CacheCommand) -> Travels {
    // An expiry is unsigned in the packet.
    let unsigned = |ttl: Ttl| Ttl(i64::from(ttl.0 as u32));
    let expiry = "an expiry is unsigned there";
    match command {
        CacheCommand::Get { .. } | CacheCommand::Delete { .. } | CacheCommand::Version => Same,
        CacheCommand::GetAndTouch { key, ttl } => {
            As(CacheCommand::GetAndTouch { key: key.clone(), ttl: unsigned(*ttl) }, expiry)
        }
        CacheCommand::Touch { key, ttl } => {
            let get = CacheCommand::GetAndTouch { key: key.clone(), ttl: unsigned(*ttl) };
            As(get, "its reply has the flags and the CAS id")
        }
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let (verb, flags, ttl) = match verb {
                Verb::Append | Verb::Prepend => (*verb, 0, Ttl::NEVER),
                // 0 says that no CAS id was given.
                Verb::Cas(0) => (Verb::Set, *flags, unsigned(*ttl)),
                _ => (*verb, *flags, unsigned(*ttl)),
            };
            let (key, value) = (key.clone(), value.clone());
            As(CacheCommand::Store { verb, key, value, flags, ttl }, "what extends has no extras")
        }
        CacheCommand::Arithmetic { direction, key, delta } => {
            As(counts(*direction, key, *delta), "it may create a counter: then it is a meta one")
        }
        CacheCommand::FlushAll { delay } => {
            let delay = delay.map(|delay| i64::from(delay as u32));
            As(CacheCommand::FlushAll { delay }, expiry)
        }
        CacheCommand::MetaSet(set) => match set {
            MetaSet { cas: Some(1..), flags: 0, ttl: Ttl::NEVER, invalidate: false, .. }
                if matches!(set.mode, MetaMode::Append | MetaMode::Prepend)
                    && set.vivify.is_none() =>
            {
                Same
            }
            _ => Not("of meta sets only an append or prepend with a CAS id has a packet"),
        },
        CacheCommand::MetaDelete(delete) => match delete {
            MetaDelete { cas: Some(1..), invalidate: false, ttl: None, .. } => Same,
            _ => Not("of meta deletes only one with a CAS id has a packet"),
        },
        CacheCommand::MetaArithmetic(count) => match count {
            MetaArithmetic { ttl: None, cas: None | Some(1..), vivify, initial, .. } => {
                let vivify = vivify.map(unsigned).filter(|ttl| ttl.0 != i64::from(u32::MAX));
                let (initial, count) = (*initial, count.clone());
                let count = MetaArithmetic { vivify, initial, ..count };
                As(CacheCommand::MetaArithmetic(count), "all ones as an expiry: do not create")
            }
            _ => Not("the packet has no new expiry for a counter that is there"),
        },
        CacheCommand::MetaGet(_) => Not("leases are told by meta commands only"),
    }
}

/// Keys that a text command can carry.
fn plain_keys() -> impl Strategy<Value = Key> {
    let of = |lengths| prop::collection::vec(b'!'..=b'~', lengths);
    prop_oneof![4 => of(1..=9), 1 => of(20..=25), 1 => of(250..=250)]
        .prop_map(|bytes| Key::from_bytes(Bytes::from(bytes)))
}

/// Keys of any bytes: what a line cannot carry goes as base64, whose form may have 250 bytes.
fn keys() -> BoxedStrategy<Key> {
    let any = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..=9),
        prop::collection::vec(any::<u8>(), 180..=186),
    ];
    let any = any.prop_map(|bytes| Key::from_bytes(Bytes::from(bytes)));
    prop_oneof![3 => plain_keys(), 1 => any].boxed()
}

/// Values that look like what stands around a value.
const TREACHEROUS: [&[u8]; 6] = [
    b"\r\n",
    b"END\r\n",
    b"VALUE k 0 3 1\r\nabc\r\nEND\r\n",
    b"get k\r\n",
    b"\x80\0\0\x01k",
    b"18446744073709551615",
];

fn values() -> BoxedStrategy<Bytes> {
    prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from),
        1 => prop::collection::vec(any::<u8>(), 40..60).prop_map(Bytes::from),
        1 => (0..TREACHEROUS.len()).prop_map(|place| Bytes::from_static(TREACHEROUS[place])),
    ]
    .boxed()
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![0..9u64, any::<u64>(), Just(i64::MAX as u64 + 1), Just(u64::MAX)]
}

fn ttls() -> impl Strategy<Value = Ttl> {
    let ends = prop_oneof![Just(i32::MIN), Just(-1), Just(0), Just(i32::MAX)];
    prop_oneof![0..400i32, any::<i32>(), ends].prop_map(|seconds| Ttl(i64::from(seconds)))
}

fn flags() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), any::<u32>(), Just(u32::MAX)]
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Increment), Just(Direction::Decrement)]
}

/// Every command. Boxed, as its parts are: a strategy is as large as all that it can make, and
/// does not fit a thread's stack.
fn commands() -> BoxedStrategy<CacheCommand> {
    prop_oneof![6 => classic(), 4 => meta()].boxed()
}

fn classic() -> BoxedStrategy<CacheCommand> {
    let verbs = prop_oneof![
        Just(Verb::Set),
        Just(Verb::Add),
        Just(Verb::Replace),
        Just(Verb::Append),
        Just(Verb::Prepend),
        numbers().prop_map(Verb::Cas),
    ];
    let store = (verbs, keys(), values(), flags(), ttls());
    let delays = prop::option::of(any::<i32>().prop_map(i64::from));
    prop_oneof![
        2 => keys().prop_map(|key| CacheCommand::Get { key }),
        2 => (keys(), ttls()).prop_map(|(key, ttl)| CacheCommand::GetAndTouch { key, ttl }),
        8 => store.prop_map(|(verb, key, value, flags, ttl)| {
            CacheCommand::Store { verb, key, value, flags, ttl }
        }),
        2 => keys().prop_map(|key| CacheCommand::Delete { key }),
        2 => (keys(), ttls()).prop_map(|(key, ttl)| CacheCommand::Touch { key, ttl }),
        3 => (directions(), keys(), numbers()).prop_map(|(direction, key, delta)| {
            CacheCommand::Arithmetic { direction, key, delta }
        }),
        1 => delays.prop_map(|delay| CacheCommand::FlushAll { delay }),
        1 => Just(CacheCommand::Version),
    ]
    .boxed()
}

fn meta() -> BoxedStrategy<CacheCommand> {
    let maybe = || prop::option::of(ttls());
    let cas = || prop::option::of(numbers());
    let get = (keys(), maybe(), maybe(), maybe(), any::<bool>());
    let modes = prop_oneof![
        Just(MetaMode::Set),
        Just(MetaMode::Add),
        Just(MetaMode::Replace),
        Just(MetaMode::Append),
        Just(MetaMode::Prepend),
    ];
    let stored = prop_oneof![Just((0, Ttl::NEVER)), (flags(), ttls())];
    let set = (keys(), values(), stored, modes, cas(), any::<bool>(), maybe());
    let delete = (keys(), cas(), any::<bool>(), maybe());
    let count = (keys(), directions(), numbers(), maybe(), numbers(), maybe(), cas());
    prop_oneof![
        get.prop_map(|(key, vivify, recache, touch, peek)| {
            CacheCommand::MetaGet(MetaGet { key, vivify, recache, touch, peek })
        }),
        set.prop_map(|(key, value, (flags, ttl), mode, cas, invalidate, vivify)| {
            let set = MetaSet { key, value, flags, ttl, mode, cas, invalidate, vivify };
            CacheCommand::MetaSet(set)
        }),
        delete.prop_map(|(key, cas, invalidate, ttl)| {
            CacheCommand::MetaDelete(MetaDelete { key, cas, invalidate, ttl })
        }),
        count.prop_map(|(key, direction, delta, vivify, initial, ttl, cas)| {
            let count = MetaArithmetic { key, direction, delta, vivify, initial, ttl, cas };
            CacheCommand::MetaArithmetic(count)
        }),
    ]
    .boxed()
}

/// Whether a command's key, if it has one, can stand in a line as it is.
fn has_plain_key(command: &CacheCommand) -> bool {
    command.key().is_none_or(|key| key.as_bytes().iter().all(u8::is_ascii_graphic))
}

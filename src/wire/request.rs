//! A request: what to execute, and how its reply is to be written.

use bytes::Bytes;

use crate::backend::memcached_model::MetaExtras;
use crate::step::{CacheCommand, Key, Ttl};

/// A complete request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What to execute.
    pub work: Work,
    /// How the reply is written.
    pub framing: Framing,
}

/// What to execute.
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// One command.
    One(CacheCommand, MetaExtras),
    /// Several keys; each is a step of its own.
    Many {
        /// The keys, in the order asked.
        keys: Vec<Key>,
        /// `gat`: the new expiry.
        touch: Option<Ttl>,
        /// The keys are followed by one that is too long: all are fetched, none is shown.
        too_long: bool,
    },
    /// A store whose value is too large to be read: some verbs remove the old value.
    TooLarge {
        /// The command's name, as in rules.
        name: &'static str,
        /// The key whose old value goes.
        removes: Option<Key>,
    },
    /// `me`: shows an item without touching it.
    Inspect {
        /// The key.
        key: Key,
    },
    /// `stats`.
    Stats(Stats),
    /// `cache_memlimit`, in bytes.
    MemoryLimit(u64),
}

/// Which statistics are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stats {
    /// The general ones.
    General,
    /// `settings`.
    Settings,
    /// `sizes`: not counted here.
    Sizes,
    /// `items`: all items are of one class here, number 1.
    Items,
    /// `slabs`: the same class.
    Slabs,
    /// `conns`: not told here.
    Connections,
    /// `cachedump`: keys and expiries of the newest items of a class; at most so many,
    /// 0 is no limit.
    CacheDump {
        /// The class.
        class: u32,
        /// How many items are shown.
        limit: u32,
    },
    /// `detail on` and `detail off`: whether commands are counted by the prefix of their key.
    Detail(bool),
    /// `detail dump`: what was counted.
    DetailDump,
    /// `lru_crawler metadump`: every item with its expiry, age, CAS id and size.
    MetaDump,
    /// `reset`.
    Reset,
}

/// How the reply is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Framing {
    /// A classic command other than a get.
    Classic(Answer),
    /// `get`, `gets`, `gat`, `gats`.
    Values {
        /// With CAS ids.
        cas: bool,
    },
    /// A meta command.
    Meta(MetaFraming),
    /// A binary request.
    Binary(BinaryFraming),
}

/// Whether a classic command wants its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It does.
    Wanted,
    /// `noreply`: not even errors.
    Suppressed,
}

/// What a meta request wants to see.
#[derive(Clone, Debug, PartialEq)]
pub struct MetaFraming {
    /// The letters of its flags, in their order.
    pub letters: Vec<u8>,
    /// `O`: to be given back.
    pub opaque: Bytes,
    /// `q`: no reply when the outcome is the usual one.
    pub quiet: bool,
    /// `v`: the value is wanted.
    pub value: bool,
    /// `b`: the key came in base64.
    pub base64_key: bool,
}

/// What a binary reply repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BinaryFraming {
    /// The request's opcode.
    pub opcode: u8,
    /// The opcode's meaning without the quietness.
    pub base: u8,
    /// A quiet variant: no reply when the outcome is the usual one.
    pub quiet: bool,
    /// To be given back.
    pub opaque: [u8; 4],
    /// How many bytes of the stream an error swallows.
    pub swallow: u32,
}

impl Request {
    /// The steps of the request as fault rules see them: name, key, and whether it can
    /// change what others read. Round trips without meaning for the cache have none.
    pub fn steps(&self) -> impl Iterator<Item = (&'static str, Option<&Key>, bool)> {
        let (one, many) = match &self.work {
            Work::One(CacheCommand::Version, _) => (None, None),
            Work::One(command, _) => {
                (Some((command.name(), command.key(), command.has_effect())), None)
            }
            Work::Many { keys, touch, .. } => {
                let name = if touch.is_some() { "gat" } else { "get" };
                (None, Some((name, keys, touch.is_some())))
            }
            Work::TooLarge { name, removes } => (Some((*name, removes.as_ref(), true)), None),
            Work::Inspect { .. } | Work::Stats(_) | Work::MemoryLimit(_) => (None, None),
        };
        let many = many
            .into_iter()
            .flat_map(|(name, keys, writes)| keys.iter().map(move |key| (name, Some(key), writes)));
        one.into_iter().chain(many)
    }
}

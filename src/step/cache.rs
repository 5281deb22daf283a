//! Commands to a memcached node and their replies, as semantics rather than bytes.
//!
//! Both the classic commands and the meta commands are here. What is only framing
//! (noreply, opaque, quiet, base64 keys, which fields to print) lives in `wire`.
//! Source: memcached's `doc/protocol.txt`, and the real server where they differ.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A key: any bytes, at most 250 on a real server, cheap to clone.
///
/// Short ones are stored in place: a step clones and drops its key several times, and
/// counting references took 5 % of a simulation.
#[derive(Clone)]
pub struct Key(Stored);

const SHORT: usize = 22;

#[derive(Clone)]
enum Stored {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Bytes),
}

impl Key {
    /// The bytes of the key.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Stored::Short { len, bytes } => &bytes[..usize::from(*len)],
            Stored::Long(bytes) => bytes,
        }
    }

    /// A key that owns these bytes.
    pub fn from_bytes(bytes: Bytes) -> Key {
        Key::short(&bytes).unwrap_or(Key(Stored::Long(bytes)))
    }

    fn short(given: &[u8]) -> Option<Key> {
        let mut bytes = [0; SHORT];
        bytes.get_mut(..given.len())?.copy_from_slice(given);
        Some(Key(Stored::Short { len: given.len() as u8, bytes }))
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::short(text.as_bytes())
            .unwrap_or_else(|| Key(Stored::Long(Bytes::copy_from_slice(text.as_bytes()))))
    }
}

impl From<String> for Key {
    fn from(text: String) -> Key {
        Key::from_bytes(Bytes::from(text))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Key {
    // As bytes are hashed: a map of keys is asked for byte strings.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) if !text.contains(char::is_control) => f.write_str(text),
            _ => write!(f, "{}", self.as_bytes().escape_ascii()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A cache node, by its place in the list of nodes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct NodeId(pub u16);

/// An expiry as memcached's protocol has it, in seconds: 0 is never, a negative number is
/// at once, up to 2,592,000 (30 days) is relative, more is absolute unix time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Ttl(pub i64);

impl Ttl {
    /// The item never expires.
    pub const NEVER: Ttl = Ttl(0);

    /// An expiry in this many seconds from now.
    pub fn seconds(seconds: u32) -> Ttl {
        Ttl(i64::from(seconds))
    }
}

/// What remains of an item's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remaining {
    /// It never expires.
    Never,
    /// Ticks of one second until it expires.
    Seconds(u32),
}

/// A command to one cache node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CacheCommand {
    /// `get` and `gets`: the reply carries the CAS id either way.
    Get { key: Key },
    /// `gat` and `gats`: get, and set a new expiry.
    GetAndTouch { key: Key, ttl: Ttl },
    /// `set`, `add`, `replace`, `append`, `prepend`, `cas`.
    Store { verb: Verb, key: Key, value: Bytes, flags: u32, ttl: Ttl },
    /// `delete`.
    Delete { key: Key },
    /// `touch`.
    Touch { key: Key, ttl: Ttl },
    /// `incr` and `decr`.
    Arithmetic { direction: Direction, key: Key, delta: u64 },
    /// `flush_all`, with its delay argument when given.
    FlushAll { delay: Option<i64> },
    /// `mg`.
    MetaGet(MetaGet),
    /// `ms`.
    MetaSet(MetaSet),
    /// `md`.
    MetaDelete(MetaDelete),
    /// `ma`.
    MetaArithmetic(MetaArithmetic),
    /// `version`: a round trip without a key.
    Version,
}

/// The store commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Store unconditionally.
    Set,
    /// Store only if absent.
    Add,
    /// Store only if present.
    Replace,
    /// Add behind the existing value.
    Append,
    /// Add before the existing value.
    Prepend,
    /// Store only if the item still has this CAS id.
    Cas(u64),
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Wraps at 2^64.
    Increment,
    /// Stops at 0.
    Decrement,
}

/// `mg`: what a meta get may change beside reading.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetaGet {
    /// The key.
    pub key: Key,
    /// `N`: on a miss create an empty item with this expiry; this caller wins.
    pub vivify: Option<Ttl>,
    /// `R`: win the right to recache when less than this remains.
    pub recache: Option<Ttl>,
    /// `T`: set a new expiry.
    pub touch: Option<Ttl>,
    /// Leave the item's place in the LRU, its fetched mark and the win token alone: the
    /// audit's read. Not a protocol flag as such; backends do the nearest they can.
    pub peek: bool,
}

impl MetaGet {
    /// A get that leaves a stub with this expiry on a miss, whose token the caller wins.
    pub fn vivifying(key: Key, stub: Ttl) -> MetaGet {
        MetaGet { key, vivify: Some(stub), recache: None, touch: None, peek: false }
    }
}

/// `ms`: a meta set.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetaSet {
    /// The key.
    pub key: Key,
    /// The new value.
    pub value: Bytes,
    /// `F`: client flags.
    pub flags: u32,
    /// `T`: the expiry, 0 when not given.
    pub ttl: Ttl,
    /// `M`: the mode.
    pub mode: MetaMode,
    /// `C`: only if the item has this CAS id.
    pub cas: Option<u64>,
    /// `I`: a lower CAS id stores the value marked stale.
    pub invalidate: bool,
    /// `N` in append mode: create the item with this expiry when absent.
    pub vivify: Option<Ttl>,
}

/// The modes of a meta set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetaMode {
    /// `MS`: set.
    #[default]
    Set,
    /// `ME`: add.
    Add,
    /// `MR`: replace.
    Replace,
    /// `MA`: append.
    Append,
    /// `MP`: prepend.
    Prepend,
}

/// `md`: a meta delete.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetaDelete {
    /// The key.
    pub key: Key,
    /// `C`: only if the item has this CAS id.
    pub cas: Option<u64>,
    /// `I`: do not remove the item, mark it stale.
    pub invalidate: bool,
    /// `T`: with `I`, the new expiry.
    pub ttl: Option<Ttl>,
}

/// `ma`: meta arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MetaArithmetic {
    /// The key.
    pub key: Key,
    /// `M`: up or down.
    pub direction: Direction,
    /// `D`: by how much.
    pub delta: u64,
    /// `N`: create on a miss, with this expiry.
    pub vivify: Option<Ttl>,
    /// `J`: the number to create with.
    pub initial: u64,
    /// `T`: set a new expiry.
    pub ttl: Option<Ttl>,
    /// `C`: only if the item has this CAS id.
    pub cas: Option<u64>,
}

/// A node's reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CacheReply {
    /// A get that found the item.
    Found(Item),
    /// A get that found nothing (`END`, `EN`).
    Miss,
    /// `STORED`, `HD` of a meta set.
    Stored,
    /// `NOT_STORED`, `NS`.
    NotStored,
    /// `EXISTS`, `EX`: the CAS id differs.
    Exists,
    /// `NOT_FOUND`, `NF`.
    NotFound,
    /// `DELETED`, `HD` of a meta delete.
    Deleted,
    /// `TOUCHED`.
    Touched,
    /// The new value of a counter.
    Number(u64),
    /// `OK`.
    Ok,
    /// The version text.
    Version(String),
    /// An error reply; the connection stays usable.
    Refusal(CacheRefusal),
}

/// An item as a get shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Item {
    /// The value.
    pub value: Bytes,
    /// Client flags.
    pub flags: u32,
    /// The CAS id.
    pub cas: u64,
    /// Time left.
    pub remaining: Remaining,
    /// `X`: the item was marked stale.
    pub stale: bool,
    /// `W` or `Z`.
    pub win: Win,
    /// `h`: it had been fetched before this command.
    pub fetched: bool,
    /// `l`: seconds since it was last accessed.
    pub idle_seconds: u32,
}

/// Who may recache an item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Win {
    /// Nothing is said: the item is just a hit.
    #[default]
    None,
    /// `W`: this caller won and should recache.
    Won,
    /// `Z`: somebody else has won already.
    Lost,
}

/// Error replies that depend on the state of the server or on sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheRefusal {
    /// `SERVER_ERROR object too large for cache`.
    TooLarge,
    /// `SERVER_ERROR out of memory storing object`.
    OutOfMemory,
    /// `CLIENT_ERROR cannot increment or decrement non-numeric value`.
    NotNumeric,
    /// `CLIENT_ERROR bad command line format`: among others a key that is too long.
    BadCommandLine,
}

impl CacheReply {
    /// Whether this can be the reply to a command: a client that reads another kind knows
    /// that its connection is out of step; of the right kind it takes whatever it gets.
    pub fn answers(&self, command: &CacheCommand) -> bool {
        use CacheReply::*;
        match command {
            _ if matches!(self, Refusal(_)) => true,
            CacheCommand::Get { .. } | CacheCommand::GetAndTouch { .. } => {
                matches!(self, Found(_) | Miss)
            }
            CacheCommand::MetaGet(_) => matches!(self, Found(_) | Miss),
            CacheCommand::Store { .. } | CacheCommand::MetaSet(_) => {
                matches!(self, Stored | NotStored | Exists | NotFound)
            }
            CacheCommand::Delete { .. } | CacheCommand::MetaDelete(_) => {
                matches!(self, Deleted | NotFound | Exists)
            }
            CacheCommand::Touch { .. } => matches!(self, Touched | NotFound),
            CacheCommand::Arithmetic { .. } | CacheCommand::MetaArithmetic(_) => {
                matches!(self, Number(_) | NotFound | NotStored | Exists)
            }
            CacheCommand::FlushAll { .. } => matches!(self, Ok),
            CacheCommand::Version => matches!(self, Version(_)),
        }
    }
}

impl CacheCommand {
    /// The key, for commands that have one.
    pub fn key(&self) -> Option<&Key> {
        match self {
            CacheCommand::Get { key }
            | CacheCommand::GetAndTouch { key, .. }
            | CacheCommand::Store { key, .. }
            | CacheCommand::Delete { key }
            | CacheCommand::Touch { key, .. }
            | CacheCommand::Arithmetic { key, .. } => Some(key),
            CacheCommand::MetaGet(get) => Some(&get.key),
            CacheCommand::MetaSet(set) => Some(&set.key),
            CacheCommand::MetaDelete(delete) => Some(&delete.key),
            CacheCommand::MetaArithmetic(arithmetic) => Some(&arithmetic.key),
            CacheCommand::FlushAll { .. } | CacheCommand::Version => None,
        }
    }

    /// The expiry that a store, a touch or a counter's start asks for.
    pub fn ttl(&self) -> Option<Ttl> {
        match self {
            CacheCommand::GetAndTouch { ttl, .. }
            | CacheCommand::Store { ttl, .. }
            | CacheCommand::Touch { ttl, .. } => Some(*ttl),
            CacheCommand::MetaGet(get) => get.touch.or(get.vivify),
            CacheCommand::MetaSet(set) => Some(set.ttl),
            CacheCommand::MetaDelete(delete) => delete.ttl,
            _ => None,
        }
    }

    /// The name as in fault rules and timelines: `get`, `set`, `delete`, `meta-get`, ...
    pub fn name(&self) -> &'static str {
        match self {
            CacheCommand::Get { .. } => "get",
            CacheCommand::GetAndTouch { .. } => "gat",
            CacheCommand::Store { verb, .. } => match verb {
                Verb::Set => "set",
                Verb::Add => "add",
                Verb::Replace => "replace",
                Verb::Append => "append",
                Verb::Prepend => "prepend",
                Verb::Cas(_) => "cas",
            },
            CacheCommand::Delete { .. } => "delete",
            CacheCommand::Touch { .. } => "touch",
            CacheCommand::Arithmetic { direction: Direction::Increment, .. } => "incr",
            CacheCommand::Arithmetic { direction: Direction::Decrement, .. } => "decr",
            CacheCommand::FlushAll { .. } => "flush-all",
            CacheCommand::MetaGet(_) => "meta-get",
            CacheCommand::MetaSet(_) => "meta-set",
            CacheCommand::MetaDelete(_) => "meta-delete",
            CacheCommand::MetaArithmetic(_) => "meta-arithmetic",
            CacheCommand::Version => "version",
        }
    }

    /// Whether executing the command can change what another client reads.
    pub fn has_effect(&self) -> bool {
        match self {
            CacheCommand::Get { .. } | CacheCommand::Version => false,
            CacheCommand::MetaGet(get) => {
                get.vivify.is_some() || get.recache.is_some() || get.touch.is_some()
            }
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use super::*;

    #[test]
    fn keys_compare_and_hash_as_their_bytes_whatever_their_length() {
        let texts: Vec<String> = (0..60).map(|length| "k".repeat(length)).collect();
        let keys: Vec<Key> = texts.iter().map(|text| Key::from(text.as_str())).collect();
        let (ordered, hashed): (BTreeSet<_>, HashSet<_>) =
            (keys.iter().cloned().collect(), keys.iter().cloned().collect());
        assert!(ordered.iter().eq(&keys), "shorter ones first");
        for (text, key) in texts.iter().zip(&keys) {
            assert_eq!((key.as_bytes(), key.to_string()), (text.as_bytes(), text.clone()));
            assert_eq!(*key, Key::from_bytes(Bytes::copy_from_slice(text.as_bytes())));
            assert!(ordered.contains(text.as_bytes()) && hashed.contains(text.as_bytes()));
        }
    }
}

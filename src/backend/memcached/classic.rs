//! Cache commands through the `memcache` crate's classic client, ascii or binary.
//!
//! It is what many applications use, and what it hides is part of what is tested: its ascii
//! `add`, `replace`, `append` and `prepend` say ok whatever the server answered.

use bytes::Bytes;
use memcache::{Client, CommandError, MemcacheError, ServerError, Stream, ToMemcacheValue};

use super::Protocol;
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, Direction, Item, Key, Remaining, Ttl, Verb, Win,
};

/// Why this client's answer to a kind of step is not the server's, where it is not.
pub(super) fn lossy(protocol: Protocol, kind: &str) -> Option<&'static str> {
    match (protocol, kind) {
        (Protocol::Ascii, "cache.add" | "cache.replace" | "cache.append" | "cache.prepend") => {
            Some("the client's ascii add, replace, append and prepend say ok to NOT_STORED")
        }
        (Protocol::Binary, "cache.incr" | "cache.decr") => {
            Some("the client's binary incr and decr create a missing counter at 0")
        }
        (Protocol::Binary, "cache.prepend") => Some("the client's prepend says ok to a miss"),
        _ => None,
    }
}

/// Executes a command; `None` when the client has no such command, and the error when the
/// connection broke.
pub(super) fn execute(
    client: &Client,
    command: &CacheCommand,
) -> Option<Result<CacheReply, MemcacheError>> {
    Some(match command {
        CacheCommand::Get { key } => get(client, text(key)?),
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let flagged = Flagged { value, flags: *flags };
            store(client, *verb, text(key)?, flagged, *ttl)
        }
        CacheCommand::Delete { key } => match client.delete(text(key)?) {
            Ok(true) => Ok(CacheReply::Deleted),
            Ok(false) => Ok(CacheReply::NotFound),
            Err(error) => refused(error),
        },
        CacheCommand::Touch { key, ttl } => match client.touch(text(key)?, seconds(*ttl)) {
            Ok(true) => Ok(CacheReply::Touched),
            Ok(false) => Ok(CacheReply::NotFound),
            Err(error) => refused(error),
        },
        CacheCommand::Arithmetic { direction, key, delta } => {
            let key = text(key)?;
            let number = match direction {
                Direction::Increment => client.increment(key, *delta),
                Direction::Decrement => client.decrement(key, *delta),
            };
            match number {
                Ok(number) => Ok(CacheReply::Number(number)),
                Err(MemcacheError::CommandError(CommandError::KeyNotFound)) => {
                    Ok(CacheReply::NotFound)
                }
                Err(error) => refused(error),
            }
        }
        _ => return None,
    })
}

fn text(key: &Key) -> Option<&str> {
    std::str::from_utf8(key.as_bytes()).ok()
}

/// The client takes unsigned seconds; the server reads them as signed.
fn seconds(ttl: Ttl) -> u32 {
    ttl.0 as u32
}

fn get(client: &Client, key: &str) -> Result<CacheReply, MemcacheError> {
    match client.get::<(Vec<u8>, u32, Option<u64>)>(key) {
        Ok(None) => Ok(CacheReply::Miss),
        Ok(Some((value, flags, cas))) => Ok(CacheReply::Found(Item {
            value: Bytes::from(value),
            flags,
            cas: cas.unwrap_or(0),
            // The classic protocols do not tell.
            remaining: Remaining::Never,
            stale: false,
            win: Win::None,
            fetched: false,
            idle_seconds: 0,
        })),
        Err(error) => refused(error),
    }
}

fn store(
    client: &Client,
    verb: Verb,
    key: &str,
    value: Flagged<'_>,
    ttl: Ttl,
) -> Result<CacheReply, MemcacheError> {
    let done = match verb {
        Verb::Set => client.set(key, value, seconds(ttl)),
        Verb::Add => client.add(key, value, seconds(ttl)),
        Verb::Replace => client.replace(key, value, seconds(ttl)),
        Verb::Append => client.append(key, value),
        Verb::Prepend => client.prepend(key, value),
        Verb::Cas(token) => {
            return match client.cas(key, value, seconds(ttl), token) {
                Ok(true) => Ok(CacheReply::Stored),
                Ok(false) => Ok(CacheReply::Exists),
                Err(MemcacheError::CommandError(CommandError::KeyNotFound)) => {
                    Ok(CacheReply::NotFound)
                }
                Err(MemcacheError::CommandError(CommandError::KeyExists)) => Ok(CacheReply::Exists),
                Err(error) => refused(error),
            };
        }
    };
    match done {
        Ok(()) => Ok(CacheReply::Stored),
        Err(MemcacheError::CommandError(
            CommandError::KeyExists | CommandError::KeyNotFound | CommandError::Unknown(_),
        )) => Ok(CacheReply::NotStored),
        Err(error) => refused(error),
    }
}

/// An error that the server said is an answer; any other means that the connection broke.
fn refused(error: MemcacheError) -> Result<CacheReply, MemcacheError> {
    let refusal = match &error {
        MemcacheError::CommandError(CommandError::ValueTooLarge) => CacheRefusal::TooLarge,
        MemcacheError::CommandError(_) => CacheRefusal::BadCommandLine,
        MemcacheError::ServerError(ServerError::Error(message)) => super::meta::refusal(message),
        MemcacheError::ClientError(said) => super::meta::refusal(&said.to_string()),
        _ => return Err(error),
    };
    Ok(CacheReply::Refusal(refusal))
}

/// A value with flags of its own.
struct Flagged<'a> {
    value: &'a Bytes,
    flags: u32,
}

impl ToMemcacheValue<Stream> for Flagged<'_> {
    fn get_flags(&self) -> u32 {
        self.flags
    }

    fn get_length(&self) -> usize {
        self.value.len()
    }

    fn write_to(&self, stream: &mut Stream) -> std::io::Result<()> {
        std::io::Write::write_all(stream, self.value)
    }
}

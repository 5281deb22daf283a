//! Cache commands as meta requests, and what the replies mean.
//!
//! The classic commands have meta equivalents, which a load sends; where these differ, the server
//! does what the meta command does: an oversize `cas` or `replace` removes the old item. Where
//! every step counts, `text` sends the classic ones.

use bytes::Bytes;
use memcache::exp::{MetaCommand, MetaOp, MetaResponse, ReturnCode};

use crate::backend::reply::decimal;
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, Direction, Item, Key, MetaArithmetic, MetaDelete,
    MetaGet, MetaMode, MetaSet, Remaining, Ttl, Verb, Win,
};

/// What a get asks for: value, flags, CAS id, remaining time.
const GET_FLAGS: [&str; 4] = ["v", "f", "c", "t"];

pub(crate) fn encode(command: &CacheCommand) -> MetaCommand {
    match command {
        CacheCommand::Get { key } => get(key),
        CacheCommand::GetAndTouch { key, ttl } => get(key).flag(format!("T{}", ttl.0)),
        CacheCommand::Touch { key, ttl } => {
            MetaCommand::new(MetaOp::Get, key.as_bytes()).flag(format!("T{}", ttl.0))
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
            let (key, value) = (key.clone(), value.clone());
            let (flags, ttl) = (*flags, *ttl);
            let (invalidate, vivify) = (false, None);
            set(&MetaSet { key, value, flags, ttl, mode, cas, invalidate, vivify })
        }
        CacheCommand::Delete { key } => MetaCommand::new(MetaOp::Delete, key.as_bytes()),
        CacheCommand::Arithmetic { direction, key, delta } => arithmetic(&MetaArithmetic {
            key: key.clone(),
            direction: *direction,
            delta: *delta,
            vivify: None,
            initial: 0,
            ttl: None,
            cas: None,
        }),
        CacheCommand::MetaGet(meta) => meta_get(meta),
        CacheCommand::MetaSet(meta) => set(meta),
        CacheCommand::MetaDelete(meta) => delete(meta),
        CacheCommand::MetaArithmetic(meta) => arithmetic(meta),
        CacheCommand::FlushAll { .. } | CacheCommand::Version => {
            unreachable!("these are not meta commands and are sent as text")
        }
    }
}

fn get(key: &Key) -> MetaCommand {
    GET_FLAGS.iter().fold(MetaCommand::new(MetaOp::Get, key.as_bytes()), |c, f| c.flag(*f))
}

fn meta_get(meta: &MetaGet) -> MetaCommand {
    let mut command = get(&meta.key);
    if meta.peek {
        return command.flag("u");
    }
    for (flag, ttl) in [("N", meta.vivify), ("R", meta.recache), ("T", meta.touch)] {
        if let Some(Ttl(seconds)) = ttl {
            command = command.flag(format!("{flag}{seconds}"));
        }
    }
    command
}

fn set(meta: &MetaSet) -> MetaCommand {
    let mode = match meta.mode {
        MetaMode::Set => "MS",
        MetaMode::Add => "ME",
        MetaMode::Replace => "MR",
        MetaMode::Append => "MA",
        MetaMode::Prepend => "MP",
    };
    let mut command = MetaCommand::new(MetaOp::Set, meta.key.as_bytes())
        .flag(mode)
        .flag(format!("F{}", meta.flags))
        .flag(format!("T{}", meta.ttl.0));
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    if meta.invalidate {
        command = command.flag("I");
    }
    if let Some(Ttl(seconds)) = meta.vivify {
        command = command.flag(format!("N{seconds}"));
    }
    command.value(meta.value.to_vec())
}

fn delete(meta: &MetaDelete) -> MetaCommand {
    let mut command = MetaCommand::new(MetaOp::Delete, meta.key.as_bytes());
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    if meta.invalidate {
        command = command.flag("I");
    }
    if let Some(Ttl(seconds)) = meta.ttl {
        command = command.flag(format!("T{seconds}"));
    }
    command
}

fn arithmetic(meta: &MetaArithmetic) -> MetaCommand {
    let mode = match meta.direction {
        Direction::Increment => "MI",
        Direction::Decrement => "MD",
    };
    let mut command = MetaCommand::new(MetaOp::Arithmetic, meta.key.as_bytes())
        .flag(mode)
        .flag(format!("D{}", meta.delta))
        .flag("v");
    if let Some(Ttl(seconds)) = meta.vivify {
        command = command.flag(format!("N{seconds}")).flag(format!("J{}", meta.initial));
    }
    if let Some(Ttl(seconds)) = meta.ttl {
        command = command.flag(format!("T{seconds}"));
    }
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    command
}

/// What the reply to a command means; the inner error is the server's own answer.
pub(super) fn reply(command: &CacheCommand, reply: Result<MetaResponse, String>) -> CacheReply {
    match reply {
        Ok(response) => decode(command, response),
        Err(message) => CacheReply::Refusal(refusal(&message)),
    }
}

pub(crate) fn decode(command: &CacheCommand, response: MetaResponse) -> CacheReply {
    let value = response.value().map(Bytes::copy_from_slice).unwrap_or_default();
    decode_parts(command, &response, value)
}

/// The same of a header and a value that was read apart from it.
pub(crate) fn decode_parts(
    command: &CacheCommand,
    response: &MetaResponse,
    value: Bytes,
) -> CacheReply {
    use CacheCommand::{Arithmetic, Delete, MetaArithmetic, MetaDelete, Touch};
    match (response.rc(), command) {
        (ReturnCode::Va, Arithmetic { .. } | MetaArithmetic(_)) => {
            let text = String::from_utf8_lossy(&value).trim().parse();
            text.map_or(CacheReply::Refusal(CacheRefusal::NotNumeric), CacheReply::Number)
        }
        (ReturnCode::Va, _) => CacheReply::Found(item(response, value)),
        (ReturnCode::Hd, Delete { .. } | MetaDelete(_)) => CacheReply::Deleted,
        (ReturnCode::Hd, Touch { .. }) => CacheReply::Touched,
        (ReturnCode::Hd, _) => CacheReply::Stored,
        (ReturnCode::En, Touch { .. }) => CacheReply::NotFound,
        (ReturnCode::En, _) => CacheReply::Miss,
        (ReturnCode::Ns, _) => CacheReply::NotStored,
        (ReturnCode::Ex, _) => CacheReply::Exists,
        (ReturnCode::Nf, _) => CacheReply::NotFound,
        _ => CacheReply::Ok,
    }
}

fn item(response: &MetaResponse, value: Bytes) -> Item {
    let mut item = Item {
        value,
        flags: 0,
        cas: 0,
        remaining: Remaining::Never,
        stale: false,
        win: Win::None,
        fetched: false,
        idle_seconds: 0,
    };
    for token in response.flags() {
        match token.split_first() {
            Some((b'f', number)) => item.flags = decimal(number).unwrap_or(0),
            Some((b'c', number)) => item.cas = decimal(number).unwrap_or(0),
            // `t-1` is never.
            Some((b't', number)) => {
                item.remaining = decimal(number).map_or(Remaining::Never, Remaining::Seconds);
            }
            Some((b'X', _)) => item.stale = true,
            Some((b'W', _)) => item.win = Win::Won,
            Some((b'Z', _)) => item.win = Win::Lost,
            _ => {}
        }
    }
    item
}

pub(crate) fn refusal(message: &str) -> CacheRefusal {
    match message {
        m if m.contains("too large") => CacheRefusal::TooLarge,
        m if m.contains("memory") => CacheRefusal::OutOfMemory,
        m if m.contains("numeric") => CacheRefusal::NotNumeric,
        _ => CacheRefusal::BadCommandLine,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_an_item_are_read_to_their_ends() {
        let get = CacheCommand::Get { key: Key::from("k") };
        for (header, flags, cas, remaining) in [
            ("VA 0 f0 c1 t-1", 0, 1, Remaining::Never),
            ("VA 0 f4294967295 c9223372036854775808 t0", u32::MAX, 1 << 63, Remaining::Seconds(0)),
            ("VA 0 f1 c18446744073709551615 t300", 1, u64::MAX, Remaining::Seconds(300)),
        ] {
            let response = MetaResponse::parse_header(header.as_bytes()).unwrap();
            let CacheReply::Found(item) = decode(&get, response) else { panic!("{header}") };
            assert_eq!((item.flags, item.cas, item.remaining), (flags, cas, remaining));
        }
    }
}

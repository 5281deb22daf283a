//! Classic commands in the text protocol, for what their meta equivalents do otherwise.
//!
//! A meta get takes the right to refill a stale item and tells of leases, a classic `get` does
//! neither; a refused oversize `cas`, `add` or `replace` keeps the old item, as an `ms` with the
//! same mode does not. A pattern that sends the classic command means the classic one.

use std::io;

use bytes::Bytes;

use super::bare::VALUE_BYTES_MAX;
use super::meta::refusal;
use crate::backend::memcached_model::KEY_BYTES_MAX;
use crate::backend::reply::{self, Read, Reply, decimal};
use crate::step::{CacheCommand, CacheReply, Item, Key, Remaining, Verb, Win};

/// What is behind the value that a get returns.
const END: &[u8] = b"END\r\n";

/// Whether a command is to be sent as text. Not with a key that no server takes, which would then
/// take the value for a command.
pub(crate) fn differs(command: &CacheCommand) -> bool {
    let plain = |key: &Key| {
        let bytes = key.as_bytes();
        !bytes.is_empty() && bytes.len() <= KEY_BYTES_MAX && bytes.iter().all(u8::is_ascii_graphic)
    };
    match command {
        CacheCommand::Store { verb: Verb::Set, .. } => false,
        CacheCommand::Get { key }
        | CacheCommand::GetAndTouch { key, .. }
        | CacheCommand::Touch { key, .. }
        | CacheCommand::Store { key, .. } => plain(key),
        _ => false,
    }
}

/// Appends the request of a command of which [`differs`] says that it is to be sent so.
pub(crate) fn encode(command: &CacheCommand, request: &mut Vec<u8>) {
    let mut words = |parts: [&[u8]; 3]| parts.iter().for_each(|part| request.extend(*part));
    match command {
        CacheCommand::Get { key } => words([b"gets ", key.as_bytes(), b"\r\n"]),
        CacheCommand::GetAndTouch { key, ttl } => {
            words([format!("gats {} ", ttl.0).as_bytes(), key.as_bytes(), b"\r\n"]);
        }
        CacheCommand::Touch { key, ttl } => {
            words([b"touch ", key.as_bytes(), format!(" {}\r\n", ttl.0).as_bytes()]);
        }
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let (word, token): (&[u8], _) = match verb {
                Verb::Set => (b"set ", String::new()),
                Verb::Add => (b"add ", String::new()),
                Verb::Replace => (b"replace ", String::new()),
                Verb::Append => (b"append ", String::new()),
                Verb::Prepend => (b"prepend ", String::new()),
                Verb::Cas(token) => (b"cas ", format!(" {token}")),
            };
            let rest = format!(" {flags} {} {}{token}\r\n", ttl.0, value.len());
            words([word, key.as_bytes(), rest.as_bytes()]);
            words([value, b"\r\n", b""]);
        }
        _ => unreachable!("only what `differs` names is sent as text"),
    }
}

/// The reply to one command, as soon as all of it is there.
pub(crate) fn read(input: &[u8]) -> io::Result<Option<CacheReply>> {
    match reply::text(input, VALUE_BYTES_MAX) {
        Read::Incomplete(_) => Ok(None),
        Read::Malformed(what) => Err(io::Error::other(what)),
        Read::Done(used, Reply::Line(line)) if used == input.len() => said(line).map(Some),
        Read::Done(used, Reply::Value { line, value }) => match &input[used..] {
            END => item(line, value).map(Some),
            rest if END.starts_with(rest) => Ok(None),
            _ => Err(io::Error::other("a value is not followed by `END`")),
        },
        Read::Done(..) => Err(io::Error::other("more than one reply")),
    }
}

fn said(line: &[u8]) -> io::Result<CacheReply> {
    let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
    let text = || String::from_utf8_lossy(line);
    Ok(match word {
        b"END" => CacheReply::Miss,
        b"STORED" => CacheReply::Stored,
        b"NOT_STORED" => CacheReply::NotStored,
        b"EXISTS" => CacheReply::Exists,
        b"NOT_FOUND" => CacheReply::NotFound,
        b"TOUCHED" => CacheReply::Touched,
        b"CLIENT_ERROR" | b"SERVER_ERROR" | b"ERROR" => CacheReply::Refusal(refusal(&text())),
        _ => return Err(io::Error::other(format!("`{}` is no reply", text()))),
    })
}

/// Of `VALUE key flags bytes cas` and the value.
fn item(line: &[u8], value: &[u8]) -> io::Result<CacheReply> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let numbers = match words[..] {
        [_, _, flags, _, cas] => decimal(flags).zip(decimal(cas)),
        _ => None,
    };
    let Some((flags, cas)) = numbers else {
        let line = String::from_utf8_lossy(line);
        return Err(io::Error::other(format!("`{line}` is no header of a value")));
    };
    Ok(CacheReply::Found(Item {
        value: Bytes::copy_from_slice(value),
        flags,
        cas,
        // The classic commands do not tell.
        remaining: Remaining::Never,
        stale: false,
        win: Win::None,
        fetched: false,
        idle_seconds: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_once_all_of_it_is_there() {
        let whole = b"VALUE k 7 5 18446744073709551615\r\na\r\nEN\r\nEND\r\n";
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]).unwrap(), None, "{end}");
        }
        match read(whole).unwrap() {
            Some(CacheReply::Found(item)) => {
                assert_eq!((&item.value[..], item.flags, item.cas), (&b"a\r\nEN"[..], 7, u64::MAX));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(read(b"END\r\n").unwrap(), Some(CacheReply::Miss));
        assert_eq!(read(b"TOUCHED\r\n").unwrap(), Some(CacheReply::Touched));
    }

    #[test]
    fn nonsense_is_refused() {
        for nonsense in [
            "END\r\nEND\r\n",
            "VALUE k 0 1 1\r\na\r\nVALUE",
            "VALUE k 0 1\r\na\r\nEND\r\n",
            "VALUE k 0 1 1 1\r\na\r\nEND\r\n",
            "VALUE k x 1 1\r\na\r\nEND\r\n",
            "VALUE k  1 1\r\na\r\nEND\r\n",
            "VALUE k 0 1 18446744073709551616\r\na\r\nEND\r\n",
            "HD\r\n",
            "\r\n",
        ] {
            assert!(read(nonsense.as_bytes()).is_err(), "{nonsense:?}");
        }
    }
}

//! Classic commands in the text protocol, for what their meta equivalents do otherwise.
//!
//! A meta get takes the right to refill a stale item and tells of leases, a classic `get` does
//! neither; a refused oversize `cas`, `add` or `replace` keeps the old item, as an `ms` with the
//! same mode does not. A pattern that sends the classic command means the classic one.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;

use super::meta::refusal;
use crate::step::{CacheCommand, CacheReply, Item, Remaining, Verb, Win};

/// A key that is longer is refused, and the server would take the value for a command.
const KEY_BYTES_MAX: usize = 250;
/// No value is longer than an item.
const VALUE_BYTES_MAX: usize = 1 << 21;

/// Whether a command is to be sent as text.
pub(super) fn differs(command: &CacheCommand) -> bool {
    let plain = |key: &crate::step::Key| {
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

/// A connection that speaks text.
pub(super) struct TextLink(BufReader<TcpStream>);

impl TextLink {
    pub fn connect(server: &str, timeout: Duration) -> io::Result<TextLink> {
        let stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(TextLink(BufReader::new(stream)))
    }

    /// Sends a command of which [`differs`] says that it is to be sent so.
    pub fn execute(&mut self, command: &CacheCommand) -> io::Result<CacheReply> {
        self.0.get_mut().write_all(&request(command))?;
        let line = self.line()?;
        Ok(match line.split(' ').next().unwrap_or_default() {
            "VALUE" => CacheReply::Found(self.item(&line)?),
            "END" => CacheReply::Miss,
            "STORED" => CacheReply::Stored,
            "NOT_STORED" => CacheReply::NotStored,
            "EXISTS" => CacheReply::Exists,
            "NOT_FOUND" => CacheReply::NotFound,
            "TOUCHED" => CacheReply::Touched,
            "CLIENT_ERROR" | "SERVER_ERROR" | "ERROR" => CacheReply::Refusal(refusal(&line)),
            _ => return Err(io::Error::other(format!("`{line}` is no reply"))),
        })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }

    /// `VALUE key flags bytes cas`, the value, and `END`.
    fn item(&mut self, line: &str) -> io::Result<Item> {
        let malformed = || io::Error::other(format!("`{line}` is no header of a value"));
        let numbers: Option<Vec<u64>> =
            line.split(' ').skip(2).map(|word| word.parse().ok()).collect();
        let Some([flags, length, cas]) = numbers.as_deref() else { return Err(malformed()) };
        let length = usize::try_from(*length).ok().filter(|length| *length <= VALUE_BYTES_MAX);
        let mut value = vec![0; length.ok_or_else(malformed)? + 2];
        self.0.read_exact(&mut value)?;
        value.truncate(value.len() - 2);
        if self.line()? != "END" {
            return Err(malformed());
        }
        Ok(Item {
            value: Bytes::from(value),
            flags: *flags as u32,
            cas: *cas,
            // The classic commands do not tell.
            remaining: Remaining::Never,
            stale: false,
            win: Win::None,
            fetched: false,
            idle_seconds: 0,
        })
    }
}

fn request(command: &CacheCommand) -> Vec<u8> {
    let name = |key: &crate::step::Key| String::from_utf8_lossy(key.as_bytes()).into_owned();
    match command {
        CacheCommand::Get { key } => format!("gets {}\r\n", name(key)).into_bytes(),
        CacheCommand::GetAndTouch { key, ttl } => {
            format!("gats {} {}\r\n", ttl.0, name(key)).into_bytes()
        }
        CacheCommand::Touch { key, ttl } => format!("touch {} {}\r\n", name(key), ttl.0).into(),
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let (word, token) = match verb {
                Verb::Set => ("set", String::new()),
                Verb::Add => ("add", String::new()),
                Verb::Replace => ("replace", String::new()),
                Verb::Append => ("append", String::new()),
                Verb::Prepend => ("prepend", String::new()),
                Verb::Cas(token) => ("cas", format!(" {token}")),
            };
            let key = name(key);
            let header = format!("{word} {key} {flags} {} {}{token}\r\n", ttl.0, value.len());
            let mut request = header.into_bytes();
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n");
            request
        }
        _ => unreachable!("only what `differs` names is sent as text"),
    }
}

//! One client's connections to the cache nodes.
//!
//! A step is carried out by blocking on it. What the caller learns when there is no reply is
//! what an application would learn: refused, timed out, connection lost. After either of the
//! last two the connection is closed, so that a late reply meets nobody. Classic commands are sent
//! as such where their meta equivalents do something else (`backend::memcached::text`).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use memcache::exp::{Error, MetaResponse};

use crate::backend::memcached::bare::{Bare, VALUE_BYTES_MAX};
use crate::backend::memcached::{meta, text};
use crate::backend::reply::{self, Read, Reply};
use crate::step::{Answer, CacheCommand, CacheRefusal, CacheReply, StepError};

/// A connection to one cache node.
pub(super) struct CacheLink {
    address: SocketAddr,
    timeout: Duration,
    open: Option<Bare>,
    request: Vec<u8>,
}

impl CacheLink {
    pub fn new(address: SocketAddr, timeout: Duration) -> CacheLink {
        CacheLink { address, timeout, open: None, request: Vec::new() }
    }

    /// Sends a command and waits for its reply.
    pub fn execute(&mut self, command: &CacheCommand) -> Answer {
        let connection = match &mut self.open {
            Some(open) => open,
            none => match Bare::connect(self.address, self.timeout) {
                Ok(connection) => none.insert(connection),
                // Nothing was sent.
                Err(_) => return Answer::Error(StepError::Refused),
            },
        };
        self.request.clear();
        let reply = match text::differs(command) {
            true => {
                text::encode(command, &mut self.request);
                connection.exchange(&self.request, text::read)
            }
            false => {
                if meta::encode(command).encode_into(&mut self.request).is_err() {
                    // A key that no server takes is refused before it is sent.
                    return Answer::Cache(CacheReply::Refusal(CacheRefusal::BadCommandLine));
                }
                connection.exchange(&self.request, |input| read_meta(command, input))
            }
        };
        match reply {
            Ok(reply) => {
                if matches!(reply, CacheReply::Refusal(_)) {
                    // The server may take what was left of the value for commands.
                    self.open = None;
                }
                Answer::Cache(reply)
            }
            Err(error) => {
                self.open = None;
                Answer::Error(match error.kind() {
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => StepError::Timeout,
                    _ => StepError::ConnectionLost,
                })
            }
        }
    }
}

/// The reply to a meta command, as soon as all of it is there.
fn read_meta(command: &CacheCommand, input: &[u8]) -> io::Result<Option<CacheReply>> {
    let (line, value) = match reply::text(input, VALUE_BYTES_MAX) {
        Read::Incomplete(_) => return Ok(None),
        Read::Malformed(what) => return Err(io::Error::other(what)),
        // One request is under way, so one reply is all that may come.
        Read::Done(used, _) if used != input.len() => {
            return Err(io::Error::other("more than one reply"));
        }
        Read::Done(_, Reply::Line(line)) => (line, &b""[..]),
        Read::Done(_, Reply::Value { line, value }) => (line, value),
        Read::Done(_, Reply::Packet { .. }) => return Err(io::Error::other("a binary reply")),
    };
    match MetaResponse::parse_header(line) {
        Ok(header) => Ok(Some(meta::decode_parts(command, &header, Bytes::copy_from_slice(value)))),
        Err(Error::Server(said) | Error::Rejected(said)) => {
            Ok(Some(CacheReply::Refusal(meta::refusal(&said))))
        }
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::step::Key;

    #[test]
    fn a_reply_longer_than_the_buffer_arrives_in_pieces() {
        const SIZES: [usize; 4] = [3, 4_090, 100_000, 5];
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            for size in SIZES {
                assert!(stream.read(&mut [0; 256]).unwrap() > 0);
                let reply =
                    [format!("VALUE k 0 {size} 1\r\n").into_bytes(), vec![b'x'; size]].concat();
                stream.write_all(&reply).unwrap();
                std::thread::sleep(Duration::from_millis(5));
                stream.write_all(b"\r\nEND\r\n").unwrap();
            }
        });
        let mut link = CacheLink::new(address, Duration::from_secs(10));
        for size in SIZES {
            match link.execute(&CacheCommand::Get { key: Key::from("k") }) {
                Answer::Cache(CacheReply::Found(item)) => assert_eq!(item.value.len(), size),
                other => panic!("{other:?}"),
            }
        }
        server.join().unwrap();
    }
}

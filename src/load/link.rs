//! One client's connections to the cache nodes.
//!
//! A step is carried out by blocking on it. What the caller learns when there is no reply is
//! what an application would learn: refused, timed out, connection lost. After either of the
//! last two the connection is closed, so that a late reply meets nobody.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use memcache::exp::{Error, MetaResponse};

use crate::backend::memcached::meta;
use crate::step::{Answer, CacheCommand, CacheRefusal, CacheReply, StepError};
use crate::wire::reply::{self, Read, Reply};

/// A connection to one cache node.
pub(super) struct CacheLink {
    address: SocketAddr,
    timeout: Duration,
    open: Option<MetaStream>,
    request: Vec<u8>,
}

impl CacheLink {
    pub fn new(address: SocketAddr, timeout: Duration) -> CacheLink {
        CacheLink { address, timeout, open: None, request: Vec::new() }
    }

    /// Sends a command and waits for its reply.
    pub fn execute(&mut self, command: &CacheCommand) -> Answer {
        let stream = match &mut self.open {
            Some(open) => open,
            none => match MetaStream::connect(self.address, self.timeout) {
                Ok(stream) => none.insert(stream),
                // Nothing was sent.
                Err(_) => return Answer::Error(StepError::Refused),
            },
        };
        let meta = match command {
            CacheCommand::FlushAll { .. } | CacheCommand::Version => {
                unreachable!("patterns have no handle for these")
            }
            command => meta::encode(command),
        };
        self.request.clear();
        if meta.encode_into(&mut self.request).is_err() {
            // A key that no server takes is refused before it is sent.
            return Answer::Cache(CacheReply::Refusal(CacheRefusal::BadCommandLine));
        }
        match stream.exchange(&self.request, command) {
            Ok(reply) => Answer::Cache(reply),
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

/// A bare meta connection. The crate's own sets the socket's timeouts anew before each write and
/// each read, four system calls of the six that a hit then takes; here they are set once, so a
/// reply in several pieces may take as many timeouts.
struct MetaStream {
    stream: TcpStream,
    /// Where a reply is read to, from the start on; grows when one does not fit.
    buffer: Vec<u8>,
}

/// No value is longer than an item.
const VALUE_BYTES_MAX: usize = 1 << 20;

impl MetaStream {
    fn connect(address: SocketAddr, timeout: Duration) -> io::Result<MetaStream> {
        let stream = TcpStream::connect_timeout(&address, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(MetaStream { stream, buffer: vec![0; 4096] })
    }

    /// An error means that the connection cannot be used again.
    fn exchange(&mut self, request: &[u8], command: &CacheCommand) -> io::Result<CacheReply> {
        self.stream.write_all(request)?;
        let mut filled = 0;
        loop {
            if filled == self.buffer.len() {
                self.buffer.resize(2 * filled, 0);
            }
            let count = self.stream.read(&mut self.buffer[filled..])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            filled += count;
            match reply::text(&self.buffer[..filled], VALUE_BYTES_MAX) {
                Read::Incomplete(_) => {}
                // One request is under way, so one reply is all that may come.
                Read::Done(used, reply) if used == filled => {
                    return decode(command, &reply);
                }
                Read::Done(..) => return Err(io::Error::other("more than one reply")),
                Read::Malformed(what) => return Err(io::Error::other(what)),
            }
        }
    }
}

fn decode(command: &CacheCommand, reply: &Reply<'_>) -> io::Result<CacheReply> {
    let (line, value) = match reply {
        Reply::Line(line) => (*line, &b""[..]),
        Reply::Value { line, value } => (*line, *value),
        Reply::Packet { .. } => return Err(io::Error::other("a binary reply")),
    };
    match MetaResponse::parse_header(line) {
        Ok(header) => Ok(meta::decode_parts(command, &header, Bytes::copy_from_slice(value))),
        Err(Error::Server(said) | Error::Rejected(said)) => {
            Ok(CacheReply::Refusal(meta::refusal(&said)))
        }
        Err(error) => Err(io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
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
                let reply = [format!("VA {size} f0\r\n").into_bytes(), vec![b'x'; size]].concat();
                stream.write_all(&reply).unwrap();
                std::thread::sleep(Duration::from_millis(5));
                stream.write_all(b"\r\n").unwrap();
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

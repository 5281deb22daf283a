//! A bare connection to a memcached server: bytes out, and a reply in as many pieces as it takes.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// No value is longer than an item of the largest size that is usual.
pub(crate) const VALUE_BYTES_MAX: usize = 1 << 21;

/// A socket on which nothing takes longer than the timeout.
pub(super) fn socket(server: impl ToSocketAddrs, timeout: Duration) -> io::Result<TcpStream> {
    let mut addresses = server.to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    Ok(stream)
}

/// The `memcache` crate's connections set the socket's timeouts anew before each write and each
/// read, four system calls of the six that a hit then takes; here they are set once, so a reply in
/// several pieces may take as many timeouts.
pub(crate) struct Bare {
    stream: TcpStream,
    /// Where a reply is read to, from the start on; grows when one does not fit.
    buffer: Vec<u8>,
}

impl Bare {
    pub fn connect(server: impl ToSocketAddrs, timeout: Duration) -> io::Result<Bare> {
        Ok(Bare { stream: socket(server, timeout)?, buffer: vec![0; 4096] })
    }

    /// Sends a request and reads until `decode` finds that all of the reply is there. After an
    /// error the connection cannot be used again.
    pub fn exchange<T>(
        &mut self,
        request: &[u8],
        decode: impl Fn(&[u8]) -> io::Result<Option<T>>,
    ) -> io::Result<T> {
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
            if let Some(reply) = decode(&self.buffer[..filled])? {
                return Ok(reply);
            }
        }
    }
}

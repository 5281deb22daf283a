//! What a connection remembers between requests, and the first look at its bytes.

use super::request::Request;
use super::{binary, classic};

/// Longer lines without an end close the connection, unless they begin like a multi-get.
const LINE_BYTES_MAX: usize = 2048;
/// A multi-get without an end closes the connection beyond this. The real server has no
/// such limit; a server must not be filled by one peer.
const MULTI_GET_BYTES_MAX: usize = 1 << 20;

/// What the bytes so far amount to.
#[derive(Debug, PartialEq)]
pub enum Parsed {
    /// Not yet a request. The number is how many bytes the request has in all, where that
    /// is known.
    Incomplete(Option<usize>),
    /// So many bytes are used up and lead to this.
    Done(usize, Action),
}

/// What a request leads to.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// A reply that needs no look at the cache.
    Say(Vec<u8>),
    /// Something to execute.
    Run(Request),
    /// Something to execute, after which the next so many bytes are ignored.
    RunAndSwallow(Request, u64),
    /// A reply, after which the next so many bytes are ignored.
    SayAndSwallow(Vec<u8>, u64),
    /// A last reply, possibly empty.
    Close(Vec<u8>),
}

impl Action {
    /// A reply that is known in advance.
    pub(super) fn say(text: &str) -> Action {
        Action::Say([text.as_bytes(), b"\r\n"].concat())
    }
}

/// What a connection remembers.
#[derive(Clone, Debug, Default)]
pub struct Session {
    protocol: Option<Protocol>,
    swallow: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Text,
    Binary,
}

impl Session {
    /// A new connection.
    pub fn new() -> Session {
        Session::default()
    }

    /// Looks at the bytes received and not yet used up.
    pub fn parse(&mut self, input: &[u8]) -> Parsed {
        if input.is_empty() {
            return Parsed::Incomplete(None);
        }
        if self.swallow > 0 {
            let swallowed = usize::try_from(self.swallow).unwrap_or(usize::MAX).min(input.len());
            self.swallow -= swallowed as u64;
            return Parsed::Done(swallowed, Action::Nothing);
        }
        let protocol = *self.protocol.get_or_insert(match input[0] {
            binary::REQUEST => Protocol::Binary,
            _ => Protocol::Text,
        });
        let parsed = match protocol {
            Protocol::Binary => binary::parse(input),
            Protocol::Text => parse_text(input),
        };
        match parsed {
            Parsed::Done(used, Action::RunAndSwallow(request, swallow)) => {
                self.swallow = swallow;
                Parsed::Done(used, Action::Run(request))
            }
            Parsed::Done(used, Action::SayAndSwallow(reply, swallow)) => {
                self.swallow = swallow;
                Parsed::Done(used, Action::Say(reply))
            }
            other => other,
        }
    }

    /// Whether the peer speaks the binary protocol.
    pub fn is_binary(&self) -> bool {
        self.protocol == Some(Protocol::Binary)
    }
}

fn parse_text(input: &[u8]) -> Parsed {
    let Some(end) = find_newline(input) else {
        if input.len() > LINE_BYTES_MAX && !may_go_on(input) {
            return Parsed::Done(input.len(), Action::Close(Vec::new()));
        }
        return Parsed::Incomplete(None);
    };
    let line = match &input[..end] {
        [line @ .., b'\r'] if !line.is_empty() => line,
        line => line,
    };
    classic::parse(line, end + 1, &input[end + 1..])
}

/// The end of the line. Lines are short, so this looks at 8 bytes at a time and needs no
/// crate for it.
fn find_newline(input: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const NEWLINES: u64 = ONES * b'\n' as u64;
    let mut chunks = input.chunks_exact(8);
    for (number, chunk) in chunks.by_ref().enumerate() {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks have 8 bytes")) ^ NEWLINES;
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(number * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let tail = input.len() - chunks.remainder().len();
    chunks.remainder().iter().position(|byte| *byte == b'\n').map(|at| tail + at)
}

fn may_go_on(input: &[u8]) -> bool {
    let blanks = input.iter().take_while(|byte| **byte == b' ').count();
    let start = &input[blanks..];
    blanks <= 100
        && (start.starts_with(b"get ") || start.starts_with(b"gets "))
        && input.len() <= MULTI_GET_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut text = vec![0x8a; length];
            assert_eq!(find_newline(&text), None);
            for at in 0..length {
                text[at] = b'\n';
                assert_eq!(find_newline(&text), Some(at));
                text[at] = b'\x0b';
            }
        }
    }

    #[test]
    fn an_endless_line_closes_the_connection() {
        let parse = |text: &[u8]| Session::new().parse(text);
        assert_eq!(parse(&[b'x'; 2048]), Parsed::Incomplete(None));
        assert!(matches!(parse(&[b'x'; 2049]), Parsed::Done(2049, Action::Close(_))));
        let get = [b"get ".as_slice(), &[b'x'; 5000]].concat();
        assert_eq!(parse(&get), Parsed::Incomplete(None));
    }
}

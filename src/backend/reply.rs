//! Reading what a memcached server says, and where its replies end.
//!
//! A reply is one of a few shapes that can be told apart by themselves: a line, a line with
//! a value behind it (`VALUE`, `VA`), a binary packet. [`text`] and [`binary`] give the next
//! one without copying, or say that there is none yet, or that the server talks nonsense.

use std::str::FromStr;

/// The longest line of a reply: a key in base64, an opaque and some numbers fit.
pub const LINE_BYTES_MAX: usize = 2048;
const BINARY_REPLY: u8 = 0x81;
const HEADER_BYTES: usize = 24;

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// Not yet a reply; the number is how many bytes it has in all, where that is known.
    Incomplete(Option<usize>),
    /// So many bytes are a reply.
    Done(usize, Reply<'a>),
    /// No server of this protocol says this.
    Malformed(&'static str),
}

/// One reply, or one item of a reply to a multi-get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A line without its end: `STORED`, `END`, `HD W`, `STAT pid 1`, `SERVER_ERROR ...`.
    Line(&'a [u8]),
    /// `VALUE KEY FLAGS BYTES [CAS]`, or `VA BYTES FLAG*`.
    Value {
        /// The line without its end.
        line: &'a [u8],
        /// The value.
        value: &'a [u8],
    },
    /// A binary reply.
    Packet {
        /// The opcode of the request.
        opcode: u8,
        /// 0 is success.
        status: u16,
        /// The opaque of the request.
        opaque: [u8; 4],
        /// The item's CAS id.
        cas: u64,
        /// What the opcode adds, such as flags.
        extras: &'a [u8],
        /// The key, where it was asked for.
        key: &'a [u8],
        /// The value, a number, or the text of an error.
        value: &'a [u8],
    },
}

/// The next reply in text, classic or meta. A value of more than `value_bytes_max` is
/// refused, so that a server cannot make its client hold any amount.
pub fn text(input: &[u8], value_bytes_max: usize) -> Read<'_> {
    let window = &input[..input.len().min(LINE_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|two| two == b"\r\n") else {
        return match input.len() {
            LINE_BYTES_MAX.. => Read::Malformed("a line has no end"),
            _ => Read::Incomplete(None),
        };
    };
    let line = &input[..end];
    let used = end + 2;
    let mut words = line.split(|byte| *byte == b' ');
    let length = match words.next() {
        Some(b"VALUE") => words.nth(2),
        Some(b"VA") => words.next(),
        _ => return Read::Done(used, Reply::Line(line)),
    };
    let Some(length) = length.and_then(decimal::<usize>) else {
        return Read::Malformed("a value has no length");
    };
    if length > value_bytes_max {
        return Read::Malformed("a value is longer than any that was stored");
    }
    let total = used + length + 2;
    match input.get(used..total) {
        None => Read::Incomplete(Some(total)),
        Some(body) => match body.strip_suffix(b"\r\n") {
            Some(value) => Read::Done(total, Reply::Value { line, value }),
            None => Read::Malformed("a value does not end where it should"),
        },
    }
}

/// A number as a server writes it; `parse` would take a sign.
pub(crate) fn decimal<N: FromStr>(word: &[u8]) -> Option<N> {
    let digits = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(word).ok().filter(|_| digits)?.parse().ok()
}

/// The next binary reply. A body of more than `body_bytes_max` is refused.
pub fn binary(input: &[u8], body_bytes_max: usize) -> Read<'_> {
    match input.first() {
        None => return Read::Incomplete(Some(HEADER_BYTES)),
        Some(&BINARY_REPLY) => {}
        Some(_) => return Read::Malformed("a packet does not begin like a reply"),
    }
    let Some(head) = input.first_chunk::<HEADER_BYTES>() else {
        return Read::Incomplete(Some(HEADER_BYTES));
    };
    let key_bytes = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let extra_bytes = usize::from(head[4]);
    let body_bytes = u32::from_be_bytes([head[8], head[9], head[10], head[11]]) as usize;
    if body_bytes > body_bytes_max {
        return Read::Malformed("a body is longer than any that was stored");
    }
    if key_bytes + extra_bytes > body_bytes {
        return Read::Malformed("the parts of a body are longer than the body");
    }
    let total = HEADER_BYTES + body_bytes;
    let Some(body) = input.get(HEADER_BYTES..total) else {
        return Read::Incomplete(Some(total));
    };
    let (extras, rest) = body.split_at(extra_bytes);
    let (key, value) = rest.split_at(key_bytes);
    let cas = head[16..].iter().fold(0, |cas, byte| cas << 8 | u64::from(*byte));
    let reply = Reply::Packet {
        opcode: head[1],
        status: u16::from_be_bytes([head[6], head[7]]),
        opaque: [head[12], head[13], head[14], head[15]],
        cas,
        extras,
        key,
        value,
    };
    Read::Done(total, reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 1 << 20;

    #[test]
    fn lines_and_values_are_told_apart() {
        let line = |used, line: &'static str| Read::Done(used, Reply::Line(line.as_bytes()));
        assert_eq!(text(b"STORED\r\nX", MAX), line(8, "STORED"));
        assert_eq!(text(b"\r\n", MAX), line(2, ""));
        let (reply, value) = (b"VALUE a 0 2 7\r\n\r\n\r\nEND", b"\r\n".as_slice());
        let expected = Reply::Value { line: b"VALUE a 0 2 7", value };
        assert_eq!(text(reply, MAX), Read::Done(19, expected));
        let expected = Reply::Value { line: b"VA 1 W", value: b"x" };
        assert_eq!(text(b"VA 1 W\r\nx\r\n", MAX), Read::Done(11, expected));
        assert_eq!(text(b"VA 9\r\nx", MAX), Read::Incomplete(Some(17)));
        assert_eq!(text(b"VA 9", MAX), Read::Incomplete(None));
    }

    #[test]
    fn nonsense_is_refused() {
        for reply in ["VA x\r\n", "VA -1\r\n", "VALUE a 0\r\n", "VA 1\r\nxyz", "VA 9999999\r\n"] {
            assert!(matches!(text(reply.as_bytes(), MAX), Read::Malformed(_)), "{reply}");
        }
        assert!(matches!(text(&[b'x'; LINE_BYTES_MAX], MAX), Read::Malformed(_)));
        let mut packet = [0; 24];
        assert!(matches!(binary(&packet, MAX), Read::Malformed(_)));
        packet[0] = BINARY_REPLY;
        assert!(matches!(binary(&packet, MAX), Read::Done(24, _)));
        packet[4] = 1;
        assert!(matches!(binary(&packet, MAX), Read::Malformed(_)));
        packet[8] = 0xff;
        assert!(matches!(binary(&packet, MAX), Read::Malformed(_)));
    }
}

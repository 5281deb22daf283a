//! The header before every cached row: which row it is, who wrote it, and a checksum.
//!
//! `sp1 WRITER VERSION ROW CHECKSUM KEY\n` and then the application's bytes; the four
//! numbers are 16 hexadecimal digits each, so that their places are fixed and a person with
//! telnet can read them. The checksum covers everything else.

use bytes::Bytes;

use crate::operation::OpId;
use crate::step::{Key, Row, RowId};

const MAGIC: &[u8; 4] = b"sp1 ";
const DIGITS: usize = 16;
const WRITER: usize = MAGIC.len();
const VERSION: usize = WRITER + DIGITS + 1;
const ROW: usize = VERSION + DIGITS + 1;
const CHECKSUM: usize = ROW + DIGITS + 1;
const KEY: usize = CHECKSUM + DIGITS + 1;

/// What a pattern caches for a row that does not exist, if it caches that at all.
pub const ABSENT: &[u8] = b"sp0 absent";

/// The identity of a cached value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The operation that wrote the row.
    pub writer: OpId,
    /// The row's version, 0 where the writer did not know it.
    pub version: u64,
    /// The row.
    pub row: RowId,
}

/// Wraps a row; `payload` appends the application's encoding of its columns.
pub fn seal(key: &Key, row: &Row, payload: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut out = Vec::with_capacity(KEY + key.as_bytes().len() + 1 + 64);
    out.extend_from_slice(MAGIC);
    for number in [row.writer.0, row.version, row.id.0, 0] {
        out.extend_from_slice(&hex(number));
        out.push(b' ');
    }
    out.extend_from_slice(key.as_bytes());
    out.push(b'\n');
    payload(&mut out);
    let sum = checksum(&out);
    out[CHECKSUM..CHECKSUM + DIGITS].copy_from_slice(&hex(sum));
    Bytes::from(out)
}

/// The identity of a value without looking at its checksum or payload; `None` when the
/// bytes do not begin with a header.
pub fn stamp(bytes: &[u8]) -> Option<Stamp> {
    if bytes.len() <= KEY || !bytes.starts_with(MAGIC) {
        return None;
    }
    Some(Stamp {
        writer: OpId(number(&bytes[WRITER..])?),
        version: number(&bytes[VERSION..])?,
        row: RowId(number(&bytes[ROW..])?),
    })
}

/// A value taken apart and found undamaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened<'a> {
    /// Whose value it is.
    pub stamp: Stamp,
    /// The key under which it was meant to be stored.
    pub key: &'a [u8],
    /// The application's bytes.
    pub payload: &'a [u8],
}

/// Takes a value apart; `None` when it is damaged or was never sealed.
pub fn open(bytes: &[u8]) -> Option<Opened<'_>> {
    let stamp = stamp(bytes)?;
    if number(&bytes[CHECKSUM..])? != checksum(bytes) {
        return None;
    }
    let rest = &bytes[KEY..];
    let end = rest.iter().position(|byte| *byte == b'\n')?;
    Some(Opened { stamp, key: &rest[..end], payload: &rest[end + 1..] })
}

/// A 64-bit checksum over all bytes but the checksum's own digits, eight at a time with the
/// multiply-and-rotate step of FxHash. It guards against damage, not against malice.
fn checksum(bytes: &[u8]) -> u64 {
    fold(fold(bytes.len() as u64, &bytes[..CHECKSUM]), &bytes[CHECKSUM + DIGITS..])
}

fn fold(start: u64, bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x517c_c1b7_2722_0a95;
    let mut sum = start;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
        sum = (sum.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
    }
    for byte in chunks.remainder() {
        sum = (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(MULTIPLIER);
    }
    sum
}

fn hex(number: u64) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    for (place, digit) in digits.iter_mut().enumerate() {
        let nibble = (number >> (60 - 4 * place)) as u8 & 15;
        *digit = if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
    }
    digits
}

/// The value of each hexadecimal digit, 255 for what is none.
const NIBBLES: [u8; 256] = {
    let mut nibbles = [255; 256];
    let mut value = 0;
    while value < 16 {
        nibbles[b"0123456789abcdef"[value] as usize] = value as u8;
        value += 1;
    }
    nibbles
};

fn number(text: &[u8]) -> Option<u64> {
    let digits: &[u8; DIGITS] = text.first_chunk()?;
    let mut number = 0u64;
    let mut wrong = 0u8;
    for digit in digits {
        let nibble = NIBBLES[usize::from(*digit)];
        wrong |= nibble;
        number = number << 4 | u64::from(nibble & 15);
    }
    (wrong < 16).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Bytes {
        let row = Row { id: RowId(7), version: 3, writer: OpId(0xabc), columns: [].into() };
        seal(&Key::from("product:7"), &row, |out| out.extend_from_slice(b"payload"))
    }

    #[test]
    fn what_was_sealed_opens() {
        let bytes = sealed();
        let opened = open(&bytes).unwrap();
        assert_eq!(opened.stamp, Stamp { writer: OpId(0xabc), version: 3, row: RowId(7) });
        assert_eq!((opened.key, opened.payload), (&b"product:7"[..], &b"payload"[..]));
        assert_eq!(stamp(&bytes), Some(opened.stamp));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let good = sealed();
        for place in 0..good.len() {
            let mut bad = good.to_vec();
            bad[place] ^= 1;
            assert_eq!(open(&bad), None, "byte {place}");
            assert_eq!(open(&good[..place]), None, "cut at {place}");
        }
    }
}

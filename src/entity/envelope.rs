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

/// What a pattern leaves in place of an entry that must not be filled for a while.
pub const TOMBSTONE: &[u8] = b"sp0 tombstone";

/// Whether a value only says that there is no entry here: a tombstone or another mark of a
/// pattern (whatever begins with `sp0 ` and is not [`ABSENT`]), or the empty stub of a lease.
pub fn is_mark(bytes: &[u8]) -> bool {
    bytes.is_empty() || (bytes.starts_with(b"sp0 ") && bytes != ABSENT)
}

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

/// A small number that values of one row have in common, for a table of values; nothing is
/// checked.
pub(crate) fn shelf(bytes: &[u8]) -> usize {
    let last = bytes.get(CHECKSUM - 3..CHECKSUM - 1).unwrap_or(&[0, 0]);
    let nibble = |digit: u8| usize::from(digit & 15) + 9 * usize::from(digit >> 6 & 1);
    nibble(last[0]) << 4 | nibble(last[1])
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

/// Hexadecimal digits are read and written eight at a time, as the bytes of a word: every
/// step of a run reads or writes several numbers, and digit by digit they took 7 % of it.
const ONES: u64 = 0x0101_0101_0101_0101;

fn hex(number: u64) -> [u8; DIGITS] {
    let mut digits = [0; DIGITS];
    digits[..8].copy_from_slice(&letters(spread((number >> 32) as u32)).to_be_bytes());
    digits[8..].copy_from_slice(&letters(spread(number as u32)).to_be_bytes());
    digits
}

fn number(text: &[u8]) -> Option<u64> {
    let digits: &[u8; DIGITS] = text.first_chunk()?;
    let (high, low) = digits.split_at(8);
    let word = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("half of the digits"));
    Some(u64::from(eight_digits(word(high))?) << 32 | u64::from(eight_digits(word(low))?))
}

/// One nibble to each byte.
fn spread(number: u32) -> u64 {
    let mut word = u64::from(number);
    word = (word << 16 | word) & 0x0000_ffff_0000_ffff;
    word = (word << 8 | word) & 0x00ff_00ff_00ff_00ff;
    (word << 4 | word) & 0x0f0f_0f0f_0f0f_0f0f
}

/// The digits of eight nibbles: `a` is 39 above what follows `9`.
fn letters(nibbles: u64) -> u64 {
    let above_nine = (nibbles + 6 * ONES) >> 4 & ONES;
    nibbles + u64::from(b'0') * ONES + 39 * above_nine
}

/// The number that eight lower-case digits write; `None` when one of the bytes is none.
fn eight_digits(text: u64) -> Option<u32> {
    let is_letter = text >> 6 & ONES;
    let mut word = (text & (15 * ONES)) + 9 * is_letter;
    // Each byte is a nibble, and is written in just this way.
    if word & (0xf0 * ONES) != 0 || letters(word) != text {
        return None;
    }
    word = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
    word = (word | word >> 8) & 0x0000_ffff_0000_ffff;
    Some((word | word >> 16) as u32)
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
    fn numbers_are_sixteen_lower_case_digits_and_nothing_else() {
        for shift in 0..64 {
            for n in [u64::MAX >> shift, 1 << shift, 0x0123_4567_89ab_cdef_u64.rotate_left(shift)] {
                assert_eq!(hex(n), *format!("{n:016x}").as_bytes());
                assert_eq!(number(&hex(n)), Some(n));
            }
        }
        for byte in 0..=255_u8 {
            for place in 0..DIGITS {
                let mut digits = *b"0123456789abcdef";
                digits[place] = byte;
                let plain = std::str::from_utf8(&digits).ok().filter(|text| {
                    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
                });
                let plain = plain.and_then(|text| u64::from_str_radix(text, 16).ok());
                assert_eq!(number(&digits), plain, "{byte} at {place}");
            }
        }
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

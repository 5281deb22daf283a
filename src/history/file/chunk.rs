//! Cuts a source into chunks of whole lines, and parses them.

use std::io::{self, Read};

use super::Wrong;
use super::line::{self, Line, Other, RawOp};
use super::scan::scan;

/// How much is parsed at once. Lines may be longer: then a chunk is.
const CHUNK: usize = 1 << 20;

/// A chunk whose lines were parsed.
pub(super) struct Parsed {
    /// The lines, as they were read.
    pub bytes: Vec<u8>,
    /// Strings that had to be decoded; spans behind the end of `bytes` are in here.
    pub side: Vec<u8>,
    pub ops: Vec<RawOp>,
    /// Lines that are no operations, with their numbers.
    pub others: Vec<(u64, Other)>,
    pub wrong: Vec<Wrong>,
    /// The number of the last line.
    pub last_line: u64,
}

/// A source in chunks.
pub(super) struct Chunks<R> {
    source: R,
    /// What was read behind the last whole line.
    rest: Vec<u8>,
    lines: u64,
    /// Whether the source has ended.
    ended: bool,
}

impl<R: Read> Chunks<R> {
    pub fn new(source: R) -> Chunks<R> {
        Chunks { source, rest: Vec::new(), lines: 0, ended: false }
    }

    /// The next chunk; `None` at the end.
    pub fn next_parsed(&mut self) -> Option<io::Result<Parsed>> {
        match self.next_bytes() {
            Ok(None) => None,
            Ok(Some(bytes)) => Some(Ok(parse(bytes, &mut self.lines))),
            Err(error) => {
                self.ended = true;
                self.rest.clear();
                Some(Err(error))
            }
        }
    }

    fn next_bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.reserve(CHUNK);
        let mut searched = 0;
        while !self.ended {
            let before = bytes.len();
            let read = (&mut self.source).take(CHUNK as u64).read_to_end(&mut bytes)?;
            self.ended = read == 0;
            let full = bytes.len() >= CHUNK || self.ended;
            if full && let Some(last) = bytes[searched..].iter().rposition(|byte| *byte == b'\n') {
                let cut = searched + last + 1;
                if !self.ended {
                    self.rest = bytes.split_off(cut);
                    return Ok(Some(bytes));
                }
            }
            searched = before;
        }
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

const BOM: &[u8] = b"\xef\xbb\xbf";

fn parse(bytes: Vec<u8>, lines: &mut u64) -> Parsed {
    let mut parsed = Parsed {
        ops: Vec::with_capacity(bytes.len() / 100),
        bytes: Vec::new(),
        side: Vec::new(),
        others: Vec::new(),
        wrong: Vec::new(),
        last_line: 0,
    };
    let is_text = std::str::from_utf8(&bytes).is_ok();
    let mut at = if *lines == 0 && bytes.starts_with(BOM) { BOM.len() } else { 0 };
    while at < bytes.len() {
        *lines += 1;
        if is_text && let Some((op, next)) = scan(&bytes, at) {
            parsed.ops.push(op);
            at = next;
            continue;
        }
        let length = bytes[at..].iter().position(|byte| *byte == b'\n');
        let end = length.map_or(bytes.len(), |length| at + length);
        if let Err(message) = parsed.careful(&bytes[at..end], bytes.len(), *lines) {
            parsed.wrong.push(Wrong { line: *lines, message });
        }
        at = end + 1;
    }
    parsed.bytes = bytes;
    parsed.last_line = *lines;
    parsed
}

impl Parsed {
    /// Reads a line that is odd; an empty one is nothing.
    fn careful(&mut self, line: &[u8], base: usize, number: u64) -> Result<(), String> {
        let text = std::str::from_utf8(line).map_err(|error| {
            format!(
                "byte {} is not UTF-8; write keys and values as UTF-8, or escape them",
                error.valid_up_to() + 1
            )
        })?;
        if text.trim().is_empty() {
            return Ok(());
        }
        match line::read(text, base, &mut self.side)? {
            Line::Op(op) => self.ops.push(op),
            Line::Other(other) => self.others.push((number, other)),
        }
        Ok(())
    }

    /// The text of a span; `None` for `null`.
    pub fn text(&self, span: line::Span) -> Option<&[u8]> {
        if span == line::Span::NULL {
            return None;
        }
        let (from, length) = (span.from as usize, span.length as usize);
        Some(match from.checked_sub(self.bytes.len()) {
            Some(from) => &self.side[from..from + length],
            None => &self.bytes[from..from + length],
        })
    }
}

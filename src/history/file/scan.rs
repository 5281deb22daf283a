//! Operations in their plainest form, read in one pass over the bytes.
//!
//! What is odd in any way (an escape, a field that is not known, a number with a point, a
//! mistake) is left to `line`, which takes ten times as long and can say what is wrong. So
//! this may refuse what is right, but must never accept what `line` would refuse, nor read it
//! otherwise; a test compares them.

use super::line::{Number, RawOp, Span};
use crate::history::log::Kind;
use crate::history::record::{Effect, Reported};
use crate::operation::Outcome;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Reads an operation that begins at `from`, and its line's end. The bytes must be text.
pub(super) fn scan(bytes: &[u8], from: usize) -> Option<(RawOp, usize)> {
    let mut cursor = Cursor { bytes, at: from };
    let op = cursor.operation()?;
    loop {
        match cursor.bytes.get(cursor.at) {
            None => return Some((op, cursor.at)),
            Some(b'\n') => return Some((op, cursor.at + 1)),
            Some(b' ' | b'\t' | b'\r') => cursor.at += 1,
            Some(_) => return None,
        }
    }
}

/// The fields, as bits: each must be there once at most.
const CLIENT: u16 = 1;
const OP: u16 = 1 << 1;
const KEY: u16 = 1 << 2;
const VALUE: u16 = 1 << 3;
const START: u16 = 1 << 4;
const END: u16 = 1 << 5;
const OUTCOME: u16 = 1 << 6;
const VERSION: u16 = 1 << 7;
const HIT: u16 = 1 << 8;
const GROUP: u16 = 1 << 9;
const ID: u16 = 1 << 10;
const STEPS: u16 = 1 << 11;
const REPORTED: u16 = 1 << 12;
const EFFECT: u16 = 1 << 13;
const REQUIRED: u16 = CLIENT | OP | KEY | START | OUTCOME;

/// Nothing known yet.
const BLANK: RawOp = RawOp {
    key: Span::NULL,
    value: Span::NULL,
    group: Span::NULL,
    client: Number { magnitude: 0, negative: false },
    start: Number { magnitude: 0, negative: false },
    end: None,
    version: None,
    kind: Kind::Read,
    outcome: Outcome::Ok,
    hit: None,
    reported: None,
    effect: None,
};

impl<'a> Cursor<'a> {
    fn operation(&mut self) -> Option<RawOp> {
        let mut op = BLANK;
        let mut seen = 0;
        let mut deletes = false;
        self.expect(b'{')?;
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            let field = match self.text(name) {
                b"client" => {
                    op.client = self.number()?;
                    CLIENT
                }
                b"op" => {
                    let word = self.string()?;
                    (op.kind, deletes) = match self.text(word) {
                        b"read" => (Kind::Read, false),
                        b"write" => (Kind::Write, false),
                        b"delete" => (Kind::Write, true),
                        _ => return None,
                    };
                    OP
                }
                b"key" => {
                    op.key = self.string()?;
                    KEY
                }
                b"value" => {
                    op.value = self.optional_string()?;
                    VALUE
                }
                b"start" => {
                    op.start = self.number()?;
                    START
                }
                b"end" => {
                    op.end = self.optional(Self::number)?;
                    END
                }
                b"outcome" => {
                    let word = self.string()?;
                    op.outcome = outcome(self.text(word))?;
                    OUTCOME
                }
                name => self.extra(name, &mut op)?,
            };
            if seen & field != 0 {
                return None;
            }
            seen |= field;
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        let needs_value = !deletes && (op.kind == Kind::Write || op.outcome == Outcome::Ok);
        let complete = seen & REQUIRED == REQUIRED && (!needs_value || seen & VALUE != 0);
        (complete && fits(&mut op, deletes)).then_some(op)
    }

    fn extra(&mut self, name: &[u8], op: &mut RawOp) -> Option<u16> {
        Some(match name {
            b"version" => {
                let version = self.optional(Self::number)?;
                if version.is_some_and(|version| version.negative) {
                    return None;
                }
                op.version = version.map(|version| version.magnitude);
                VERSION
            }
            b"hit" => {
                op.hit = self.optional(Self::truth)?;
                HIT
            }
            b"group" => {
                op.group = self.optional_string()?;
                GROUP
            }
            b"id" => {
                self.string()?;
                ID
            }
            b"steps" => {
                self.number()?;
                STEPS
            }
            b"reported" => {
                let word = self.string()?;
                op.reported = Some(reported(self.text(word))?);
                REPORTED
            }
            b"effect" => {
                let word = self.string()?;
                op.effect = Some(effect(self.text(word))?);
                EFFECT
            }
            _ => return None,
        })
    }

    fn text(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.from as usize..(span.from + span.length) as usize]
    }

    /// The next byte that is no space; it is consumed.
    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte != b' ' && byte != b'\t' {
                return Some(byte);
            }
        }
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<Span> {
        self.expect(b'"')?;
        let from = self.at;
        loop {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            if byte == b'"' {
                let length = (self.at - 1 - from) as u32;
                return Some(Span { from: u32::try_from(from).ok()?, length });
            }
            if byte == b'\\' || byte < b' ' {
                return None;
            }
        }
    }

    fn optional_string(&mut self) -> Option<Span> {
        self.optional(Self::string).map(|span| span.unwrap_or(Span::NULL))
    }

    /// `null`, or something.
    fn optional<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        let before = self.at;
        if self.next()? == b'n' {
            return self.word(b"ull").map(|()| None);
        }
        self.at = before;
        read(self).map(Some)
    }

    fn truth(&mut self) -> Option<bool> {
        match self.next()? {
            b't' => self.word(b"rue").map(|()| true),
            b'f' => self.word(b"alse").map(|()| false),
            _ => None,
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let found = self.bytes.get(self.at..self.at + rest.len())?;
        self.at += rest.len();
        (found == rest).then_some(())
    }

    /// An integer without point or exponent.
    fn number(&mut self) -> Option<Number> {
        let mut first = self.next()?;
        let negative = first == b'-';
        if negative {
            first = *self.bytes.get(self.at)?;
            self.at += 1;
        }
        if !first.is_ascii_digit() {
            return None;
        }
        let mut magnitude = u64::from(first - b'0');
        let from = self.at;
        while let Some(digit) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.at += 1;
        }
        let leading_zero = first == b'0' && self.at > from;
        let goes_on = matches!(self.bytes.get(self.at), Some(b'.' | b'e' | b'E'));
        // Minus zero and what is less than 64 bits hold are left to the careful way.
        let odd = negative && (magnitude == 0 || magnitude > i64::MAX as u64);
        (!leading_zero && !goes_on && !odd).then_some(Number { magnitude, negative })
    }
}

fn outcome(word: &[u8]) -> Option<Outcome> {
    match word {
        b"ok" => Some(Outcome::Ok),
        b"fail" | b"failed" => Some(Outcome::Failed),
        b"unknown" => Some(Outcome::Unknown),
        _ => None,
    }
}

fn reported(word: &[u8]) -> Option<Reported> {
    Some(match word {
        b"ok" => Reported::Ok,
        b"unchanged" => Reported::Unchanged,
        b"error" => Reported::Error,
        b"nothing" => Reported::Nothing,
        b"panic" => Reported::Panic,
        _ => return None,
    })
}

fn effect(word: &[u8]) -> Option<Effect> {
    Some(match word {
        b"none" => Effect::None,
        b"committed" => Effect::Committed,
        b"unknown" => Effect::Unknown,
        _ => return None,
    })
}

/// Whether the fields go together; an end that means nothing is dropped.
fn fits(op: &mut RawOp, deletes: bool) -> bool {
    let ordered = match op.end {
        Some(end) if !end.negative && !op.start.negative => end.magnitude >= op.start.magnitude,
        Some(end) => end.value() >= op.start.value(),
        None => op.outcome != Outcome::Ok,
    };
    if op.outcome == Outcome::Unknown {
        op.end = None;
    }
    ordered && (!deletes || op.value == Span::NULL)
}

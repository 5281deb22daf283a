//! The one writer of the format: what a line says, and how it becomes bytes.
//!
//! A [`Record`] is what a line says. A [`Layout`] is which fields a kind of history has, and in
//! which order: a recorded run knows more of an operation than a load does. The [`Encoder`] puts
//! lines together from bytes, since formatting takes far longer, and what is spent on writing an
//! operation down a load does not have. `scan` and `line` are the readers of all of it.

use std::collections::BTreeMap;

use serde::Serializer as _;
use serde_json::Serializer;

use super::FORMAT;
use crate::history::record::{Effect, Reported};
use crate::operation::{OpId, Outcome};
use crate::step::Key;
use crate::time::Time;

/// What a line says.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Record<'a> {
    /// The first line: the writer of each key's value at the start.
    Head(&'a BTreeMap<String, OpId>),
    /// What an operation did under one key.
    Operation(&'a Key, &'a Operation),
    /// A fault; `until` is `None` for one that does not last, or never ended.
    Fault { name: &'a str, at: Time, until: Option<Time> },
    /// The end of a phase.
    Phase { name: &'a str, at: Time },
}

/// What an operation did to one row. Each value is known by the operation that wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    pub id: OpId,
    pub did: Did,
    pub start: Time,
    /// Left out where the outcome is unknown; [`Time::NEVER`] for one that did not return.
    pub end: Time,
    pub outcome: Outcome,
    /// The version that was read or written; 0 when nobody knows.
    pub version: u64,
    /// Whether the operation has several lines, which are then a group.
    pub several: bool,
    pub effect: Option<Effect>,
    pub reported: Option<Reported>,
    pub steps: Option<u16>,
}

impl Operation {
    /// An operation of which no more is known than every line must say; it started and ended
    /// `between` two times.
    pub fn of(id: OpId, did: Did, between: (Time, Time), outcome: Outcome) -> Operation {
        let (start, end) = between;
        let (effect, reported, steps) = (None, None, None);
        let (version, several) = (0, false);
        Operation { id, did, start, end, outcome, version, several, effect, reported, steps }
    }
}

/// What was done, and to which value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Did {
    Read {
        /// The writer of the row that was found.
        found: Option<OpId>,
        /// Whether it was another row's.
        wrong: bool,
        /// Whether the cache served it.
        hit: Option<bool>,
    },
    Write,
    Delete,
}

/// A field of an operation. All but the first seven are left out where nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Client,
    Op,
    Key,
    Value,
    Start,
    End,
    Outcome,
    Id,
    Group,
    Version,
    Hit,
    Effect,
    Reported,
    Steps,
}

/// A field of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultField {
    At,
    Name,
    Until,
}

/// The fields that a kind of history has, in their order.
#[derive(Debug)]
pub(crate) struct Layout {
    operation: &'static [Field],
    fault: &'static [FaultField],
}

/// A recorded run.
pub(crate) static RECORDED: Layout = Layout {
    operation: &[
        Field::Client,
        Field::Effect,
        Field::End,
        Field::Group,
        Field::Hit,
        Field::Id,
        Field::Key,
        Field::Op,
        Field::Outcome,
        Field::Reported,
        Field::Start,
        Field::Steps,
        Field::Value,
        Field::Version,
    ],
    fault: &[FaultField::At, FaultField::Name, FaultField::Until],
};

/// A load on real servers. Its operations have no steps that somebody counts, and what the
/// database did is not known beside their outcome.
#[cfg(any(test, all(feature = "memcached", feature = "serve")))]
pub(crate) static LOADED: Layout = Layout {
    operation: &[
        Field::Client,
        Field::Op,
        Field::Key,
        Field::Value,
        Field::Start,
        Field::End,
        Field::Outcome,
        Field::Id,
        Field::Group,
        Field::Version,
        Field::Hit,
    ],
    fault: &[FaultField::At, FaultField::Name],
};

/// How a file calls an outcome.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "fail",
        Outcome::Unknown => "unknown",
    }
}

fn effect_word(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "none",
        Effect::Committed => "committed",
        Effect::Unknown => "unknown",
    }
}

fn reported_word(reported: Reported) -> &'static str {
    match reported {
        Reported::Ok => "ok",
        Reported::Unchanged => "unchanged",
        Reported::Error => "error",
        Reported::Nothing => "nothing",
        Reported::Panic => "panic",
    }
}

/// Puts records into words.
pub(crate) struct Encoder {
    layout: &'static Layout,
    bytes: Vec<u8>,
    digits: itoa::Buffer,
}

impl Encoder {
    pub fn new(layout: &'static Layout) -> Encoder {
        Encoder { layout, bytes: Vec::new(), digits: itoa::Buffer::new() }
    }

    /// The line of a record, with its end.
    pub fn line(&mut self, record: &Record<'_>) -> &[u8] {
        self.bytes.clear();
        match *record {
            Record::Head(initial) => self.head(initial),
            Record::Operation(key, operation) => self.operation(key, operation),
            Record::Fault { name, at, until } => self.fault(name, at, until),
            Record::Phase { name, at } => {
                self.number(r#"{"at":"#, at.0);
                self.text(r#","phase":"#);
                self.string(name);
            }
        }
        self.text("}\n");
        &self.bytes
    }

    fn head(&mut self, initial: &BTreeMap<String, OpId>) {
        self.number(r#"{"format":"#, FORMAT);
        self.text(r#","initial":{"#);
        for (number, (key, writer)) in initial.iter().enumerate() {
            self.text(if number == 0 { "" } else { "," });
            self.string(key);
            self.text(":");
            self.name("", *writer, "");
        }
        self.text("}");
    }

    fn operation(&mut self, key: &Key, operation: &Operation) {
        let Operation { id, did, start, outcome, .. } = *operation;
        for field in self.layout.operation {
            match field {
                Field::Client => self.number(r#","client":"#, u64::from(id.client().0)),
                Field::Op => self.text(match did {
                    Did::Read { .. } => r#","op":"read""#,
                    Did::Write => r#","op":"write""#,
                    Did::Delete => r#","op":"delete""#,
                }),
                Field::Key => self.key(key),
                Field::Value => self.value(id, did),
                Field::Start => self.number(r#","start":"#, start.0),
                Field::End if outcome == Outcome::Unknown => self.text(r#","end":null"#),
                Field::End => self.time(r#","end":"#, Some(operation.end)),
                Field::Outcome => self.word(r#","outcome":""#, word(outcome)),
                Field::Id => self.name(r#","id":"#, id, ""),
                Field::Group | Field::Version | Field::Hit => self.told(*field, operation),
                Field::Effect | Field::Reported | Field::Steps => self.told(*field, operation),
            }
        }
        // Every field brings the comma before it.
        self.bytes[0] = b'{';
    }

    fn value(&mut self, id: OpId, did: Did) {
        const VALUE: &str = r#","value":"#;
        match did {
            Did::Read { found: Some(writer), wrong: false, .. } => self.name(VALUE, writer, ""),
            Did::Read { found: Some(writer), .. } => self.name(VALUE, writer, " of another row"),
            Did::Write => self.name(VALUE, id, ""),
            Did::Read { found: None, .. } | Did::Delete => self.text(r#","value":null"#),
        }
    }

    /// A field that is there only where it says something.
    fn told(&mut self, field: Field, operation: &Operation) {
        match (field, operation) {
            (Field::Group, Operation { several: true, id, .. }) => {
                self.name(r#","group":"#, *id, "");
            }
            (Field::Version, Operation { version: 1.., .. }) => {
                self.number(r#","version":"#, operation.version);
            }
            (Field::Hit, Operation { did: Did::Read { hit: Some(hit), .. }, .. }) => {
                self.text(if *hit { r#","hit":true"# } else { r#","hit":false"# });
            }
            (Field::Effect, Operation { effect: Some(effect), .. }) => {
                self.word(r#","effect":""#, effect_word(*effect));
            }
            (Field::Reported, Operation { reported: Some(reported), .. }) => {
                self.word(r#","reported":""#, reported_word(*reported));
            }
            (Field::Steps, Operation { steps: Some(steps), .. }) => {
                self.number(r#","steps":"#, u64::from(*steps));
            }
            _ => {}
        }
    }

    fn fault(&mut self, name: &str, at: Time, until: Option<Time>) {
        for field in self.layout.fault {
            match field {
                FaultField::At => self.number(r#","at":"#, at.0),
                FaultField::Name => {
                    self.text(r#","fault":"#);
                    self.string(name);
                }
                FaultField::Until => self.time(r#","until":"#, until),
            }
        }
        self.bytes[0] = b'{';
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A word that needs no escapes; the quote before it stands in `before`.
    fn word(&mut self, before: &str, word: &str) {
        self.text(before);
        self.text(word);
        self.text("\"");
    }

    fn number(&mut self, before: &str, number: u64) {
        self.text(before);
        self.bytes.extend_from_slice(self.digits.format(number).as_bytes());
    }

    fn time(&mut self, before: &str, time: Option<Time>) {
        match time {
            Some(time) if time < Time::NEVER => self.number(before, time.0),
            _ => {
                self.text(before);
                self.text("null");
            }
        }
    }

    /// Any text, with escapes where JSON wants them.
    fn string(&mut self, text: impl std::fmt::Display) {
        Serializer::new(&mut self.bytes).collect_str(&text).expect("a vector takes anything");
    }

    /// A key as it displays, which nearly all are without formatting and without escapes.
    fn key(&mut self, key: &Key) {
        let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        self.text(r#","key":"#);
        match key.as_bytes() {
            bytes if bytes.iter().all(plain) => {
                self.bytes.push(b'"');
                self.bytes.extend_from_slice(bytes);
                self.bytes.push(b'"');
            }
            _ => self.string(key),
        }
    }

    /// An operation as it displays, which nearly all are without formatting.
    fn name(&mut self, before: &str, id: OpId, note: &str) {
        self.text(before);
        match id.client() {
            client if client.is_ordinary() && id != OpId::INITIAL => {
                self.number(r#""c"#, u64::from(client.0));
                self.number("#", u64::from(id.number()));
            }
            _ => self.text(&format!(r#""{id}"#)),
        }
        self.word(note, "");
    }
}

#[cfg(test)]
mod tests;

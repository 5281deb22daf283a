//! One line of a history file, read with care: what is wrong is said in words.
//!
//! The quick way through a file is `scan`; it leaves to this everything that is not an
//! operation in its plainest form.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use crate::history::log::Kind;
use crate::history::record::{Effect, Reported};
use crate::operation::Outcome;

/// Characters of a wrong value that a message shows at most.
const SHOWN: usize = 60;

/// A piece of text: a range of the chunk that the line stands in, or behind its end, of what
/// was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from: u32,
    pub length: u32,
}

impl Span {
    /// No text: `null`.
    pub const NULL: Span = Span { from: 0, length: u32::MAX };
}

/// An integer of 64 bits with a sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Number {
    pub magnitude: u64,
    pub negative: bool,
}

impl Number {
    pub fn value(self) -> i128 {
        let magnitude = i128::from(self.magnitude);
        if self.negative { -magnitude } else { magnitude }
    }
}

/// An operation as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RawOp {
    pub key: Span,
    pub value: Span,
    pub group: Span,
    pub client: Number,
    pub start: Number,
    /// `None` where it says `null`, or where the outcome makes it meaningless.
    pub end: Option<Number>,
    pub version: Option<u64>,
    pub kind: Kind,
    pub outcome: Outcome,
    pub hit: Option<bool>,
    pub reported: Option<Reported>,
    pub effect: Option<Effect>,
}

/// What a line that is no operation says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Other {
    /// Values at the start, and the format's version.
    Header { format: Option<u64>, initial: Vec<(String, Option<String>)> },
    /// A fault that struck.
    Fault { what: String, at: Number, until: Option<Number> },
    /// When a phase ended.
    Phase { name: String, at: Number },
}

/// A line that was understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Line {
    Op(RawOp),
    Other(Other),
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

macro_rules! fields {
    ($($name:ident),*) => {
        /// The fields that mean something; `null` is kept apart from a missing field.
        #[derive(Deserialize)]
        struct Fields {
            $(#[serde(default, deserialize_with = "present")] $name: Option<Json>,)*
            #[serde(default)]
            initial: Option<Initial>,
        }
    };
}

fields!(
    client, op, key, value, start, end, outcome, version, group, hit, reported, effect, format,
    fault, at, until, phase
);

/// The values at the start; a key that is named twice is an error.
struct Initial(Vec<(String, Option<String>)>);

impl<'de> Deserialize<'de> for Initial {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Initial, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Initial;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object of keys and their values (strings or null) as `initial`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Initial, A::Error> {
                let mut pairs: Vec<(String, Option<String>)> = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                pairs.sort();
                match pairs.windows(2).find(|two| two[0].0 == two[1].0) {
                    Some(two) => {
                        let key = shown(format!("{:?}", two[0].0));
                        Err(serde::de::Error::custom(format!("`initial` has key {key} twice")))
                    }
                    None => Ok(Initial(pairs)),
                }
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// Reads a line. Strings go behind `base` into `side`, as spans.
pub(super) fn read(text: &str, base: usize, side: &mut Vec<u8>) -> Result<Line, String> {
    if !text.trim_start().starts_with('{') {
        let word: String = text.trim().chars().take(20).collect();
        return Err(format!(
            "the line begins with {word:?}; expected a JSON object {{...}} with one operation"
        ));
    }
    let fields: Fields = serde_json::from_str(text).map_err(|error| not_json(&error))?;
    if fields.op.is_some() || fields.client.is_some() || fields.outcome.is_some() {
        if fields.initial.is_some() {
            return Err("`initial` stands in an operation; give it a line of its own".to_owned());
        }
        return operation(&fields, base, side).map(Line::Op);
    }
    if fields.initial.is_some() || fields.format.is_some() {
        let format = fields.format.as_ref().map(|format| unsigned("format", format)).transpose()?;
        let initial = fields.initial.map_or_else(Vec::new, |initial| initial.0);
        return Ok(Line::Other(Other::Header { format, initial }));
    }
    let at = || number("at", fields.at.as_ref().ok_or("`at` is missing")?);
    if let Some(fault) = &fields.fault {
        let until = fields.until.as_ref().filter(|until| !until.is_null());
        let until = until.map(|until| number("until", until)).transpose()?;
        let what = string("fault", fault)?.to_owned();
        return Ok(Line::Other(Other::Fault { what, at: at()?, until }));
    }
    if let Some(phase) = &fields.phase {
        let name = string("phase", phase)?.to_owned();
        return Ok(Line::Other(Other::Phase { name, at: at()? }));
    }
    Err("this is no operation: `op` is missing; a history has one operation a line, such as \
         {\"client\":0,\"op\":\"read\",\"key\":\"k\",\"value\":\"v\",\"start\":1,\"end\":2,\
         \"outcome\":\"ok\"}, and nothing else"
        .to_owned())
}

/// A value as messages show it: what is wrong can be of any length.
fn shown(value: impl std::fmt::Display) -> String {
    super::shorten(&value.to_string(), SHOWN)
}

fn not_json(error: &serde_json::Error) -> String {
    let mut what = error.to_string();
    // Every line is parsed by itself, so only the column means something.
    if let Some(place) = what.rfind(" at line ") {
        what.truncate(place);
    }
    if let (true, Some(from)) = (what.len() > 2 * SHOWN, what.rfind(", expected ")) {
        what = shown(&what[..from]) + &what[from..];
    }
    match error.is_eof() {
        true => format!(
            "the line is cut off after column {}: {what}; write it again, or remove it",
            error.column()
        ),
        false => format!("{what} (column {})", error.column()),
    }
}

fn operation(fields: &Fields, base: usize, side: &mut Vec<u8>) -> Result<RawOp, String> {
    let required = |name: &str, field: &Option<Json>, what: &str| {
        field.clone().ok_or_else(|| format!("`{name}` is missing; expected {what}"))
    };
    let client = number("client", &required("client", &fields.client, "the client's number")?)?;
    let op = required("op", &fields.op, "\"read\", \"write\" or \"delete\"")?;
    let op = string("op", &op)?;
    let outcome = required("outcome", &fields.outcome, "\"ok\", \"fail\" or \"unknown\"")?;
    let outcome = outcome_of(string("outcome", &outcome)?)?;
    let key = required("key", &fields.key, "the key, a string")?;
    let key = string("key", &key)?;
    let start = number("start", &required("start", &fields.start, "a time in nanoseconds")?)?;
    let (kind, value) = value_of(op, outcome, &fields.value)?;
    let end = end_of(outcome, start, &fields.end)?;
    let mut keep = |text: &str| {
        let from = u32::try_from(base + side.len()).map_err(|_| "the line is too long")?;
        let length = u32::try_from(text.len()).map_err(|_| "the line is too long")?;
        side.extend_from_slice(text.as_bytes());
        Ok::<Span, String>(Span { from, length })
    };
    let given = |field: &'_ Option<Json>| field.clone().filter(|field| !field.is_null());
    let group = match given(&fields.group) {
        None => Span::NULL,
        Some(Json::Number(number)) => keep(&number.to_string())?,
        Some(group) => keep(string("group", &group)?)?,
    };
    Ok(RawOp {
        key: keep(key)?,
        value: value.map_or(Ok(Span::NULL), |value| keep(&value))?,
        group,
        client,
        start,
        end,
        version: given(&fields.version).map(|v| unsigned("version", &v)).transpose()?,
        kind,
        outcome,
        hit: match given(&fields.hit) {
            None => None,
            Some(Json::Bool(hit)) => Some(hit),
            Some(other) => {
                let other = shown(other);
                return Err(format!("`hit` is {other}; expected true, false or null"));
            }
        },
        reported: word("reported", given(&fields.reported))?,
        effect: word("effect", given(&fields.effect))?,
    })
}

fn value_of(
    op: &str,
    outcome: Outcome,
    value: &Option<Json>,
) -> Result<(Kind, Option<String>), String> {
    let text = match value {
        None | Some(Json::Null) => None,
        Some(Json::String(text)) => Some(text.clone()),
        Some(other) => {
            let other = shown(other);
            return Err(format!("`value` is {other}; expected a string in quotes, or null"));
        }
    };
    match op {
        "read" if outcome == Outcome::Ok && value.is_none() => {
            Err("`value` is missing; expected what was read, null for absence".to_owned())
        }
        "read" => Ok((Kind::Read, text)),
        "write" if value.is_none() => {
            Err("`value` is missing; expected what was written, null for a delete".to_owned())
        }
        "write" => Ok((Kind::Write, text)),
        "delete" if text.is_some() => Err(format!(
            "`value` of a delete is {}; expected null or nothing",
            shown(format!("{:?}", text.unwrap_or_default()))
        )),
        "delete" => Ok((Kind::Write, None)),
        _ => {
            let op = shown(format!("{op:?}"));
            Err(format!("`op` is {op}; expected \"read\", \"write\" or \"delete\""))
        }
    }
}

/// The word for an outcome.
pub(super) fn outcome_of(text: &str) -> Result<Outcome, String> {
    match text {
        "ok" => Ok(Outcome::Ok),
        "fail" | "failed" => Ok(Outcome::Failed),
        "unknown" => Ok(Outcome::Unknown),
        _ => {
            let text = shown(format!("{text:?}"));
            Err(format!("`outcome` is {text}; expected \"ok\", \"fail\" or \"unknown\""))
        }
    }
}

fn end_of(outcome: Outcome, start: Number, end: &Option<Json>) -> Result<Option<Number>, String> {
    let end = match end {
        None | Some(Json::Null) => None,
        Some(end) => Some(number("end", end)?),
    };
    match end {
        None if outcome == Outcome::Ok => {
            Err("`end` is missing though the outcome is ok; expected when it returned, in \
             nanoseconds, or the outcome \"unknown\""
                .to_owned())
        }
        Some(end) if end.value() < start.value() => Err(format!(
            "`end` {} is before `start` {}; an operation returns after it was invoked",
            end.value(),
            start.value()
        )),
        Some(_) if outcome == Outcome::Unknown => Ok(None),
        end => Ok(end),
    }
}

fn string<'a>(name: &str, field: &'a Json) -> Result<&'a str, String> {
    field.as_str().ok_or_else(|| format!("`{name}` is {}; expected a string", shown(field)))
}

fn number(name: &str, field: &Json) -> Result<Number, String> {
    let positive = field.as_u64().map(|magnitude| Number { magnitude, negative: false });
    let negative = || field.as_i64().map(i64::unsigned_abs);
    positive
        .or_else(|| negative().map(|magnitude| Number { magnitude, negative: true }))
        .ok_or_else(|| format!("`{name}` is {}; expected an integer of 64 bits", shown(field)))
}

fn unsigned(name: &str, field: &Json) -> Result<u64, String> {
    field
        .as_u64()
        .ok_or_else(|| format!("`{name}` is {}; expected an integer from 0 on", shown(field)))
}

fn word<T: serde::de::DeserializeOwned>(
    name: &str,
    field: Option<Json>,
) -> Result<Option<T>, String> {
    field
        .map(|field| {
            serde_json::from_value(field.clone()).map_err(|error| {
                let error = error.to_string();
                // What it is comes first, and can be long.
                let expected = error.rfind("expected ").map_or("", |from| &error[from..]);
                format!("`{name}` is {}; {expected}", shown(field))
            })
        })
        .transpose()
}

//! Single lines, for histories that are judged while they grow.

use super::line::{self, Line, Number, Other, RawOp, Span};
use super::scan::scan;
use crate::history::log::{Op, Value};
use crate::history::record::KeyId;
use crate::operation::ClientId;
use crate::time::Time;

/// What a line says.
pub enum FollowedLine {
    /// An operation.
    Operation(Followed),
    /// The values at the start.
    Initial(Vec<(String, Option<String>)>),
    /// A fault, a phase, or nothing.
    Nothing,
}

/// An operation with its own strings.
pub struct Followed {
    /// The key.
    pub key: String,
    /// The value; `None` for absence.
    pub value: Option<String>,
    /// The client.
    pub client: i128,
    /// The version, if there is one.
    pub version: Option<u64>,
    /// Everything else; its key, client and value are meaningless.
    pub op: Op,
}

/// Reads a line; fails with what is wrong.
pub fn read_line(line: &[u8]) -> Result<FollowedLine, String> {
    let text = std::str::from_utf8(line).map_err(|_| "this is not UTF-8".to_owned())?;
    if text.trim().is_empty() {
        return Ok(FollowedLine::Nothing);
    }
    let mut side = Vec::new();
    let raw = match scan(line, 0) {
        Some((raw, end)) if end == line.len() => raw,
        _ => match line::read(text.trim_end(), line.len(), &mut side)? {
            Line::Op(raw) => raw,
            Line::Other(Other::Header { format, initial }) => {
                super::known_format(format)?;
                return Ok(FollowedLine::Initial(initial));
            }
            Line::Other(_) => return Ok(FollowedLine::Nothing),
        },
    };
    let all = [line, &side].concat();
    operation(&raw, &all).map(FollowedLine::Operation)
}

fn operation(raw: &RawOp, text: &[u8]) -> Result<Followed, String> {
    let string = |span: Span| {
        let range = span.from as usize..(span.from as usize).saturating_add(span.length as usize);
        let bytes = text.get(range).filter(|_| span != Span::NULL)?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let time = |number: Number| match number.negative || number.magnitude > Op::LATEST.0 {
        true => Err(format!(
            "the time {} cannot be followed; count from 0, the start of the history",
            number.value()
        )),
        false => Ok(Time(number.magnitude)),
    };
    let op = Op {
        start: time(raw.start)?,
        end: raw.end.map_or(Ok(Time::NEVER), time)?,
        key: KeyId(0),
        client: ClientId(0),
        value: Value::NULL,
        kind: raw.kind,
        outcome: raw.outcome,
    };
    Ok(Followed {
        key: string(raw.key).unwrap_or_default(),
        value: string(raw.value),
        client: raw.client.value(),
        version: raw.version,
        op,
    })
}

//! Collects parsed lines into a history.

use super::Wrong;
use super::chunk::Parsed;
use super::line::{Number, Other, RawOp, Span};
use crate::history::log::{Extra, Fault, Log, Op};
use crate::history::record::Phases;
use crate::operation::{ClientId, Outcome};
use crate::time::Time;

/// Small client numbers are looked up in a table.
const SMALL_CLIENTS: usize = 4096;

/// What has been collected so far. Times are kept as they are, negative ones as the 64 bits
/// of two's complement, until all of them are known.
#[derive(Default)]
pub(super) struct Collector {
    log: Log,
    clients: Vec<Option<ClientId>>,
    /// The most negative time, without its sign; 0 if none is negative.
    deepest: u64,
    /// How far below [`u64::MAX`] the smallest time is that is not negative.
    room: u64,
    /// The largest time.
    largest: u64,
    phases: Option<Phases>,
    /// Whether a header was seen.
    header: bool,
}

impl Collector {
    /// Takes a chunk's lines; gives back what is wrong with those that are no operations.
    pub fn take(&mut self, parsed: &Parsed) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for (line, other) in &parsed.others {
            if let Err(message) = self.other(other) {
                wrong.push(Wrong { line: *line, message });
            }
        }
        for op in &parsed.ops {
            self.op(parsed, op);
        }
        wrong
    }

    fn op(&mut self, parsed: &Parsed, raw: &RawOp) {
        let key = self.log.intern_key(parsed.text(raw.key).unwrap_or_default());
        let value = self.log.intern_value(key, parsed.text(raw.value));
        let op = Op {
            start: self.time(raw.start),
            end: raw.end.map_or(Time::NEVER, |end| self.time(end)),
            key,
            client: self.client(raw.client),
            value,
            kind: raw.kind,
            outcome: raw.outcome,
        };
        let group = match raw.group {
            Span::NULL => 0,
            group => self.log.intern_group(parsed.text(group).unwrap_or_default()),
        };
        let extra = Extra {
            version: raw.version,
            group,
            hit: raw.hit,
            reported: raw.reported,
            effect: raw.effect,
        };
        self.log.push(op, extra);
    }

    fn client(&mut self, number: Number) -> ClientId {
        let small = !number.negative && number.magnitude < SMALL_CLIENTS as u64;
        if !small {
            return self.log.intern_client(number.value());
        }
        let place = number.magnitude as usize;
        if self.clients.len() <= place {
            self.clients.resize(place + 1, None);
        }
        let log = &mut self.log;
        *self.clients[place].get_or_insert_with(|| log.intern_client(number.value()))
    }

    fn time(&mut self, time: Number) -> Time {
        if time.negative {
            self.deepest = self.deepest.max(time.magnitude);
            return Time(time.magnitude.wrapping_neg());
        }
        self.room = self.room.max(u64::MAX - time.magnitude);
        self.largest = self.largest.max(time.magnitude);
        Time(time.magnitude)
    }

    fn other(&mut self, other: &Other) -> Result<(), String> {
        match other {
            Other::Header { .. } if std::mem::replace(&mut self.header, true) => Err(
                "a second line with `initial` or `format`; expected at most one, since one file \
                 has one history"
                    .to_owned(),
            ),
            Other::Header { format, initial } => {
                super::known_format(*format)?;
                for (key, value) in initial {
                    let key = self.log.intern_key(key.as_bytes());
                    let value = value.as_ref().map(|value| value.as_bytes());
                    self.log.initial[key.0 as usize] = self.log.intern_value(key, value);
                }
                Ok(())
            }
            Other::Fault { what, at, until } => {
                let (at, until) = (self.time(*at), until.map(|until| self.time(until)));
                self.log.faults.push(Fault { what: what.clone(), at, until });
                Ok(())
            }
            Other::Phase { name, at } => self.phase(name, *at),
        }
    }

    fn phase(&mut self, name: &str, at: Number) -> Result<(), String> {
        let at = self.time(at);
        let phases = self.phases.get_or_insert_with(Phases::default);
        match name {
            "faults-end" => phases.faults_end = at,
            "quiescent" => phases.quiescent = at,
            "audit" => phases.audit = at,
            _ => {
                return Err(format!(
                    "`phase` is {name:?}; expected \"faults-end\", \"quiescent\" or \"audit\""
                ));
            }
        }
        Ok(())
    }

    /// The history; fails when its times cannot be kept in 64 bits. They are moved only if
    /// they must be: where some are negative, or larger than [`Op::LATEST`].
    pub fn finish(mut self) -> Result<Log, String> {
        let first = match self.deepest {
            0 => i128::from(u64::MAX - self.room),
            deepest => -i128::from(deepest),
        };
        let far = self.largest > Op::LATEST.0;
        if i128::from(self.largest) - first > i128::from(Op::LATEST.0) {
            return Err(format!(
                "times reach from {first}{} to {}{}, which is more than 64 bits can tell apart; \
                 count nanoseconds from the start of the history",
                self.whose(Time(first as u64)),
                self.largest,
                self.whose(Time(self.largest))
            ));
        }
        self.log.phases = self.phases;
        if far || self.deepest > 0 {
            self.shift(-first);
        }
        self.log.freeze();
        Ok(self.log)
    }

    /// Which operation has a time, as far as it is one.
    fn whose(&self, time: Time) -> String {
        let ended = |op: &Op| op.end == time && time != Time::NEVER;
        let op = self.log.ops.iter().find(|op| op.start == time || ended(op));
        op.map_or_else(String::new, |op| {
            format!(" (client {})", self.log.clients[op.client.0 as usize])
        })
    }

    /// Moves all times, so that the earliest one becomes 0.
    fn shift(&mut self, by: i128) {
        // Negative times are kept in two's complement, so adding modulo 2^64 is right for all.
        let shift = |time: &mut Time| time.0 = time.0.wrapping_add(by as u64);
        self.log.shift = by;
        for op in &mut self.log.ops {
            shift(&mut op.start);
            if op.outcome == Outcome::Ok || op.end != Time::NEVER {
                shift(&mut op.end);
            }
        }
        for fault in &mut self.log.faults {
            shift(&mut fault.at);
            fault.until.iter_mut().for_each(shift);
        }
        if let Some(phases) = &mut self.log.phases {
            [&mut phases.faults_end, &mut phases.quiescent, &mut phases.audit]
                .into_iter()
                .for_each(shift);
        }
    }
}

//! A violation in words: one sentence, and the operations as lanes.

use super::{Proof, Violation};
use crate::history::file::shorten;
use crate::history::log::{Kind, Log, Op};
use crate::operation::Outcome;
use crate::time::{Time, human};

/// Operations shown as lanes at most.
const LANES_MAX: usize = 24;
/// Faults shown beside them at most.
const FAULTS_MAX: usize = 8;
/// Characters of a fault's description at most.
const FAULT_MAX: usize = 200;
/// Columns between two moments.
const STEP: usize = 4;
/// Columns of all moments together at most.
const WIDTH: usize = 96;

/// Times as people read them, from where the history begins if that is far from zero.
pub struct Clock {
    origin: i128,
}

/// Recorded times above this are shown from the first operation on.
const FAR: i128 = 24 * 3_600 * 1_000_000_000;

impl Clock {
    /// The clock of a history.
    pub fn of(log: &Log) -> Clock {
        let first = log.ops.iter().map(|op| op.start).min().unwrap_or(Time::ZERO);
        let first = log.recorded(first);
        Clock { origin: if (0..FAR).contains(&first) { 0 } else { first } }
    }

    /// What to say about where times begin; `None` where they are as recorded.
    pub fn note(&self) -> Option<String> {
        (self.origin != 0).then(|| format!("times count from {}, the first start", self.origin))
    }

    fn show(&self, log: &Log, time: Time) -> String {
        let nanos = log.recorded(time) - self.origin;
        match u64::try_from(nanos) {
            Ok(nanos) => exact(nanos),
            Err(_) => format!("{nanos}ns"),
        }
    }
}

/// A duration without anything cut off: in the largest unit of which there is one.
fn exact(nanos: u64) -> String {
    let (unit, name, digits) = match nanos {
        1_000_000_000.. => (1_000_000_000, "s", 9),
        1_000_000.. => (1_000_000, "ms", 6),
        1_000.. => (1_000, "us", 3),
        _ => return human(nanos),
    };
    let fraction = format!("{:0digits$}", nanos % unit);
    match fraction.trim_end_matches('0') {
        "" => format!("{}{name}", nanos / unit),
        fraction => format!("{}.{fraction}{name}", nanos / unit),
    }
}

/// One sentence that says what is wrong.
pub fn sentence(log: &Log, violation: &Violation, clock: &Clock) -> String {
    let talk = Talk { log, clock };
    match &violation.proof {
        Proof::NeverWritten { read } => format!(
            "{} read {} at {}, which nobody ever wrote",
            talk.who(*read),
            talk.value(*read),
            talk.start(*read)
        ),
        Proof::WriteFailed { read, write } => format!(
            "{} read {} at {}, though {}'s write of it at {} certainly failed",
            talk.who(*read),
            talk.value(*read),
            talk.start(*read),
            talk.who(*write),
            talk.start(*write)
        ),
        Proof::FromTheFuture { read, write } => format!(
            "{} had read {} by {}, though {} began to write it only at {}",
            talk.who(*read),
            talk.value(*read),
            talk.end(*read),
            talk.who(*write),
            talk.start(*write)
        ),
        Proof::Both { one, other } => talk.both(*one, *other),
        Proof::TooFewDeletes { reads, deletes, initial } => {
            talk.too_few(violation, reads, deletes, *initial)
        }
        Proof::Exhausted => format!(
            "no order of these {} operations explains what was read; all were tried",
            violation.ops.len()
        ),
    }
}

struct Talk<'a> {
    log: &'a Log,
    clock: &'a Clock,
}

impl Talk<'_> {
    fn op(&self, place: usize) -> &Op {
        &self.log.ops[place]
    }

    fn who(&self, place: usize) -> String {
        format!("client {}", self.log.clients[self.op(place).client.0 as usize])
    }

    fn value(&self, place: usize) -> String {
        value(self.log, self.op(place))
    }

    fn start(&self, place: usize) -> String {
        self.clock.show(self.log, self.op(place).start)
    }

    fn end(&self, place: usize) -> String {
        self.clock.show(self.log, self.op(place).end)
    }

    /// What an operation did, up to when: "v2 had been acknowledged at 9.1ms".
    fn acknowledged(&self, place: usize) -> String {
        match (self.op(place).kind, self.value(place).as_str()) {
            (Kind::Write, "nothing") => {
                format!("a delete had been acknowledged at {}", self.end(place))
            }
            (Kind::Write, value) => format!("{value} had been acknowledged at {}", self.end(place)),
            (Kind::Read, value) => {
                format!("{} had read {value} by {}", self.who(place), self.end(place))
            }
        }
    }

    /// "client 3's read of v1".
    fn doing(&self, place: usize) -> String {
        let verb = match self.op(place).kind {
            Kind::Read => "read",
            Kind::Write => "write",
        };
        format!("{}'s {verb} of {}", self.who(place), self.value(place))
    }

    fn both(&self, one: (Option<usize>, usize), other: (usize, usize)) -> String {
        let first_is_write = one.0.is_none_or(|place| self.op(place).kind == Kind::Write);
        let last_is_read = self.op(one.1).kind == Kind::Read;
        if other.0 == other.1 && first_is_write && last_is_read {
            return format!(
                "{} read {} at {}, though {}",
                self.who(one.1),
                self.value(one.1),
                self.start(one.1),
                self.acknowledged(other.1)
            );
        }
        let before = one.0.map_or_else(
            || format!("{} was there at the start", self.value(one.1)),
            |place| {
                format!(
                    "{} had ended at {} before {} began at {}",
                    self.doing(place),
                    self.end(place),
                    self.doing(other.0),
                    self.start(other.0)
                )
            },
        );
        format!(
            "{} must be there both before and after {}: {before}, and {} had ended at {} before {} \
             began at {}",
            self.value(one.1),
            self.value(other.0),
            self.doing(other.1),
            self.end(other.1),
            self.doing(one.1),
            self.start(one.1)
        )
    }

    fn too_few(
        &self,
        violation: &Violation,
        reads: &[usize],
        deletes: &[usize],
        initial: bool,
    ) -> String {
        let supply = deletes.len() + usize::from(initial);
        if let ([read], 0) = (reads, supply) {
            let shown = violation.ops.iter().filter(|place| self.op(**place).value.0 != 0);
            let (over, still): (Vec<usize>, Vec<usize>) =
                shown.partition(|place| self.op(**place).precedes(self.op(*read)));
            let since = still.first().map_or_else(
                || "since".to_owned(),
                |place| format!("after {} began at {}", self.doing(*place), self.start(*place)),
            );
            let cause = over.first().map_or_else(
                || "nothing had been deleted".to_owned(),
                |place| format!("{} and no delete came {since}", self.acknowledged(*place)),
            );
            return format!(
                "{} found nothing at {}, though {cause}",
                self.who(*read),
                self.start(*read)
            );
        }
        format!(
            "{} reads found nothing and some value must have been there between any two of them, \
             so each needs a delete of its own; only {} delete{}{} can have served them",
            reads.len(),
            deletes.len(),
            if deletes.len() == 1 { "" } else { "s" },
            if initial { " and the absence at the start" } else { "" }
        )
    }
}

/// A value as it is printed: quoted only where it would mislead otherwise.
pub fn value(log: &Log, op: &Op) -> String {
    match log.value_name(op.key, op.value) {
        None => "nothing".to_owned(),
        Some(text) => name(text),
    }
}

/// A key or value as it is printed.
pub fn name(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_:./#@+".contains(c);
    let clear = !text.is_empty() && text.len() <= 64 && text.chars().all(plain);
    match clear && text != "nothing" {
        true => text.to_owned(),
        false if text.chars().count() > 64 => {
            format!("{:?}...", text.chars().take(61).collect::<String>())
        }
        false => format!("{text:?}"),
    }
}

/// Operations below each other, earlier to the left, with the faults that
/// struck meanwhile.
pub fn lanes(log: &Log, ops: &[usize], clock: &Clock) -> Vec<String> {
    let shown: Vec<&Op> = ops.iter().take(LANES_MAX).map(|place| &log.ops[*place]).collect();
    let first = shown.iter().map(|op| op.start).min().unwrap_or(Time::ZERO);
    let last = shown.iter().map(|op| op.deadline().min(op.end).max(op.start));
    let last = last.filter(|time| *time < Time::NEVER).max().unwrap_or(first);
    let meets = |at: Time, until: Option<Time>| at <= last && until.unwrap_or(at) >= first;
    let faults: Vec<_> =
        log.faults.iter().filter(|f| meets(f.at, f.until)).take(FAULTS_MAX).collect();
    let mut moments: Vec<Time> = shown.iter().flat_map(|op| [op.start, op.end]).collect();
    moments.extend(faults.iter().map(|fault| fault.at));
    moments.retain(|time| *time < Time::NEVER);
    moments.sort_unstable();
    moments.dedup();
    let step = STEP.min(WIDTH / moments.len().max(1)).max(1);
    let column = |time: Time| moments.partition_point(|moment| *moment < time) * step;
    let lane = |from: usize, until: usize, open: bool| {
        let mut bar = " ".repeat(from);
        bar.push('|');
        if until > from {
            bar.push_str(&"-".repeat(until - from - 1));
            bar.push(if open { '>' } else { '|' });
        }
        bar
    };
    let right = moments.len() * step;
    let labels: Vec<String> = shown.iter().map(|op| label(log, op)).collect();
    let wide = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(5);
    let mut lines = Vec::new();
    for (op, label) in shown.iter().zip(&labels) {
        let open = op.outcome == Outcome::Unknown || op.end == Time::NEVER;
        let until = if open { right } else { column(op.end) };
        let bar = lane(column(op.start), until, open);
        let pad = " ".repeat(wide - label.chars().count());
        let end = if open { "never".to_owned() } else { clock.show(log, op.end) };
        let start = clock.show(log, op.start);
        lines.push(format!("{label}{pad}  {bar:<right$}  {start} to {end}"));
    }
    for fault in faults {
        let bar = format!("{}!", " ".repeat(column(fault.at)));
        let at = clock.show(log, fault.at);
        lines.push(format!(
            "{:<wide$}  {bar:<right$}  {at} {}",
            "fault",
            shorten(&fault.what, FAULT_MAX)
        ));
    }
    if ops.len() > LANES_MAX {
        lines.push(format!("... and {} more operations", ops.len() - LANES_MAX));
    }
    lines
}

/// `c3 read v1`, with the outcome where it is not ok.
pub fn label(log: &Log, op: &Op) -> String {
    let client = log.clients[op.client.0 as usize];
    let outcome = match op.outcome {
        Outcome::Ok => "",
        Outcome::Failed => " (failed)",
        Outcome::Unknown => " (unknown)",
    };
    match (op.kind, log.value_name(op.key, op.value)) {
        (Kind::Write, None) => format!("c{client} delete{outcome}"),
        (Kind::Write, Some(text)) => format!("c{client} write {}{outcome}", name(text)),
        (Kind::Read, None) => format!("c{client} read nothing{outcome}"),
        (Kind::Read, Some(text)) => format!("c{client} read {}{outcome}", name(text)),
    }
}

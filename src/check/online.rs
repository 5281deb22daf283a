//! Judges a history while it grows.
//!
//! What is assumed is declared: a *horizon*, longer than any operation takes from its start to
//! the line that reports it. So when the latest end that was seen is `w`, every operation that
//! began before `w - horizon` has been reported, and a read that ended by then is *settled*:
//! all writes that it can have seen are known. Only settled reads are judged. A line that comes
//! later than the horizon allows is counted; then nothing is claimed to hold.
//!
//! Where all operations have versions, a key is judged by these, and needs what lies within the
//! horizon and one number more. That is stricter than linearizability, as versions are one order
//! of the writes, and laxer, as values are not looked at.
//!
//! Elsewhere it keeps the values that may still be current, and those that overlap them; a value
//! that had certainly been replaced before the horizon is forgotten. If it appears again it is a
//! value that nobody wrote, and so reported. What is forgotten takes whole clusters along, none
//! of which may precede or follow anything kept in a conflicting way, so for values written once
//! nothing is missed; of reads of absence only those within the horizon are weighed against
//! deletes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::linear::{self, Verdict, Violation};
use super::values::Values;
use crate::history::log::{Extra, Kind, Log, Op, Value};
use crate::history::record::KeyId;
use crate::operation::Outcome;
use crate::time::Time;

/// Operations of a key after which it is judged again.
const BATCH: usize = 64;
/// Configurations that a search may visit in each judgement.
const LIMIT: u64 = 200_000;

/// What was found while following.
#[derive(Debug)]
pub enum Alarm {
    /// A key is not linearizable; it is not followed any further. The history has what was
    /// kept of it.
    Violated(Box<Log>, Violation),
    /// A version was shown that is older than one shown by an operation that had ended before;
    /// newer one first.
    Backwards(Box<Log>),
}

/// One key.
struct Followed {
    log: Log,
    /// Operations since it was last judged.
    new: usize,
    /// Whether all operations so far have versions.
    versioned: bool,
    /// The newest version that had been shown before `old`.
    newest: Option<u64>,
    /// What began before it has been judged beside everything that precedes it.
    old: Time,
    violated: bool,
}

/// A history that grows.
pub struct Online {
    horizon: Duration,
    keys: BTreeMap<String, Followed>,
    /// The latest end seen.
    latest: Time,
    /// Operations seen.
    pub operations: u64,
    /// Operations reported later than the horizon allows.
    pub late: u64,
    /// Times that a search was cut short.
    pub undecided: u64,
    /// Keys that are violated.
    pub violated: u64,
    /// Those among them whose versions went back.
    pub went_back: u64,
}

/// An operation as it is reported.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The key.
    pub key: &'a str,
    /// The value; `None` for absence.
    pub value: Option<&'a str>,
    /// The client.
    pub client: i128,
    /// Everything else; key, client and value numbers are not looked at.
    pub op: Op,
    /// The version, if there is one.
    pub version: Option<u64>,
}

impl Online {
    /// Nothing seen yet.
    pub fn new(horizon: Duration) -> Online {
        Online {
            horizon,
            keys: BTreeMap::new(),
            latest: Time::ZERO,
            operations: 0,
            late: 0,
            undecided: 0,
            violated: 0,
            went_back: 0,
        }
    }

    /// How many keys there are.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many of them are judged by their versions alone, as all operations so far have one:
    /// whether one that had ended showed a newer version than one that began later.
    pub fn versioned(&self) -> usize {
        self.keys.values().filter(|key| key.versioned).count()
    }

    /// How many operations are kept.
    pub fn kept(&self) -> usize {
        self.keys.values().map(|key| key.log.ops.len()).sum()
    }

    /// Says what a key's value was before the first operation.
    pub fn start(&mut self, key: &str, value: Option<&str>) {
        let followed = self.keys.entry(key.to_owned()).or_insert_with(|| Followed::new(key));
        let value = followed.log.intern_value(KeyId(0), value.map(str::as_bytes));
        followed.log.initial[0] = value;
    }

    /// Takes an operation, and gives what it brings to light.
    pub fn take(&mut self, report: &Report<'_>) -> Option<Alarm> {
        self.operations += 1;
        let settled = self.settled();
        let over = report.op.deadline().min(Op::LATEST);
        if report.op.outcome == Outcome::Ok {
            self.late += u64::from(over < settled);
            self.latest = self.latest.max(over);
        } else {
            self.latest = self.latest.max(report.op.start);
        }
        let settled = self.settled();
        let key = report.key;
        let followed = self.keys.entry(key.to_owned()).or_insert_with(|| Followed::new(key));
        if followed.violated {
            return None;
        }
        followed.push(report);
        if followed.new < BATCH {
            return None;
        }
        let judged = followed.judge(settled, self.horizon);
        self.count(judged)
    }

    fn count(&mut self, (alarm, undecided): (Option<Alarm>, bool)) -> Option<Alarm> {
        self.undecided += u64::from(undecided);
        self.violated += u64::from(alarm.is_some());
        self.went_back += u64::from(matches!(alarm, Some(Alarm::Backwards(_))));
        alarm
    }

    /// Judges what is left, at the end.
    pub fn finish(&mut self) -> Vec<Alarm> {
        let left = self.keys.values_mut().filter(|followed| !followed.violated);
        let judged: Vec<_> =
            left.map(|followed| followed.judge(Time::NEVER, self.horizon)).collect();
        judged.into_iter().filter_map(|judged| self.count(judged)).collect()
    }

    /// Everything that began before this has been reported.
    fn settled(&self) -> Time {
        earlier(self.latest, self.horizon)
    }
}

fn earlier(time: Time, by: Duration) -> Time {
    Time(time.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
}

impl Followed {
    fn new(key: &str) -> Followed {
        let mut log = Log::default();
        log.intern_key(key.as_bytes());
        Followed { log, new: 0, versioned: true, newest: None, old: Time::ZERO, violated: false }
    }

    fn push(&mut self, report: &Report<'_>) {
        let value = self.log.intern_value(KeyId(0), report.value.map(str::as_bytes));
        let client = self.log.intern_client(report.client);
        let op = Op { key: KeyId(0), client, value, ..report.op };
        self.versioned &= report.version.is_some() || op.outcome != Outcome::Ok;
        self.log.push(op, Extra { version: report.version, ..Extra::default() });
        self.new += 1;
    }

    /// Judges what is settled, and forgets what can no longer matter.
    fn judge(&mut self, settled: Time, horizon: Duration) -> (Option<Alarm>, bool) {
        self.new = 0;
        if self.versioned {
            let alarm = self.judge_versions(settled, horizon);
            self.violated = alarm.is_some();
            return (alarm, false);
        }
        let is_settled = |op: &Op| op.kind == Kind::Write || op.end <= settled;
        let places: Vec<usize> =
            (0..self.log.ops.len()).filter(|place| is_settled(&self.log.ops[*place])).collect();
        let ops: Vec<Op> = places.iter().map(|place| self.log.ops[*place]).collect();
        match linear::judge_within(&ops, self.log.initial[0], LIMIT) {
            Verdict::Violated(mut violation) => {
                violation.rename(|place| places[place]);
                self.violated = true;
                let log = std::mem::take(&mut self.log);
                (Some(Alarm::Violated(Box::new(log), violation)), false)
            }
            verdict => {
                self.forget(settled);
                (None, matches!(verdict, Verdict::Unknown(_)))
            }
        }
    }

    /// Sweeps over what ended within two horizons; earlier versions are one number.
    fn judge_versions(&mut self, settled: Time, horizon: Duration) -> Option<Alarm> {
        let mut places: Vec<usize> = (0..self.log.ops.len()).collect();
        places.retain(|place| self.log.ops[*place].outcome == Outcome::Ok);
        let mut by_start = places.clone();
        by_start.sort_unstable_by_key(|place| (self.log.ops[*place].start, *place));
        places.sort_unstable_by_key(|place| (self.log.ops[*place].end, *place));
        let mut ended = places.iter().copied().peekable();
        let mut newest = self.newest.map(|version| (version, usize::MAX));
        for place in by_start {
            let op = self.log.ops[place];
            while let Some(other) = ended.next_if(|other| self.log.ops[*other].end < op.start) {
                newest = newest.max(Some((self.version(other), other)));
            }
            let Some((version, other)) = newest else { continue };
            if op.start >= self.old && version > self.version(place) {
                let kept = [other, place].into_iter().filter(|place| *place != usize::MAX);
                return Some(Alarm::Backwards(Box::new(self.part(kept.collect()))));
            }
        }
        // What is not settled began within the horizon before, so this precedes all of it.
        self.old = self.old.max(earlier(settled, horizon));
        let old = self.old;
        let is_old = |op: &Op| op.outcome != Outcome::Ok || op.end < old;
        for place in places.iter().copied().filter(|place| is_old(&self.log.ops[*place])) {
            self.newest = self.newest.max(Some(self.version(place)));
        }
        let kept = (0..self.log.ops.len()).filter(|place| !is_old(&self.log.ops[*place]));
        self.log = self.part(kept.collect());
        None
    }

    fn version(&self, place: usize) -> u64 {
        self.log.extra(place).version.unwrap_or(0)
    }

    /// Forgets the values that had been replaced before a time, with all their operations.
    fn forget(&mut self, settled: Time) {
        let values = Values::of(&self.log);
        let key = KeyId(0);
        let ops = &self.log.ops;
        let unsettled = |op: &&Op| op.has_read() && op.end > settled;
        let mut awaited: Vec<Value> = ops.iter().filter(unsettled).map(|op| op.value).collect();
        awaited.sort_unstable();
        awaited.dedup();
        let absent = ops.iter().filter(unsettled).filter(|op| op.value == Value::NULL);
        let absent_since = absent.map(|op| op.start).min().unwrap_or(Time::NEVER);
        let gone = |op: &Op| match op.value {
            // Deletes and reads of absence go one by one.
            Value::NULL if op.kind == Kind::Read => !unsettled(&op),
            Value::NULL if op.outcome == Outcome::Failed => true,
            Value::NULL => self.replaced(op) < settled.min(absent_since),
            value if awaited.binary_search(&value).is_ok() => false,
            // One whose only writes failed counts as replaced at the start.
            value => values.get(key, value).replaced < settled,
        };
        let gone: Vec<bool> = ops.iter().map(gone).collect();
        // A cluster that is kept may grow; what it could then conflict with stays as well.
        let ends = |(op, gone): (&Op, &bool)| (!gone).then(|| op.deadline());
        let mut first_kept = ops.iter().zip(&gone).filter_map(ends).min().unwrap_or(Time::NEVER);
        let mut kept: Vec<bool> = gone.iter().map(|gone| !gone).collect();
        loop {
            let mut reaching: Vec<Value> = Vec::new();
            for (op, kept) in ops.iter().zip(&kept) {
                if !kept && op.value != Value::NULL && op.start > first_kept {
                    reaching.push(op.value);
                }
            }
            reaching.sort_unstable();
            reaching.dedup();
            if reaching.is_empty() {
                break;
            }
            for (op, kept) in ops.iter().zip(&mut kept) {
                if reaching.binary_search(&op.value).is_ok() {
                    *kept = true;
                    first_kept = first_kept.min(op.deadline());
                }
            }
        }
        let places: Vec<usize> = (0..ops.len()).filter(|place| kept[*place]).collect();
        let initial = self.log.initial[0];
        let is_read =
            places.iter().any(|place| ops[*place].has_read() && ops[*place].value == initial);
        let replaced = values.get(key, initial).replaced < settled;
        let mut part = self.part(places);
        if replaced && !is_read {
            // No text: a value that no operation can have.
            part.initial[0] = part.intern_value(key, Some(b"\xff"));
        }
        self.log = part;
    }

    /// When a delete had certainly been replaced.
    fn replaced(&self, delete: &Op) -> Time {
        let writes = self.log.ops.iter().filter(|op| op.may_write() && delete.precedes(op));
        writes.map(Op::deadline).min().unwrap_or(Time::NEVER)
    }

    /// A history of some of the operations.
    fn part(&self, places: Vec<usize>) -> Log {
        let mut part = Log::default();
        let key = part.intern_key(self.log.key_name(KeyId(0)).as_bytes());
        let value = |part: &mut Log, value: Value| {
            let name = self.log.value_bytes(key, value);
            part.intern_value(key, name)
        };
        part.initial[0] = value(&mut part, self.log.initial[0]);
        for place in places {
            let op = self.log.ops[place];
            let client = part.intern_client(self.log.clients[op.client.0 as usize]);
            let value = value(&mut part, op.value);
            part.push(Op { client, value, ..op }, self.log.extra(place));
        }
        part
    }
}

//! Session guarantees (Terry et al., "Session guarantees for weakly consistent replicated
//! data", PDIS 1994): a client is a session, keys are judged apart.
//!
//! Whether one value is older than another is told by the database's versions where the
//! history has them, and else by the writes' intervals: only if all writes of the one had
//! ended before the other's began. So what is found is certain.
//!
//! Each guarantee is a file, `judge(past) -> Found`; [`Past`] is what they share.

pub mod monotonic_reads;
pub mod monotonic_writes;
pub mod read_your_writes;
pub mod writes_follow_reads;

use super::found::Found;
use super::values::Values;
use crate::history::log::{Kind, Log, Op};
use crate::operation::Outcome;
use crate::time::Time;

/// The four guarantees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// A client reads nothing older than what it wrote before: its write, the read.
    pub read_your_writes: Found,
    /// A client reads nothing older than what it read before: both reads.
    pub monotonic_reads: Found,
    /// Who has seen a client's write also sees those before it: the two writes, the two reads.
    pub monotonic_writes: Found,
    /// Who has seen a write also sees what its writer had read: the writer's read and write,
    /// the two reads.
    pub writes_follow_reads: Found,
}

/// Judges all sessions.
pub fn judge(log: &Log, values: &Values) -> Sessions {
    let past = Past::of(log, values);
    Sessions {
        read_your_writes: read_your_writes::judge(&past),
        monotonic_reads: monotonic_reads::judge(&past),
        monotonic_writes: monotonic_writes::judge(&past),
        writes_follow_reads: writes_follow_reads::judge(&past),
    }
}

/// What a client had done on one key before something began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Its newest write, by place.
    pub wrote: Option<usize>,
    /// Its read of the newest value, by place.
    pub read: Option<usize>,
}

/// A read whose client had seen a write before that obliges it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Informed {
    /// The read.
    pub read: usize,
    /// The client's earlier read.
    pub earlier: usize,
    /// The write that the earlier read saw, the only one of its value.
    pub seen: usize,
    /// What the writer had written or read before that: the read must not be older.
    pub floor: usize,
}

/// What each client had done before each of its operations.
pub struct Past<'a> {
    log: &'a Log,
    values: &'a Values,
    /// All reads that returned, by key and start.
    reads: Vec<usize>,
    /// By place of an operation: what its client had last read and written before it.
    before: Vec<Session>,
}

impl<'a> Past<'a> {
    /// Goes through all operations that have an effect or returned something.
    pub fn of(log: &'a Log, values: &'a Values) -> Past<'a> {
        let ops = &log.ops;
        // A write whose outcome is unknown may be seen later, and then its client's past counts.
        let counts = |op: &Op| op.outcome == Outcome::Ok || op.may_write();
        let mut places: Vec<usize> = (0..ops.len()).filter(|p| counts(&ops[*p])).collect();
        places.sort_unstable_by_key(|place| {
            let op = &ops[*place];
            (op.key, op.start, op.end, *place)
        });
        let reads = places.iter().copied().filter(|place| ops[*place].has_read()).collect();
        let mut before = vec![Session::default(); ops.len()];
        let mut past = Past { log, values, reads, before: Vec::new() };
        let over = |session: &mut Session, place| past.add(session, place);
        past.walk(&places, over, |session, place| before[place] = *session);
        past.before = before;
        past
    }

    /// An operation of a session is over.
    fn add(&self, session: &mut Session, place: usize) {
        let newest = match self.log.ops[place].kind {
            Kind::Write => &mut session.wrote,
            Kind::Read => &mut session.read,
        };
        *newest = self.newest(*newest, place);
    }

    /// The reads, each with what its client had done before.
    fn reads(&self) -> impl Iterator<Item = (usize, Session)> {
        self.reads.iter().map(|read| (*read, self.before[*read]))
    }

    /// How new what an operation read or wrote is at least: by version, else by time.
    fn newness(&self, place: usize) -> (u64, Option<Time>) {
        let op = &self.log.ops[place];
        let first_start = match op.kind {
            Kind::Write => Some(op.start),
            // Whatever was written, though perhaps at time zero, is newer.
            Kind::Read if op.value == self.log.initial[op.key.0 as usize] => None,
            Kind::Read => Some(self.values.get(op.key, op.value).first_start),
        };
        let version = self.log.extra(place).version.unwrap_or(0);
        (version, first_start.filter(|first_start| *first_start < Time::NEVER))
    }

    /// The newer one of what was done before, if anything was, and what is done now.
    fn newest(&self, before: Option<usize>, now: usize) -> Option<usize> {
        before.filter(|before| self.newness(*before) > self.newness(now)).or(Some(now))
    }

    /// Goes through each client's operations on each key, of those that are given by key and
    /// start, with what it knows then: `over` adds what an operation that is over by now has told.
    fn walk<S: Clone + Default>(
        &self,
        places: &[usize],
        mut over: impl FnMut(&mut S, usize),
        mut begin: impl FnMut(&S, usize),
    ) {
        let ops = &self.log.ops;
        // Of each client also the operations that may not have been over when its next one began.
        let mut of_client: Vec<(S, Vec<usize>)> = Vec::new();
        of_client.resize(self.log.clients.len(), Default::default());
        for of_key in places.chunk_by(|one, other| ops[*one].key == ops[*other].key) {
            for place in of_key {
                let op = &ops[*place];
                let (known, under_way) = &mut of_client[op.client.0 as usize];
                for earlier in under_way.extract_if(.., |other| ops[*other].precedes(op)) {
                    over(known, earlier);
                }
                begin(known, *place);
                if op.outcome == Outcome::Ok {
                    under_way.push(*place);
                }
            }
            for place in of_key {
                of_client[ops[*place].client.0 as usize] = Default::default();
            }
        }
    }

    /// The reads of clients that had seen a certain write, where its writer had done something
    /// before: what `floor` takes of the writer's session. Of several the newest obliges.
    fn informed(&self, floor: impl Fn(&Session) -> Option<usize>) -> Vec<Informed> {
        let mut informed = Vec::new();
        let over = |last: &mut Option<Informed>, earlier: usize| {
            let Some(seen) = self.only_write(earlier) else { return };
            let Some(floor) = floor(&self.before[seen]) else { return };
            if self.newest(last.map(|last| last.floor), floor) == Some(floor) {
                *last = Some(Informed { read: earlier, earlier, seen, floor });
            }
        };
        self.walk(&self.reads, over, |last, read| {
            informed.extend(last.map(|last| Informed { read, ..last }));
        });
        informed
    }

    /// The write that a read saw: that of its value, if no other wrote it and it had begun.
    fn only_write(&self, read: usize) -> Option<usize> {
        let op = &self.log.ops[read];
        let once = self.values.get(op.key, op.value).writes == 1;
        self.values.seen(op).write.filter(|_| once).map(|write| write as usize)
    }

    /// Whether the read returned something certainly older than what the other operation read
    /// or wrote.
    fn is_older(&self, read: usize, other: usize) -> bool {
        let (log, values) = (self.log, self.values);
        if let (Some(version), Some(of_other)) = (log.extra(read).version, log.extra(other).version)
        {
            return version < of_other;
        }
        let op = &log.ops[other];
        match op.kind {
            Kind::Write => values.older(log, read, other),
            // A value that was written several times is only as new as its first write.
            Kind::Read => {
                let known = values.get(op.key, op.value);
                let newest = values.seen(&log.ops[read]);
                op.value != log.ops[read].value
                    && newest.writes > 0
                    && known.writes > 0
                    && newest.last_end < Some(known.first_start)
            }
        }
    }
}

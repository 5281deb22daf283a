//! The strategies as state machines: what an operation does when a step is answered.

use super::program::{Ask, Do, Program, Strategy, Told, Verb};

pub const LEASE_WAIT: i64 = 2;
const LEASE_LOOKS: u8 = 5;
const TRIES: u8 = 8;

/// The memory of an operation.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub verb: Verb,
    pub row: usize,
    /// Commits of the row when the first step took effect.
    pub known: u8,
    /// The row that was read last, or written; what a modify is based on.
    pub value: Option<u8>,
    pub base: Option<u8>,
    pub committed: Option<u8>,
    pub token: u32,
    writing: bool,
    /// The cache failed the reading half: the database answers, and nothing is stored.
    bare: bool,
    tries: u8,
}

pub enum Answer {
    /// No version is a stub.
    Hit(Option<u8>, u32),
    Miss,
    Won(u32),
    Done(bool),
    Row(Option<u8>),
    Timeout,
}

pub enum Next {
    /// A step, after a pause.
    Step(Do, i64),
    Return(Told),
}

impl Memory {
    pub fn of(ask: Ask) -> Memory {
        let writing = !matches!(ask.verb, Verb::Read | Verb::Modify);
        Memory { verb: ask.verb, row: ask.row, writing, ..Memory::default() }
    }

    fn wrote(&self) -> Next {
        Next::Return(Told::Wrote { row: self.row, version: self.committed })
    }

    fn failed(&self) -> Next {
        Next::Return(Told::Failed { row: self.row, version: self.committed })
    }
}

impl Program {
    /// The first step of an operation, or of the writing half of a modify.
    pub fn first(&self, m: &Memory) -> Do {
        match (m.writing, self.strategy) {
            (false, Strategy::Lease) => Do::Vivify,
            (false, _) => Do::Get,
            (true, Strategy::DeleteBeforeWrite | Strategy::DelayedDoubleDelete) => Do::Delete,
            (true, Strategy::ItemLock) => Do::Lock,
            (true, _) => Do::Write,
        }
    }

    pub fn next(&self, m: &mut Memory, what: Do, answer: Answer) -> Next {
        let go = |what| Next::Step(what, 0);
        match (what, answer) {
            (Do::Get | Do::Vivify, Answer::Hit(Some(version), _)) => self.have(m, Some(version)),
            (Do::Get, Answer::Miss) if self.strategy == Strategy::ItemLock => go(Do::Lock),
            (Do::Get, Answer::Miss) => go(Do::Select),
            (Do::Lock, Answer::Done(true)) => go(if m.writing { Do::Write } else { Do::Select }),
            (Do::Lock, Answer::Done(false)) if m.writing => m.failed(),
            (Do::Lock, Answer::Done(false)) => {
                m.bare = true;
                go(Do::Select)
            }
            (Do::Set | Do::Delete, Answer::Done(_)) if self.strategy == Strategy::ItemLock => {
                go(Do::Unlock)
            }
            (Do::Vivify, Answer::Won(token)) => {
                m.token = token;
                go(Do::Select)
            }
            (Do::Vivify, Answer::Hit(None, _)) => {
                m.tries += 1;
                let again = m.tries < LEASE_LOOKS;
                Next::Step(if again { Do::Vivify } else { Do::Select }, LEASE_WAIT)
            }
            (Do::Select, Answer::Row(row)) => self.selected(m, row),
            (Do::Write, Answer::Row(row)) => self.written(m, row),
            (Do::Compare, Answer::Hit(version, _)) if version >= m.value => self.stored(m),
            (Do::Compare, Answer::Hit(_, token)) => {
                m.token = token;
                go(Do::Cas)
            }
            (Do::Compare, Answer::Miss) => go(Do::Add),
            (Do::Add | Do::Cas, Answer::Done(false)) => {
                m.tries += 1;
                if m.tries < TRIES { go(Do::Compare) } else { m.failed() }
            }
            (Do::Delete, Answer::Done(_)) => self.deleted(m),
            (_, Answer::Done(_)) => self.stored(m),
            (Do::Select, _) => m.failed(),
            _ if m.writing => m.failed(),
            // A fill that fails is no concern of its reader, nor is a get that fails.
            (Do::Set, _) => self.have(m, m.value),
            (Do::Get, _) if self.strategy != Strategy::VersionedSet => go(Do::Select),
            _ => {
                m.bare = true;
                go(Do::Select)
            }
        }
    }

    fn deleted(&self, m: &mut Memory) -> Next {
        m.tries += 1;
        match (self.strategy, m.tries) {
            (Strategy::DeleteBeforeWrite | Strategy::DelayedDoubleDelete, 1) => {
                Next::Step(Do::Write, 0)
            }
            (Strategy::DelayedDoubleDelete, 2) => Next::Step(Do::Delete, self.delay),
            _ => m.wrote(),
        }
    }

    fn selected(&self, m: &mut Memory, row: Option<u8>) -> Next {
        m.value = row;
        let lease = self.strategy == Strategy::Lease;
        if m.bare || lease && m.token == 0 || !lease && row.is_none() {
            return self.have(m, row);
        }
        let what = match (self.strategy, row) {
            (Strategy::Lease, Some(_)) => Do::Fill,
            (Strategy::Lease, None) => Do::Unstub,
            (Strategy::VersionedSet, _) => Do::Compare,
            _ => Do::Set,
        };
        Next::Step(what, 0)
    }

    fn written(&self, m: &mut Memory, row: Option<u8>) -> Next {
        m.value = row;
        let what = match (self.strategy, row) {
            (Strategy::DeleteBeforeWrite | Strategy::ReadThrough, _) => return m.wrote(),
            (Strategy::WriteThrough, None) if m.committed.is_none() => return m.wrote(),
            (Strategy::WriteThrough, Some(_)) => Do::Set,
            (Strategy::VersionedSet, Some(_)) => Do::Compare,
            _ => Do::Delete,
        };
        Next::Step(what, 0)
    }

    fn stored(&self, m: &mut Memory) -> Next {
        if m.writing { m.wrote() } else { self.have(m, m.value) }
    }

    /// The reading half is done: a read returns, a modify goes on.
    fn have(&self, m: &mut Memory, found: Option<u8>) -> Next {
        if m.verb == Verb::Read {
            return Next::Return(Told::Read { row: m.row, found, known: m.known });
        }
        (m.base, m.writing, m.tries) = (found, true, 0);
        Next::Step(self.first(m), 0)
    }
}

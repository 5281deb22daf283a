//! A choice: one thing that a scheduler lets happen next, by a name that does not depend on
//! how it was found. The record of a run's choices replays it on any backend.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::operation::{ClientId, OpId, ProcessId};
use crate::step::{ConnectionId, NodeId, RowId};

/// Something that can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// A step takes effect, and its answer reaches its caller.
    Step(OpId, u32),
    /// A sleep of an operation ends.
    Wake(OpId, u32),
    /// A client's pause is over, and its next operation begins; where that matters, since its
    /// process can die.
    Begin(ClientId),
    /// A process does a round of background work.
    Tick(ProcessId),
    /// The database notices that a connection is gone.
    Disconnect(ConnectionId),
    /// A rule of the scenario's faults strikes a step.
    Strike(u16, OpId, u32),
    /// A rule ends the step's operation, or its process, after the step took effect and
    /// before its answer is seen.
    StrikeAfter(u16, OpId, u32),
    /// A rule ends the step's operation, or its process, while the step is on its way; it
    /// will still take effect.
    StrikeFlying(u16, OpId, u32),
    /// A rule ends an operation, or its process, with nothing on its way.
    StrikeClient(u16, ClientId),
    /// A fault of the world happens.
    World(u16),
    /// A fault of the world happens to a node.
    WorldNode(u16, NodeId),
    /// A fault of the world happens to a row.
    WorldRow(u16, RowId),
    /// A lasting fault begins.
    From(u16),
    /// A lasting fault ends.
    Until(u16),
    /// Nothing else can happen: the first statement that waits for a lock gives up.
    GiveUp,
    /// The item that a step is about is still there when it takes effect, which is next. With
    /// the tick of its node at which the item goes, counted from one that was told before.
    Alive(OpId, u32, i64),
    /// The item that a step is about has expired when it takes effect, which is next.
    Expired(OpId, u32, i64),
    /// Of the commits of its row that a replica may lack, it has so many when a step reads it,
    /// which is next.
    Sees(OpId, u32, u32),
    /// A pause is spent: nothing bounds when a step takes effect and is answered, which is next.
    Late(OpId, u32),
}

impl Choice {
    /// Whether a fault strikes.
    pub fn is_fault(self) -> bool {
        use Choice::*;
        matches!(
            self,
            Strike(..)
                | StrikeAfter(..)
                | StrikeFlying(..)
                | StrikeClient(..)
                | World(_)
                | WorldNode(..)
                | WorldRow(..)
                | From(_)
        )
    }
}

impl Choice {
    /// Whether it only says something about the moment of the choice that comes next.
    pub fn is_about_time(self) -> bool {
        use Choice::*;
        matches!(self, Alive(..) | Expired(..) | Sees(..) | Late(..))
    }

    /// Whether it is a fault of one node, and the other the same of all at once: counterexamples
    /// of earlier versions have these.
    pub fn is_part_of(self, whole: Choice) -> bool {
        matches!((self, whole), (Choice::WorldNode(rule, _), Choice::World(all)) if rule == all)
    }

    /// Whether a pause is spent.
    pub fn is_pause(self) -> bool {
        matches!(self, Choice::Late(..))
    }

    /// The operation whose step it is about.
    pub fn operation(self) -> Option<OpId> {
        use Choice::*;
        match self {
            Step(op, _)
            | Wake(op, _)
            | Strike(_, op, _)
            | StrikeAfter(_, op, _)
            | StrikeFlying(_, op, _)
            | Alive(op, ..)
            | Expired(op, ..)
            | Sees(op, ..)
            | Late(op, _) => Some(op),
            _ => None,
        }
    }

    /// The rule that strikes, by its place in the scenario's list.
    pub fn rule(self) -> Option<u16> {
        use Choice::*;
        match self {
            Strike(rule, ..)
            | StrikeAfter(rule, ..)
            | StrikeFlying(rule, ..)
            | StrikeClient(rule, _)
            | World(rule)
            | WorldNode(rule, _)
            | WorldRow(rule, _)
            | From(rule)
            | Until(rule) => Some(rule),
            _ => None,
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Step(op, step) => write!(f, "step {op} {step}"),
            Choice::Wake(op, step) => write!(f, "wake {op} {step}"),
            Choice::Begin(client) => write!(f, "begin {client}"),
            Choice::Tick(process) => write!(f, "tick {}", process.0),
            Choice::Disconnect(connection) => write!(f, "disconnect {}", connection.0),
            Choice::Strike(rule, op, step) => write!(f, "fault {rule} {op} {step}"),
            Choice::StrikeAfter(rule, op, step) => write!(f, "fault-after {rule} {op} {step}"),
            Choice::StrikeFlying(rule, op, step) => write!(f, "fault-flying {rule} {op} {step}"),
            Choice::StrikeClient(rule, client) => write!(f, "fault-client {rule} {client}"),
            Choice::World(rule) => write!(f, "world {rule}"),
            Choice::WorldNode(rule, node) => write!(f, "world-node {rule} {}", node.0),
            Choice::WorldRow(rule, row) => write!(f, "world-row {rule} {}", row.0),
            Choice::From(rule) => write!(f, "from {rule}"),
            Choice::Until(rule) => write!(f, "until {rule}"),
            Choice::GiveUp => f.write_str("give-up"),
            Choice::Alive(op, step, tick) => write!(f, "alive {op} {step} {tick}"),
            Choice::Expired(op, step, tick) => write!(f, "expired {op} {step} {tick}"),
            Choice::Sees(op, step, count) => write!(f, "sees {op} {step} {count}"),
            Choice::Late(op, step) => write!(f, "late {op} {step}"),
        }
    }
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        let wrong = || format!("`{text}` is not a choice, as in `step c0#1 2` or `give-up`");
        let words: Vec<&str> = text.split(' ').collect();
        let number = |place: usize| words.get(place).and_then(|word| word.parse::<u64>().ok());
        let rule = |place: usize| number(place).and_then(|n| u16::try_from(n).ok());
        let small = |place: usize| number(place).and_then(|n| u32::try_from(n).ok());
        let op = |place: usize| words.get(place).and_then(|word| word.parse::<OpId>().ok());
        let tick = || words.get(3).and_then(|word| word.parse::<i64>().ok());
        let client = |place: usize| words.get(place).and_then(|word| word.parse().ok());
        let parsed = match words[0] {
            "step" => op(1).zip(small(2)).map(|(op, step)| Choice::Step(op, step)),
            "wake" => op(1).zip(small(2)).map(|(op, step)| Choice::Wake(op, step)),
            "begin" => client(1).map(Choice::Begin),
            "tick" => small(1).map(|process| Choice::Tick(ProcessId(process))),
            "disconnect" => small(1).map(|number| Choice::Disconnect(ConnectionId(number))),
            "fault-client" => rule(1).zip(client(2)).map(|(r, c)| Choice::StrikeClient(r, c)),
            "world" => rule(1).map(Choice::World),
            "world-node" => rule(1).zip(rule(2)).map(|(r, n)| Choice::WorldNode(r, NodeId(n))),
            "world-row" => rule(1).zip(number(2)).map(|(r, row)| Choice::WorldRow(r, RowId(row))),
            "from" => rule(1).map(Choice::From),
            "until" => rule(1).map(Choice::Until),
            "give-up" => Some(Choice::GiveUp),
            "alive" => op(1).zip(small(2)).zip(tick()).map(|((o, s), t)| Choice::Alive(o, s, t)),
            "expired" => {
                op(1).zip(small(2)).zip(tick()).map(|((o, s), t)| Choice::Expired(o, s, t))
            }
            "sees" => op(1).zip(small(2)).zip(small(3)).map(|((o, s), n)| Choice::Sees(o, s, n)),
            "late" => op(1).zip(small(2)).map(|(op, step)| Choice::Late(op, step)),
            striking => {
                let make = match striking {
                    "fault" => Choice::Strike,
                    "fault-after" => Choice::StrikeAfter,
                    "fault-flying" => Choice::StrikeFlying,
                    _ => return Err(wrong()),
                };
                rule(1).zip(op(2)).zip(small(3)).map(|((r, op), step)| make(r, op, step))
            }
        };
        let choice = parsed.ok_or_else(wrong)?;
        if choice.to_string() == text { Ok(choice) } else { Err(wrong()) }
    }
}

impl TryFrom<String> for Choice {
    type Error = String;

    fn try_from(text: String) -> Result<Choice, String> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> String {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_a_file() {
        let op = OpId::new(ClientId(2), 3);
        let flusher = OpId::new(ClientId::background(ProcessId(1)), 4);
        for choice in [
            Choice::Step(op, 2),
            Choice::Step(flusher, 1),
            Choice::Wake(op, 1),
            Choice::Begin(ClientId(1)),
            Choice::Tick(ProcessId(0)),
            Choice::Disconnect(ConnectionId(7)),
            Choice::Strike(0, op, 2),
            Choice::StrikeAfter(1, op, 2),
            Choice::StrikeFlying(1, op, 2),
            Choice::StrikeClient(1, ClientId(0)),
            Choice::World(3),
            Choice::WorldNode(3, NodeId(1)),
            Choice::WorldRow(3, RowId(9)),
            Choice::From(0),
            Choice::Until(0),
            Choice::GiveUp,
            Choice::Alive(op, 1, -2),
            Choice::Expired(op, 1, 0),
            Choice::Sees(op, 2, 1),
            Choice::Late(op, 1),
        ] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        for wrong in
            ["", "step", "step c0#1", "fault 0 c0#1", "give-up 1", "advance", "stop c0#1 2"]
        {
            assert!(wrong.parse::<Choice>().is_err(), "{wrong}");
        }
    }
}

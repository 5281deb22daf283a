//! Faults that only real servers and real wires have; the others are those of scenarios.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::backend::harm::Harm;
use crate::time;

/// What a real fault does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RealWhat {
    /// Replies take `delay` longer.
    Delay,
    /// Replies come in `bytes-per-second`.
    Throttle,
    /// A reply is cut in the middle by a reset.
    ResetMidReply,
    /// Requests arrive and are executed; replies do not.
    OneWay,
    /// The server's side of the connections is gone, and nobody tells the client.
    HalfOpen,
    /// The process is stopped (SIGSTOP) and goes on later.
    StopNode,
    /// The process is killed (SIGKILL) and started again, empty.
    KillNode,
    /// The process writes its memory down, ends, and is started again with its items (`-e`).
    RestartWarm,
    /// `flush_all`.
    FlushNode,
    /// The memory limit becomes `megabytes` (`cache_memlimit`).
    ShrinkMemory,
    /// The clients take the node off their ring, and put it back later.
    LeaveRing,
    /// The database ends a session before its commit.
    CutBeforeCommit,
    /// The database ends a session after its commit, before the client learns of it.
    CutAfterCommit,
    /// The database answers a write with an error.
    StatementError,
    /// Somebody else holds the lock of the row that is to be written.
    LockTimeout,
    /// A write and somebody else wait for each other.
    Deadlock,
    /// Somebody else writes the row after the snapshot of the transaction that writes it.
    SerializationFailure,
    /// The database's process is killed and started again with its data.
    RestartDatabase,
    /// The log of commits is purged before its last changes are read.
    LogGap,
    /// The reader of the log starts anew, and changes come again.
    LogReplay,
    /// Two changes of one row come in the wrong order.
    LogReorder,
}

impl RealWhat {
    /// All kinds.
    pub const ALL: [RealWhat; 21] = [
        RealWhat::Delay,
        RealWhat::Throttle,
        RealWhat::ResetMidReply,
        RealWhat::OneWay,
        RealWhat::HalfOpen,
        RealWhat::StopNode,
        RealWhat::KillNode,
        RealWhat::RestartWarm,
        RealWhat::FlushNode,
        RealWhat::ShrinkMemory,
        RealWhat::LeaveRing,
        RealWhat::CutBeforeCommit,
        RealWhat::CutAfterCommit,
        RealWhat::StatementError,
        RealWhat::LockTimeout,
        RealWhat::Deadlock,
        RealWhat::SerializationFailure,
        RealWhat::RestartDatabase,
        RealWhat::LogGap,
        RealWhat::LogReplay,
        RealWhat::LogReorder,
    ];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            RealWhat::Delay => "delay",
            RealWhat::Throttle => "throttle",
            RealWhat::ResetMidReply => "reset-mid-reply",
            RealWhat::OneWay => "one-way",
            RealWhat::HalfOpen => "half-open",
            RealWhat::StopNode => "stop-node",
            RealWhat::KillNode => "kill-node",
            RealWhat::RestartWarm => "restart-warm",
            RealWhat::FlushNode => "flush-node",
            RealWhat::ShrinkMemory => "shrink-memory",
            RealWhat::LeaveRing => "leave-ring",
            RealWhat::CutBeforeCommit => "cut-before-commit",
            RealWhat::CutAfterCommit => "cut-after-commit",
            RealWhat::StatementError => "statement-error",
            RealWhat::LockTimeout => "lock-timeout",
            RealWhat::Deadlock => "deadlock",
            RealWhat::SerializationFailure => "serialization-failure",
            RealWhat::RestartDatabase => "restart-database",
            RealWhat::LogGap => "log-gap",
            RealWhat::LogReplay => "log-replay",
            RealWhat::LogReorder => "log-reorder",
        }
    }

    /// Whether it happens on the wire, for as long as it lasts.
    pub fn is_on_wire(self) -> bool {
        self <= RealWhat::HalfOpen
    }

    /// Whether it is done to the database, which has to be a server.
    pub fn is_to_database(self) -> bool {
        self >= RealWhat::CutBeforeCommit
    }

    /// What it does to one statement of a client, where that is what it does.
    pub(super) fn harm(self) -> Option<Harm> {
        Some(match self {
            RealWhat::CutBeforeCommit => Harm::CutBefore,
            RealWhat::CutAfterCommit => Harm::CutAfter,
            RealWhat::StatementError => Harm::Error,
            RealWhat::LockTimeout => Harm::LockTimeout,
            RealWhat::Deadlock => Harm::Deadlock,
            RealWhat::SerializationFailure => Harm::Serialization,
            _ => return None,
        })
    }

    /// Whether it is done to the reader of the database's log of commits.
    pub fn is_to_log(self) -> bool {
        self >= RealWhat::LogGap
    }

    /// Whether it is done to a cache's process, which has to be ours.
    pub fn is_to_process(self) -> bool {
        matches!(self, RealWhat::StopNode | RealWhat::KillNode | RealWhat::RestartWarm)
    }
}

impl PartialOrd for RealWhat {
    fn partial_cmp(&self, other: &RealWhat) -> Option<std::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

/// One real fault, as `--fault 'do = "stop-node", at = "2s", lasts = "500ms"'` says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RealFault {
    /// What happens.
    #[serde(rename = "do")]
    pub what: RealWhat,
    /// When it first happens, from the beginning of the load.
    #[serde(with = "time::text")]
    pub at: Duration,
    /// The period at which it happens again.
    #[serde(default, with = "time::optional_text", skip_serializing_if = "Option::is_none")]
    pub every: Option<Duration>,
    /// How long it lasts, where it does.
    #[serde(default = "lasts", with = "time::text")]
    pub lasts: Duration,
    /// Only this cache node.
    #[serde(default)]
    pub node: u16,
    /// Only these clients, for what happens on the wire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<u32>>,
    /// `delay`: how much longer replies take.
    #[serde(default = "delay", with = "time::text")]
    pub delay: Duration,
    /// `throttle`: how fast replies come.
    #[serde(default = "bytes_per_second")]
    pub bytes_per_second: u32,
    /// `shrink-memory`: the new limit.
    #[serde(default = "megabytes")]
    pub megabytes: u32,
}

fn lasts() -> Duration {
    Duration::from_millis(200)
}

fn delay() -> Duration {
    Duration::from_millis(20)
}

fn bytes_per_second() -> u32 {
    10_000
}

fn megabytes() -> u32 {
    8
}

impl RealFault {
    /// The fault once, at this time.
    pub fn at(what: RealWhat, at: Duration) -> RealFault {
        RealFault {
            what,
            at,
            every: None,
            lasts: lasts(),
            node: 0,
            clients: None,
            delay: delay(),
            bytes_per_second: bytes_per_second(),
            megabytes: megabytes(),
        }
    }

    /// Reads `do = "...", at = "..."`.
    pub fn parse(text: &str) -> Result<RealFault, String> {
        #[derive(Deserialize)]
        struct Line {
            fault: RealFault,
        }
        let line: Line = toml::from_str(&format!("fault = {{ {text} }}\n")).map_err(|error| {
            let names: Vec<&str> = RealWhat::ALL.iter().map(|what| what.name()).collect();
            format!(
                "{}; write `do = \"stop-node\", at = \"2s\", lasts = \"500ms\"`, where `do` is \
                 one of {}",
                error.message(),
                names.join(", ")
            )
        })?;
        match line.fault {
            fault if fault.bytes_per_second == 0 => {
                Err("`bytes-per-second` must be above 0".to_owned())
            }
            fault if fault.every.is_some_and(|every| every.is_zero()) => {
                Err("`every` must be longer than 0".to_owned())
            }
            fault => Ok(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_faults_read_as_written() {
        let fault = RealFault::parse("do = 'stop-node', at = '2s', lasts = '500ms'").unwrap();
        assert_eq!((fault.what, fault.lasts), (RealWhat::StopNode, Duration::from_millis(500)));
        for wrong in ["", "do = 'melt', at = '1s'", "do = 'delay'", "do = 'delay', at = 'x'"] {
            let problem = RealFault::parse(wrong).unwrap_err();
            assert!(problem.contains("stop-node"), "{wrong}: {problem}");
        }
        assert!(RealFault::parse("do = 'throttle', at = '0s', bytes-per-second = 0").is_err());
    }
}

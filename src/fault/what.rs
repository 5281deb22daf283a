//! The kinds of faults.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a fault does.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The command is refused: not executed, and the caller knows.
    Refuse,
    /// The request is lost: not executed, the caller times out.
    LoseRequest,
    /// The command is executed and its reply lost: the caller times out.
    LoseReply,
    /// The command is executed only after the caller gave up.
    DeliverLate,
    /// The command is executed so much later; its caller waits, and may time out.
    Delay,
    /// The server answers with an error and executes nothing.
    Fail,
    /// The reply says that it was done, and nothing was.
    AnswerWithoutDoing,
    /// The operation is cancelled: its future is dropped, destructors run.
    Cancel,
    /// The client's process dies, with its memory and all its clients' operations; a new
    /// process takes its place.
    Crash,
    /// A cache node restarts empty.
    RestartNode,
    /// A cache node is flushed.
    FlushNode,
    /// One item is evicted from its node.
    Evict,
    /// A cache node refuses connections during the window, from the named clients or all.
    Unreachable,
    /// A cache node's wall clock jumps.
    JumpClock,
    /// A row is changed by SQL behind the application's back.
    BypassUpdate,
    /// A row is inserted by SQL behind the application's back.
    BypassInsert,
    /// A row is deleted by SQL behind the application's back.
    BypassDelete,
    /// The database's log of commits is purged, read or not.
    PurgeLog,
    /// A cache node restarts and keeps what it held.
    WarmRestart,
}

impl What {
    /// All kinds, in the order in which they are listed to users.
    pub const ALL: [What; 19] = [
        What::Refuse,
        What::LoseRequest,
        What::LoseReply,
        What::DeliverLate,
        What::Delay,
        What::Fail,
        What::AnswerWithoutDoing,
        What::Cancel,
        What::Crash,
        What::RestartNode,
        What::FlushNode,
        What::Evict,
        What::Unreachable,
        What::JumpClock,
        What::BypassUpdate,
        What::BypassInsert,
        What::BypassDelete,
        What::PurgeLog,
        What::WarmRestart,
    ];

    /// The name in scenario files.
    pub fn name(self) -> &'static str {
        match self {
            What::Refuse => "refuse",
            What::LoseRequest => "lose-request",
            What::LoseReply => "lose-reply",
            What::DeliverLate => "deliver-late",
            What::Delay => "delay",
            What::Fail => "fail",
            What::AnswerWithoutDoing => "answer-without-doing",
            What::Cancel => "cancel",
            What::Crash => "crash",
            What::RestartNode => "restart-node",
            What::FlushNode => "flush-node",
            What::Evict => "evict",
            What::Unreachable => "unreachable",
            What::JumpClock => "jump-clock",
            What::BypassUpdate => "bypass-update",
            What::BypassInsert => "bypass-insert",
            What::BypassDelete => "bypass-delete",
            What::PurgeLog => "purge-log",
            What::WarmRestart => "warm-restart",
        }
    }

    /// One line for users.
    pub fn summary(self) -> &'static str {
        match self {
            What::Refuse => "the step is refused: not executed, and the caller knows",
            What::LoseRequest => "the request is lost: not executed, the caller times out",
            What::LoseReply => "the step is executed, its reply is lost, the caller times out",
            What::DeliverLate => "the step is executed `delay` after the caller gave up",
            What::Delay => "the step is executed `delay` later than it would have been",
            What::Fail => "the server answers with an error and executes nothing",
            What::AnswerWithoutDoing => "the reply of a write says done, and nothing was done",
            What::Cancel => "the operation is dropped at the step; its destructors run",
            What::Crash => "the client's process dies at the step and is replaced",
            What::RestartNode => "a cache node restarts empty",
            What::FlushNode => "a cache node is flushed",
            What::Evict => "one item is evicted: a row's own, or the one under `key`",
            What::Unreachable => "a cache node refuses the named clients, or all, in the window",
            What::JumpClock => "a cache node's wall clock jumps by `by-seconds`",
            What::BypassUpdate => "a row is updated by SQL behind the application's back",
            What::BypassInsert => "a row is inserted by SQL behind the application's back",
            What::BypassDelete => "a row is deleted by SQL behind the application's back",
            What::PurgeLog => "the log of commits is purged, whether or not it was read",
            What::WarmRestart => "a cache node restarts and keeps what it held",
        }
    }

    /// Whether it strikes a step or its operation, and so needs `on`.
    pub fn strikes_steps(self) -> bool {
        self <= What::Crash
    }

    /// Whether it lasts for a window rather than happening at a point in time.
    pub fn lasts(self) -> bool {
        self == What::Unreachable
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl What {
    /// Whether it writes to the database behind the application's back.
    pub fn bypasses(self) -> bool {
        matches!(self, What::BypassUpdate | What::BypassInsert | What::BypassDelete)
    }
}

//! Operations: what a client asks of the application, and what became of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::step::{Columns, Row, RowId, Table};

/// A client of the application, counted from 0 over all processes.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ClientId(pub u32);

/// A process of the application; clients of one process share its memory and its fate.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ProcessId(pub u32);

impl ClientId {
    /// Whoever writes to the database behind the application's back.
    pub const BYPASS: ClientId = ClientId(0x7fff_ffff);
    const BACKGROUND: u32 = 0x7000_0000;

    /// The background work (flusher, relay, ...) of a process.
    pub fn background(process: ProcessId) -> ClientId {
        ClientId(ClientId::BACKGROUND + process.0)
    }

    /// The process whose background work this is.
    pub fn process_of_background(self) -> Option<ProcessId> {
        let background = !self.is_ordinary() && self != ClientId::BYPASS;
        background.then(|| ProcessId(self.0 - ClientId::BACKGROUND))
    }

    /// Whether this is an ordinary client, neither bypass nor background work.
    pub fn is_ordinary(self) -> bool {
        self.0 < ClientId::BACKGROUND
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            _ if *self == ClientId::BYPASS => f.write_str("bypass"),
            n if n >= ClientId::BACKGROUND => write!(f, "background{}", n - ClientId::BACKGROUND),
            n => write!(f, "c{n}"),
        }
    }
}

/// An operation's identity: its client and its number within the client, from 1 on.
///
/// It is also the identity of every value that the operation writes: it stands in the row
/// and in the cached value, so a value found anywhere names its writer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OpId(pub u64);

impl OpId {
    /// The writer of the rows that exist before a run begins.
    pub const INITIAL: OpId = OpId(0);
    /// No operation: the writer of values that no operation wrote.
    pub const NONE: OpId = OpId(u64::MAX);

    /// The id of the `number`-th operation (from 1) of a client.
    pub fn new(client: ClientId, number: u32) -> OpId {
        OpId(u64::from(client.0) << 32 | u64::from(number))
    }

    /// The client that issued the operation; meaningless for [`OpId::INITIAL`].
    pub fn client(self) -> ClientId {
        ClientId((self.0 >> 32) as u32)
    }

    /// The number within the client, from 1; 0 for [`OpId::INITIAL`].
    pub fn number(self) -> u32 {
        self.0 as u32
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            OpId::INITIAL => f.write_str("initial"),
            OpId::NONE => f.write_str("none"),
            id => write!(f, "{}#{}", id.client(), id.number()),
        }
    }
}

impl FromStr for ClientId {
    type Err = String;

    /// The inverse of display.
    fn from_str(text: &str) -> Result<ClientId, String> {
        let wrong = || format!("`{text}` is not a client, as in `c0`, `background0` or `bypass`");
        let number = |digits: &str| digits.parse::<u32>().map_err(|_| wrong());
        match (text.strip_prefix("background"), text.strip_prefix('c')) {
            _ if text == "bypass" => Ok(ClientId::BYPASS),
            (Some(digits), _) => Ok(ClientId::background(ProcessId(number(digits)?))),
            (_, Some(digits)) => Ok(ClientId(number(digits)?)),
            _ => Err(wrong()),
        }
    }
}

impl FromStr for OpId {
    type Err = String;

    /// The inverse of display.
    fn from_str(text: &str) -> Result<OpId, String> {
        let wrong = || format!("`{text}` is not an operation, as in `c0#1`");
        match text {
            "initial" => Ok(OpId::INITIAL),
            "none" => Ok(OpId::NONE),
            _ => {
                let (client, number) = text.split_once('#').ok_or_else(wrong)?;
                Ok(OpId::new(client.parse()?, number.parse().map_err(|_| wrong())?))
            }
        }
    }
}

/// One request of a client to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// Who asks; stamped on all that the operation writes. A pattern that treats clients
    /// differently asks `Cx::op`, which exploration notices.
    pub id: OpId,
    /// The table that it is about; tables are numbered in the order of `Entity::tables`.
    pub table: Table,
    /// What is asked.
    pub action: Action,
}

/// What an operation does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Give me the row.
    Read(RowId),
    /// Give me these rows, as one view.
    ReadMany(Vec<RowId>),
    /// Replace the columns of an existing row.
    Update(RowId, Columns),
    /// Read the row, then replace its columns by a function of what was read.
    Modify(RowId, Columns),
    /// Create the row.
    Insert(RowId, Columns),
    /// Remove the row.
    Delete(RowId),
}

impl Action {
    /// The kind, without the data.
    pub fn kind(&self) -> OpKind {
        match self {
            Action::Read(_) | Action::ReadMany(_) => OpKind::Read,
            Action::Update(..) => OpKind::Update,
            Action::Modify(..) => OpKind::Modify,
            Action::Insert(..) => OpKind::Insert,
            Action::Delete(_) => OpKind::Delete,
        }
    }
}

/// The kind of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OpKind {
    /// A read.
    Read,
    /// An update of an existing row.
    Update,
    /// A read-modify-write.
    Modify,
    /// The creation of a row.
    Insert,
    /// The removal of a row.
    Delete,
}

impl OpKind {
    /// Whether the operation is meant to change the database.
    pub fn writes(self) -> bool {
        self != OpKind::Read
    }

    /// The lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Read => "read",
            OpKind::Update => "update",
            OpKind::Modify => "modify",
            OpKind::Insert => "insert",
            OpKind::Delete => "delete",
        }
    }
}

/// What a pattern answers to an operation that it completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The row that a read found, or that there is none.
    Row(Option<Row>),
    /// The rows that a read of several found, in the order asked.
    Rows(Vec<Option<Row>>),
    /// A read-modify-write: what was read, and whether a row was then changed.
    Modified {
        /// The row on which the new value was based.
        base: Option<Row>,
        /// Whether a row was changed.
        changed: bool,
    },
    /// A write that was carried out.
    Written,
    /// A write that found no row to change, or a row already there.
    Unchanged,
}

/// What really became of an operation, derived by the recorder from its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was carried out.
    Ok,
    /// It certainly had no effect.
    Failed,
    /// It may have had its effect, or may still have it.
    Unknown,
}

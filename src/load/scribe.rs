//! Writes what clients did as a history for `staleproof check`, while the load runs.
//!
//! Clients fill pages of records and pass them on to one thread that puts them into words, so a
//! client spends some nanoseconds on each operation, and memory holds no more than the pages
//! under way. A disk that is slower than the load slows the load down.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde::Serializer as _;
use serde_json::{Map, Serializer, Value as Json, json};

use crate::entity::Entity;
use crate::history::file::{FORMAT, word};
use crate::operation::{OpId, Outcome};
use crate::plan::Plan;
use crate::step::{RowId, Table};

/// Records of a page.
const PAGE: usize = 512;
/// Pages that wait for the writer before clients have to.
const PAGES: usize = 64;

/// What an operation did to one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Did {
    /// The writer of the value, where there was a row; whether it was another row's; whether the
    /// cache served it.
    Read {
        found: Option<OpId>,
        wrong: bool,
        hit: bool,
    },
    Write,
    Delete,
}

/// An operation, as far as it is about one row.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub id: OpId,
    pub row: RowId,
    pub did: Did,
    /// In nanoseconds since the load began.
    pub start: u64,
    pub end: u64,
    pub outcome: Outcome,
    /// The version that was read or written; 0 when nobody knows.
    pub version: u64,
    /// Whether the operation has several lines.
    pub several: bool,
}

/// One line of the history.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Op(Operation),
    Fault { name: String, at: u64 },
}

/// The thread that writes, and its file.
pub(super) struct Scribe {
    pages: SyncSender<Vec<Record>>,
    thread: JoinHandle<io::Result<u64>>,
    path: PathBuf,
    partial: PathBuf,
}

/// What one thread writes with; its last page goes when it is dropped.
pub(super) struct Pen {
    pages: SyncSender<Vec<Record>>,
    page: Vec<Record>,
}

impl Pen {
    pub fn note(&mut self, record: Record) {
        self.page.push(record);
        if self.page.len() == PAGE {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let page = std::mem::replace(&mut self.page, Vec::with_capacity(PAGE));
        // A writer that has ended says why in `Scribe::close`.
        let _ = self.pages.send(page);
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        self.turn();
    }
}

impl Scribe {
    /// Begins the file, under another name until it is complete.
    pub fn begin(path: &Path, plan: &Plan, entity: &Arc<dyn Entity>) -> Result<Scribe, String> {
        let mut name = path.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let file = File::create(&partial).map_err(|error| cannot(path, &error))?;
        let (pages, receiver) = sync_channel(PAGES);
        let key = |row: &crate::step::Row| entity.key(Table(0), row.id).to_string();
        let rows = plan.rows().iter().filter(|(table, _)| *table == Table(0));
        let initial: Map<String, Json> =
            rows.map(|(_, row)| (key(row), json!(OpId::INITIAL.to_string()))).collect();
        let head = json!({"format": FORMAT, "initial": initial});
        let entity = Arc::clone(entity);
        let thread = std::thread::spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            writeln!(out, "{head}")?;
            write(&receiver, &*entity, out)
        });
        Ok(Scribe { pages, thread, path: path.to_owned(), partial })
    }

    pub fn pen(&self) -> Pen {
        Pen { pages: self.pages.clone(), page: Vec::with_capacity(PAGE) }
    }

    /// Waits until every pen is dropped and everything is written; says how many operations.
    pub fn close(self) -> Result<u64, String> {
        drop(self.pages);
        let written = self.thread.join().expect("the writer does not panic");
        written
            .and_then(|count| std::fs::rename(&self.partial, &self.path).map(|()| count))
            .map_err(|error| cannot(&self.path, &error))
    }
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("{}: cannot be written: {error}; choose another --history", path.display())
}

fn write(
    pages: &Receiver<Vec<Record>>,
    entity: &dyn Entity,
    mut out: BufWriter<File>,
) -> io::Result<u64> {
    let mut operations = 0;
    let mut line = Line::default();
    for page in pages {
        for record in page {
            operations += u64::from(matches!(record, Record::Op(_)));
            line.fill(&record, entity);
            out.write_all(&line.bytes)?;
        }
    }
    out.flush()?;
    Ok(operations)
}

/// A line of the file. It is put together from bytes, since formatting takes far longer, and what
/// the writer spends on an operation the load does not have.
#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    digits: itoa::Buffer,
}

impl Line {
    fn fill(&mut self, record: &Record, entity: &dyn Entity) {
        self.bytes.clear();
        match record {
            Record::Op(operation) => self.operation(operation, entity),
            Record::Fault { name, at } => self.text(&json!({"fault": name, "at": at}).to_string()),
        }
        self.bytes.push(b'\n');
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn number(&mut self, before: &str, number: u64) {
        self.text(before);
        self.bytes.extend_from_slice(self.digits.format(number).as_bytes());
    }

    /// An operation as it displays, which nearly all are without formatting.
    fn quoted(&mut self, id: OpId, note: &str) {
        match id.client() {
            client if client.is_ordinary() && id != OpId::INITIAL => {
                self.number(r#""c"#, u64::from(client.0));
                self.number("#", u64::from(id.number()));
            }
            _ => self.text(&format!(r#""{id}"#)),
        }
        self.text(note);
        self.text(r#"""#);
    }

    fn operation(&mut self, operation: &Operation, entity: &dyn Entity) {
        let Operation { id, row, did, start, end, outcome, version, several } = *operation;
        self.number(r#"{"client":"#, u64::from(id.client().0));
        self.text(match did {
            Did::Read { .. } => r#","op":"read","key":"#,
            Did::Write => r#","op":"write","key":"#,
            Did::Delete => r#","op":"delete","key":"#,
        });
        let key = entity.key(Table(0), row);
        Serializer::new(&mut self.bytes).collect_str(&key).expect("a vector takes anything");
        self.text(r#","value":"#);
        match did {
            Did::Read { found: Some(writer), wrong: false, .. } => self.quoted(writer, ""),
            Did::Read { found: Some(writer), .. } => self.quoted(writer, " of another row"),
            Did::Read { found: None, .. } | Did::Delete => self.text("null"),
            Did::Write => self.quoted(id, ""),
        }
        self.number(r#","start":"#, start);
        match outcome {
            Outcome::Unknown => self.text(r#","end":null"#),
            _ => self.number(r#","end":"#, end),
        }
        self.text(r#","outcome":""#);
        self.text(word(outcome));
        self.text(r#"","id":"#);
        self.quoted(id, "");
        if several {
            self.text(r#","group":"#);
            self.quoted(id, "");
        }
        if version > 0 {
            self.number(r#","version":"#, version);
        }
        if let Did::Read { hit, .. } = did {
            self.text(if hit { r#","hit":true"# } else { r#","hit":false"# });
        }
        self.text("}");
    }
}

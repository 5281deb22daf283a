//! Writes what clients did as a history for `staleproof check`, while the load runs.
//!
//! Clients fill pages of records and pass them on to one thread that puts them into words, so a
//! client spends some nanoseconds on each operation, and memory holds no more than the pages
//! under way. A disk that is slower than the load slows the load down.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use serde_json::{Map, Value as Json, json};

use crate::entity::Entity;
use crate::history::file::FORMAT;
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

/// One line of the history.
#[derive(Clone, Debug)]
pub(super) enum Record {
    Op {
        id: OpId,
        row: RowId,
        did: Did,
        /// In nanoseconds since the load began.
        start: u64,
        end: u64,
        outcome: Outcome,
        /// The version that was read or written; 0 when nobody knows.
        version: u64,
        /// Whether the operation has several lines.
        several: bool,
    },
    Fault {
        name: String,
        at: u64,
    },
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
    for page in pages {
        for record in page {
            operations += u64::from(matches!(record, Record::Op { .. }));
            line(&record, entity, &mut out)?;
        }
    }
    out.flush()?;
    Ok(operations)
}

fn line(record: &Record, entity: &dyn Entity, out: &mut impl Write) -> io::Result<()> {
    let Record::Op { id, row, did, start, end, outcome, version, several } = *record else {
        let Record::Fault { name, at } = record else { unreachable!("there are two kinds") };
        return writeln!(out, "{}", json!({"fault": name, "at": at}));
    };
    let key = Json::String(entity.key(Table(0), row).to_string());
    let (op, value) = match did {
        Did::Read { found: Some(writer), wrong: false, .. } => ("read", quoted(writer, "")),
        Did::Read { found: Some(writer), wrong: true, .. } => {
            ("read", quoted(writer, " of another row"))
        }
        Did::Read { found: None, .. } => ("read", "null".to_owned()),
        Did::Write => ("write", quoted(id, "")),
        Did::Delete => ("delete", "null".to_owned()),
    };
    write!(
        out,
        r#"{{"client":{},"op":"{op}","key":{key},"value":{value},"start":{start},"end":"#,
        id.client().0
    )?;
    match outcome {
        Outcome::Ok => write!(out, r#"{end},"outcome":"ok""#)?,
        Outcome::Failed => write!(out, r#"{end},"outcome":"fail""#)?,
        Outcome::Unknown => write!(out, r#"null,"outcome":"unknown""#)?,
    }
    write!(out, r#","id":"{id}""#)?;
    if several {
        write!(out, r#","group":"{id}""#)?;
    }
    if version > 0 {
        write!(out, r#","version":{version}"#)?;
    }
    if let Did::Read { hit, .. } = did {
        write!(out, r#","hit":{hit}"#)?;
    }
    out.write_all(b"}\n")
}

fn quoted(writer: OpId, note: &str) -> String {
    format!("\"{writer}{note}\"")
}

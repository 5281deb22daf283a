//! Writes what clients did as a history for `staleproof check`, while the load runs.
//!
//! Clients fill pages of what they did and pass them on to one thread that puts them into words, so
//! a client spends some nanoseconds on each operation, and memory holds no more than the pages
//! under way. A disk that is slower than the load slows the load down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::entity::Entity;
use crate::history::file::writer::{Encoder, LOADED, Operation, Record};
use crate::operation::OpId;
use crate::plan::Plan;
use crate::step::{RowId, Table};
use crate::time::Time;

/// Operations and faults of a page.
const PAGE: usize = 512;
/// Pages that wait for the writer before clients have to.
const PAGES: usize = 64;

/// What a line of the history will be made of; the key is worked out by the thread that writes.
#[derive(Clone, Debug)]
pub(super) enum Noted {
    Op(RowId, Operation),
    Fault { name: String, at: Time },
}

/// The thread that writes, and its file.
pub(super) struct Scribe {
    pages: SyncSender<Vec<Noted>>,
    thread: JoinHandle<io::Result<u64>>,
    path: PathBuf,
    partial: PathBuf,
}

/// What one thread writes with; its last page goes when it is dropped.
pub(super) struct Pen {
    pages: SyncSender<Vec<Noted>>,
    page: Vec<Noted>,
}

impl Pen {
    pub fn note(&mut self, noted: Noted) {
        self.page.push(noted);
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
        let initial: BTreeMap<String, OpId> =
            rows.map(|(_, row)| (key(row), OpId::INITIAL)).collect();
        let entity = Arc::clone(entity);
        let thread = std::thread::spawn(move || {
            let mut out = BufWriter::with_capacity(1 << 16, file);
            let mut encoder = Encoder::new(&LOADED);
            out.write_all(encoder.line(&Record::Head(&initial)))?;
            write(&receiver, &*entity, encoder, out)
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
    pages: &Receiver<Vec<Noted>>,
    entity: &dyn Entity,
    mut encoder: Encoder,
    mut out: BufWriter<File>,
) -> io::Result<u64> {
    let mut operations = 0;
    for noted in pages.iter().flatten() {
        let line = match &noted {
            Noted::Op(row, operation) => {
                operations += 1;
                encoder.line(&Record::Operation(&entity.key(Table(0), *row), operation))
            }
            Noted::Fault { name, at } => {
                encoder.line(&Record::Fault { name, at: *at, until: None })
            }
        };
        out.write_all(line)?;
    }
    out.flush()?;
    Ok(operations)
}

//! `Cx`: all that a pattern may touch.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::handles::{Cache, Database, Local};
use super::log::{Log, Outbox};
use super::{Failure, Port};
use crate::entity::{Entity, envelope};
use crate::operation::{ClientId, OpId};
use crate::step::{Command, Key, Row, RowId, Table, Ttl};
use crate::time::Time;

/// The handles of one client.
pub struct Cx {
    /// The cache.
    pub cache: Cache,
    /// The database.
    pub db: Database,
    /// Memory that the clients of this process share.
    pub local: Local,
    /// The database's log of commits.
    pub log: Log,
    /// The table of what is to be invalidated.
    pub outbox: Outbox,
    port: Rc<Port>,
    app: Rc<App>,
}

/// What all clients of a run have in common.
pub(crate) struct App {
    pub entity: Arc<dyn Entity>,
    pub ttl: Ttl,
    pub cache_retries: u32,
    pub database_retries: u32,
    /// The keys of the first table's rows, by row id, so that making a key costs nothing.
    pub keys: Vec<Key>,
    pub opened: Opened,
    /// Whether the pattern has asked for what could make it treat one client unlike another.
    pub named: Cell<bool>,
}

/// Values opened lately, and their rows: most hits find what an earlier one found, and
/// comparing bytes takes a fifth of the time that decoding them does.
///
/// The default has no places and keeps nothing, which suits programs of a few operations.
#[derive(Default)]
pub(crate) struct Opened(RefCell<Vec<Option<Kept>>>);

/// A value and its row.
type Kept = (Vec<u8>, Row);

impl Opened {
    /// Rows share a place when their numbers do modulo this.
    const PLACES: usize = 256;

    /// For runs of many operations.
    pub fn with_places() -> Opened {
        Opened(RefCell::new(vec![None; Opened::PLACES]))
    }

    fn find(&self, place: usize, bytes: &[u8]) -> Option<Row> {
        match self.0.borrow().get(place) {
            Some(Some((known, row))) if known.as_slice() == bytes => Some(row.clone()),
            _ => None,
        }
    }

    fn keep(&self, place: usize, bytes: &[u8], row: &Row) {
        match self.0.borrow_mut().get_mut(place) {
            None => {}
            Some(Some((known, of))) => {
                known.clear();
                known.extend_from_slice(bytes);
                *of = row.clone();
            }
            Some(empty) => *empty = Some((bytes.to_vec(), row.clone())),
        }
    }
}

impl Cx {
    pub(crate) fn new(port: Rc<Port>, app: Rc<App>) -> Cx {
        let outbox = Table(app.entity.tables().len() as u8);
        Cx {
            cache: Cache::new(Rc::clone(&port), app.cache_retries),
            db: Database::new(Rc::clone(&port), app.database_retries),
            local: Local::new(Rc::clone(&port)),
            log: Log::new(Rc::clone(&port)),
            outbox: Outbox::new(Rc::clone(&port), outbox),
            port,
            app,
        }
    }

    /// The cache key of a row of the first table.
    pub fn key(&self, id: RowId) -> Key {
        match self.app.keys.get(id.0 as usize) {
            Some(key) => key.clone(),
            None => self.app.entity.key(Table(0), id),
        }
    }

    /// How many rows of the first table there were at the start; they are numbered from 0.
    pub fn initial_rows(&self) -> u64 {
        self.app.keys.len() as u64
    }

    /// The expiry of cached rows: the scenario's, or else the entity's.
    pub fn ttl(&self) -> Ttl {
        self.app.ttl
    }

    /// A row as it is cached.
    pub fn seal(&self, row: &Row) -> Bytes {
        let key = self.key(row.id);
        envelope::seal(&key, row, |out| self.app.entity.encode(&row.columns, out))
    }

    /// The row in a cached value.
    pub fn open(&self, bytes: &[u8]) -> Result<Row, Failure> {
        let place = envelope::shelf(bytes) % Opened::PLACES;
        if let Some(row) = self.app.opened.find(place, bytes) {
            return Ok(row);
        }
        let opened = envelope::open(bytes).ok_or(Failure::Undecodable)?;
        let columns = self.app.entity.decode(opened.payload).ok_or(Failure::Undecodable)?;
        let envelope::Stamp { writer, version, row } = opened.stamp;
        let row = Row { id: row, version, writer, columns };
        self.app.opened.keep(place, bytes, &row);
        Ok(row)
    }

    /// The operation being carried out; meaningless in background work.
    pub fn op(&self) -> OpId {
        self.app.named.set(true);
        self.port.op()
    }

    /// The client that carries it out, or whose process does background work.
    pub fn client(&self) -> ClientId {
        let client = self.port.client();
        self.app.named.set(self.app.named.get() || client.is_ordinary());
        client
    }

    /// The operation's id where it only tells this operation from others: whoever uses it treats
    /// no client unlike another.
    pub(crate) fn tag(&self) -> OpId {
        self.port.op()
    }

    /// The client's id, as `tag`.
    pub(crate) fn client_tag(&self) -> ClientId {
        self.port.client()
    }

    /// A random number, as `tag`.
    pub(crate) fn random_tag(&self) -> u64 {
        self.port.random()
    }

    /// The time now, as this client's process sees it.
    pub fn now(&self) -> Time {
        self.port.now()
    }

    /// Lets time pass.
    pub async fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.port.call(Command::Sleep(nanos), 0).await;
    }

    /// A uniform 64-bit number, a function of the seed and the operation.
    pub fn random(&self) -> u64 {
        self.app.named.set(true);
        self.port.random()
    }

    /// Notes that this place was reached; scenarios can ask that it was.
    pub fn mark(&self, name: &'static str) {
        self.port.mark(name);
    }
}

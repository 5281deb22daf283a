//! `Cx`: all that a pattern may touch.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::handles::{Cache, Database, Local};
use super::{Failure, Port};
use crate::entity::{Entity, envelope};
use crate::operation::OpId;
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
}

impl Cx {
    pub(crate) fn new(port: Rc<Port>, app: Rc<App>) -> Cx {
        Cx {
            cache: Cache::new(Rc::clone(&port), app.cache_retries),
            db: Database::new(Rc::clone(&port), app.database_retries),
            local: Local::new(Rc::clone(&port)),
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
        let opened = envelope::open(bytes).ok_or(Failure::Undecodable)?;
        let columns = self.app.entity.decode(opened.payload).ok_or(Failure::Undecodable)?;
        let envelope::Stamp { writer, version, row } = opened.stamp;
        Ok(Row { id: row, version, writer, columns })
    }

    /// The operation being carried out; meaningless in background work.
    pub fn op(&self) -> OpId {
        self.port.op()
    }

    /// The time now, as this client's process sees it.
    pub fn now(&self) -> Time {
        self.port.now()
    }

    /// Lets time pass.
    pub async fn sleep(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.port.call(Command::Sleep(nanos)).await;
    }

    /// A uniform 64-bit number, a function of the seed and the operation.
    pub fn random(&self) -> u64 {
        self.port.random()
    }

    /// Notes that this place was reached; scenarios can ask that it was.
    pub fn mark(&self, name: &'static str) {
        self.port.mark(name);
    }
}

//! The handles of `Cx`: typed methods over the steps, with the client's blind retries.
//!
//! Between a pattern and its step stands one future, two at most: every further `async fn`
//! is one more state to look at each time that the pattern runs, and a copy of the command.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::port::Call;
use super::{Failure, Port};
use crate::operation::{Action, OpId, Reply};
use crate::step::{
    Answer, CacheCommand, CacheReply, Columns, Command, DbCommand, DbReply, Direction, Isolation,
    Item, Key, LocalCommand, LocalReply, MetaDelete, MetaGet, MetaSet, Row, RowId, RowLock,
    SqlError, Table, Ttl, Value, Verb, Written,
};

/// The cache, over all its nodes: the key decides which.
pub struct Cache {
    port: Rc<Port>,
    retries: u32,
}

/// What became of a compare-and-swap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CasOutcome {
    /// The value was stored.
    Stored,
    /// The item has changed since the token was taken.
    Exists,
    /// The item is gone.
    NotFound,
}

impl Cache {
    pub(super) fn new(port: Rc<Port>, retries: u32) -> Cache {
        Cache { port, retries }
    }

    fn call(&self, command: CacheCommand) -> CacheCall<'_> {
        CacheCall(self.port.call(Command::Cache(command), self.retries))
    }

    /// The value under a key.
    pub async fn get(&self, key: &Key) -> Result<Option<Bytes>, Failure> {
        let item = item(self.call(CacheCommand::Get { key: key.clone() }).await?)?;
        Ok(item.map(|item| item.value))
    }

    /// The value under a key, and its CAS token.
    pub async fn gets(&self, key: &Key) -> Result<Option<(Bytes, u64)>, Failure> {
        let item = item(self.call(CacheCommand::Get { key: key.clone() }).await?)?;
        Ok(item.map(|item| (item.value, item.cas)))
    }

    /// The values under several keys: one step per key, all under way at once, because a
    /// multi-get locks per item. Fails as a whole when one of them fails.
    pub async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, Failure> {
        let calls: Vec<_> = keys.iter().map(|key| Box::pin(self.get(key))).collect();
        super::port::join(calls).await.into_iter().collect()
    }

    /// Reads a value and gives it a new expiry.
    pub async fn get_and_touch(&self, key: &Key, ttl: Ttl) -> Result<Option<Bytes>, Failure> {
        let item = item(self.call(CacheCommand::GetAndTouch { key: key.clone(), ttl }).await?)?;
        Ok(item.map(|item| item.value))
    }

    fn store(&self, verb: Verb, key: &Key, value: Bytes, ttl: Ttl) -> CacheCall<'_> {
        self.call(CacheCommand::Store { verb, key: key.clone(), value, flags: 0, ttl })
    }

    /// Stores a value.
    pub async fn set(&self, key: &Key, value: Bytes, ttl: Ttl) -> Result<(), Failure> {
        done(self.store(Verb::Set, key, value, ttl).await?).map(|_| ())
    }

    /// Stores a value if there is none; says whether it did.
    pub async fn add(&self, key: &Key, value: Bytes, ttl: Ttl) -> Result<bool, Failure> {
        done(self.store(Verb::Add, key, value, ttl).await?)
    }

    /// Stores a value if there is one already; says whether it did.
    pub async fn replace(&self, key: &Key, value: Bytes, ttl: Ttl) -> Result<bool, Failure> {
        done(self.store(Verb::Replace, key, value, ttl).await?)
    }

    /// Stores a value if the item is the one whose token this is.
    pub async fn cas(
        &self,
        key: &Key,
        value: Bytes,
        ttl: Ttl,
        token: u64,
    ) -> Result<CasOutcome, Failure> {
        cas_outcome(self.store(Verb::Cas(token), key, value, ttl).await?)
    }

    /// Removes an item; says whether there was one.
    pub async fn delete(&self, key: &Key) -> Result<bool, Failure> {
        done(self.call(CacheCommand::Delete { key: key.clone() }).await?)
    }

    /// Gives an item a new expiry; says whether there was one.
    pub async fn touch(&self, key: &Key, ttl: Ttl) -> Result<bool, Failure> {
        done(self.call(CacheCommand::Touch { key: key.clone(), ttl }).await?)
    }

    /// Adds to a counter; `None` when there is none.
    pub async fn incr(&self, key: &Key, delta: u64) -> Result<Option<u64>, Failure> {
        self.arithmetic(Direction::Increment, key, delta).await
    }

    /// Subtracts from a counter; `None` when there is none.
    pub async fn decr(&self, key: &Key, delta: u64) -> Result<Option<u64>, Failure> {
        self.arithmetic(Direction::Decrement, key, delta).await
    }

    async fn arithmetic(
        &self,
        direction: Direction,
        key: &Key,
        delta: u64,
    ) -> Result<Option<u64>, Failure> {
        match self.call(CacheCommand::Arithmetic { direction, key: key.clone(), delta }).await? {
            CacheReply::Number(number) => Ok(Some(number)),
            CacheReply::NotFound => Ok(None),
            _ => Err(Failure::OtherKind),
        }
    }

    /// A meta get: leases, recache and stale marks.
    pub async fn meta_get(&self, get: MetaGet) -> Result<Option<Item>, Failure> {
        item(self.call(CacheCommand::MetaGet(get)).await?)
    }

    /// A meta set.
    pub async fn meta_set(&self, set: MetaSet) -> Result<CasOutcome, Failure> {
        cas_outcome(self.call(CacheCommand::MetaSet(set)).await?)
    }

    /// A meta delete; says whether there was an item.
    pub async fn meta_delete(&self, delete: MetaDelete) -> Result<bool, Failure> {
        done(self.call(CacheCommand::MetaDelete(delete)).await?)
    }
}

/// A cache command under way.
struct CacheCall<'a>(Call<'a>);

impl Future for CacheCall<'_> {
    type Output = Result<CacheReply, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(context)) {
            Answer::Cache(CacheReply::Refusal(refusal)) => Err(Failure::CacheRefusal(refusal)),
            Answer::Cache(reply) => Ok(reply),
            Answer::Error(error) => Err(Failure::Cache(error)),
            other => unreachable!("a cache command was answered with {other:?}"),
        })
    }
}

fn item(reply: CacheReply) -> Result<Option<Item>, Failure> {
    match reply {
        CacheReply::Found(item) => Ok(Some(item)),
        CacheReply::Miss => Ok(None),
        _ => Err(Failure::OtherKind),
    }
}

/// Whether what was asked was done.
fn done(reply: CacheReply) -> Result<bool, Failure> {
    match reply {
        CacheReply::Stored | CacheReply::Deleted | CacheReply::Touched => Ok(true),
        CacheReply::NotStored | CacheReply::NotFound | CacheReply::Exists => Ok(false),
        _ => Err(Failure::OtherKind),
    }
}

fn cas_outcome(reply: CacheReply) -> Result<CasOutcome, Failure> {
    match reply {
        CacheReply::Stored => Ok(CasOutcome::Stored),
        CacheReply::Exists => Ok(CasOutcome::Exists),
        CacheReply::NotFound | CacheReply::NotStored => Ok(CasOutcome::NotFound),
        _ => Err(Failure::OtherKind),
    }
}

/// The database, on this client's connection. Statements are on the first table.
pub struct Database {
    port: Rc<Port>,
    retries: u32,
}

/// What a write did to the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The row that was meant.
    pub id: RowId,
    /// Whether a row was changed.
    pub changed: bool,
    /// The row as it now is, `None` after a delete or when nothing was changed.
    pub row: Option<Row>,
}

impl Change {
    fn of(id: RowId, writer: OpId, columns: Columns, written: Written) -> Change {
        let changed = written.affected > 0;
        let version = written.version.unwrap_or(0);
        Change { id, changed, row: changed.then_some(Row { id, version, writer, columns }) }
    }

    /// The reply to the operation that asked for it.
    pub fn reply(&self) -> Reply {
        if self.changed { Reply::Written } else { Reply::Unchanged }
    }
}

impl Database {
    pub(super) fn new(port: Rc<Port>, retries: u32) -> Database {
        Database { port, retries }
    }

    fn call(&self, command: DbCommand) -> DatabaseCall<'_> {
        DatabaseCall(self.port.call(Command::Database(command), self.retries))
    }

    /// Begins a transaction at the scenario's isolation level.
    pub async fn begin(&self) -> Result<(), Failure> {
        self.begin_at(Isolation::Default).await
    }

    /// Begins a transaction.
    pub async fn begin_at(&self, isolation: Isolation) -> Result<(), Failure> {
        carried_out(self.call(DbCommand::Begin(isolation)).await?)
    }

    /// Commits the transaction.
    pub async fn commit(&self) -> Result<(), Failure> {
        carried_out(self.call(DbCommand::Commit).await?)
    }

    /// Rolls the transaction back.
    pub async fn rollback(&self) -> Result<(), Failure> {
        carried_out(self.call(DbCommand::Rollback).await?)
    }

    /// Selects a row.
    pub fn select(&self, id: RowId) -> impl Future<Output = Result<Option<Row>, Failure>> {
        self.select_with(id, RowLock::None)
    }

    /// Selects a row where writes go, even if plain selects are answered by a replica.
    pub async fn select_primary(&self, id: RowId) -> Result<Option<Row>, Failure> {
        self.select_with(id, RowLock::Share).await
    }

    /// Selects a row and locks it.
    pub async fn select_with(&self, id: RowId, lock: RowLock) -> Result<Option<Row>, Failure> {
        match self.call(DbCommand::Select { table: Table(0), id, lock }).await? {
            DbReply::Row(row) => Ok(row),
            _ => Err(Failure::OtherKind),
        }
    }

    /// Selects the rows whose column (by place) has this value.
    pub async fn select_where(&self, column: u8, equals: Value) -> Result<Vec<Row>, Failure> {
        match self.call(DbCommand::SelectWhere { table: Table(0), column, equals }).await? {
            DbReply::Rows(rows) => Ok(rows),
            _ => Err(Failure::OtherKind),
        }
    }

    /// Updates a row in the name of the current operation.
    pub fn update(
        &self,
        id: RowId,
        columns: &Columns,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        self.update_as(self.port.op(), id, columns)
    }

    /// Updates a row in the name of an earlier operation (a flusher's write).
    pub fn update_as(
        &self,
        writer: OpId,
        id: RowId,
        columns: &Columns,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        self.write_row(writer, id, columns, Write::Update(None))
    }

    /// Updates a row on a second connection, where the statement commits itself whatever
    /// transaction is open on the client's own.
    pub async fn update_apart(&self, id: RowId, columns: &Columns) -> Result<Change, Failure> {
        let (table, writer, columns) = (Table(0), self.port.op(), columns.clone());
        let sent = columns.clone();
        let update = DbCommand::Update { table, id, writer, columns: sent, if_version: None };
        let call = DatabaseCall(self.port.call(Command::Apart(update), self.retries));
        Ok(Change::of(id, writer, columns, written(call.await?)?))
    }

    /// Updates a row if it still has this version.
    pub fn update_if(
        &self,
        version: u64,
        id: RowId,
        columns: &Columns,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        self.write_row(self.port.op(), id, columns, Write::Update(Some(version)))
    }

    /// Inserts a row in the name of the current operation.
    pub fn insert(
        &self,
        id: RowId,
        columns: &Columns,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        self.insert_as(self.port.op(), id, columns)
    }

    /// Inserts a row in the name of an earlier operation.
    pub fn insert_as(
        &self,
        writer: OpId,
        id: RowId,
        columns: &Columns,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        self.write_row(writer, id, columns, Write::Insert)
    }

    /// Deletes a row in the name of the current operation.
    pub async fn delete(&self, id: RowId) -> Result<Change, Failure> {
        self.delete_as(self.port.op(), id).await
    }

    /// Deletes a row in the name of an earlier operation.
    pub async fn delete_as(&self, writer: OpId, id: RowId) -> Result<Change, Failure> {
        let delete = DbCommand::Delete { table: Table(0), id, writer };
        let changed = written(self.call(delete).await?)?.affected > 0;
        Ok(Change { id, changed, row: None })
    }

    fn write_row(
        &self,
        writer: OpId,
        id: RowId,
        columns: &Columns,
        write: Write,
    ) -> impl Future<Output = Result<Change, Failure>> + use<'_> {
        let columns = columns.clone();
        async move {
            let (table, sent) = (Table(0), columns.clone());
            let written = written(
                self.call(match write {
                    Write::Insert => DbCommand::Insert { table, id, writer, columns: sent },
                    Write::Update(if_version) => {
                        DbCommand::Update { table, id, writer, columns: sent, if_version }
                    }
                })
                .await?,
            )?;
            Ok(Change::of(id, writer, columns, written))
        }
    }

    /// Carries out the database's part of a write: one statement that commits itself.
    /// Inserting a row that exists changes nothing.
    ///
    /// # Panics
    /// On a read: there is nothing to write.
    pub async fn apply(&self, action: &Action) -> Result<Change, Failure> {
        let (id, columns, write) = match action {
            Action::Update(id, columns) | Action::Modify(id, columns) => {
                (*id, columns, Write::Update(None))
            }
            Action::Insert(id, columns) => (*id, columns, Write::Insert),
            Action::Delete(id) => return self.delete(*id).await,
            Action::Read(_) | Action::ReadMany(_) => panic!("a read is not a write"),
        };
        match self.write_row(self.port.op(), id, columns, write).await {
            Err(Failure::Sql(SqlError::DuplicateKey)) if write == Write::Insert => {
                Ok(Change { id, changed: false, row: None })
            }
            result => result,
        }
    }
}

/// How a row is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Insert,
    /// Only if the row still has this version, where one is given.
    Update(Option<u64>),
}

fn carried_out(reply: DbReply) -> Result<(), Failure> {
    match reply {
        DbReply::Done => Ok(()),
        _ => Err(Failure::OtherKind),
    }
}

pub(super) fn written(reply: DbReply) -> Result<Written, Failure> {
    match reply {
        DbReply::Written(written) => Ok(written),
        _ => Err(Failure::OtherKind),
    }
}

/// A statement under way.
struct DatabaseCall<'a>(Call<'a>);

impl Future for DatabaseCall<'_> {
    type Output = Result<DbReply, Failure>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(context)) {
            Answer::Database(DbReply::Error(error)) => Err(Failure::Sql(error)),
            Answer::Database(reply) => Ok(reply),
            Answer::Error(error) => Err(Failure::Database(error)),
            other => unreachable!("a statement was answered with {other:?}"),
        })
    }
}

/// Memory that the clients of one process share and that a crash loses.
pub struct Local {
    port: Rc<Port>,
}

impl Local {
    pub(super) fn new(port: Rc<Port>) -> Local {
        Local { port }
    }

    async fn call(&self, command: LocalCommand) -> LocalReply {
        match self.port.call(Command::Local(command), 0).await {
            Answer::Local(reply) => reply,
            other => unreachable!("shared memory answered with {other:?}"),
        }
    }

    async fn value(&self, command: LocalCommand) -> Option<Bytes> {
        match self.call(command).await {
            LocalReply::Value(value) => value,
            LocalReply::Stored(_) => None,
        }
    }

    async fn stored(&self, command: LocalCommand) -> bool {
        self.call(command).await == LocalReply::Stored(true)
    }

    /// What a cell holds.
    pub async fn load(&self, cell: &Key) -> Option<Bytes> {
        self.value(LocalCommand::Load { cell: cell.clone() }).await
    }

    /// Sets or clears a cell.
    pub async fn store(&self, cell: &Key, value: Option<Bytes>) {
        self.stored(LocalCommand::Store { cell: cell.clone(), value }).await;
    }

    /// Sets a cell if it is empty; says whether it was.
    pub async fn store_if_empty(&self, cell: &Key, value: Bytes) -> bool {
        self.stored(LocalCommand::StoreIfEmpty { cell: cell.clone(), value }).await
    }

    /// Sets or clears a cell if it holds `expected`; says whether it did.
    pub async fn compare_and_store(
        &self,
        cell: &Key,
        expected: Bytes,
        value: Option<Bytes>,
    ) -> bool {
        self.stored(LocalCommand::CompareAndStore { cell: cell.clone(), expected, value }).await
    }

    /// Appends to a queue.
    pub async fn push(&self, queue: &Key, value: Bytes) {
        self.stored(LocalCommand::Push { queue: queue.clone(), value }).await;
    }

    /// Takes the oldest entry of a queue.
    pub async fn pop(&self, queue: &Key) -> Option<Bytes> {
        self.value(LocalCommand::Pop { queue: queue.clone() }).await
    }
}

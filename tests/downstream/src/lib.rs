//! A user's crate: rows of their own, and a pattern of their own.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use staleproof::entity::Entity;
use staleproof::operation::{Action, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::step::{ColumnKind, Columns, Key, RowId, Table, TableSpec, Ttl, Value};

/// A user's session, cached for a minute.
pub struct Session;

impl Entity for Session {
    fn name(&self) -> &'static str {
        "session"
    }

    fn tables(&self) -> Vec<TableSpec> {
        let columns = vec![("visits".to_owned(), ColumnKind::Integer)];
        vec![TableSpec { name: "session".to_owned(), columns }]
    }

    fn key(&self, _: Table, id: RowId) -> Key {
        Key::from(format!("s/{}", id.0))
    }

    fn ttl(&self) -> Ttl {
        Ttl::seconds(60)
    }

    fn contents(&self, _: Table, _: RowId, random: &mut ChaCha8Rng) -> Columns {
        Arc::new([Value::Integer(random.random_range(0..10))])
    }

    fn change(&self, _: Table, _: &Columns, draw: u64) -> Columns {
        Arc::new([Value::Integer((draw >> 8) as i64)])
    }

    fn encode(&self, columns: &[Value], out: &mut Vec<u8>) {
        if let [Value::Integer(visits)] = columns {
            out.extend_from_slice(visits.to_string().as_bytes());
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<Columns> {
        let visits = std::str::from_utf8(bytes).ok()?.parse().ok()?;
        Some(Arc::new([Value::Integer(visits)]))
    }
}

/// Cache-aside the wrong way round: the entry is deleted before the database is written.
pub async fn delete_first(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    match op.action {
        Action::Read(id) => {
            let key = cx.key(id);
            if let Some(hit) = cx.cache.get(&key).await? {
                return Ok(Reply::Row(Some(cx.open(&hit)?)));
            }
            let row = cx.db.select(id).await?;
            if let Some(row) = &row {
                cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
            }
            Ok(Reply::Row(row))
        }
        Action::Update(id, columns) => {
            cx.cache.delete(&cx.key(id)).await?;
            cx.db.update(id, &columns).await?;
            Ok(Reply::Written)
        }
        _ => Err(Failure::GaveUp("sessions are only read and updated")),
    }
}

/// What the binary and the tests run with.
pub fn registry() -> Registry {
    Registry::built_in().entity(Session).pattern(
        "delete-first",
        "delete, then update",
        delete_first,
    )
}

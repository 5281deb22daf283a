//! A connection together with the statements prepared on it.
//!
//! rusqlite's own cache of statements looks each up by its text: a sixth of the time that a
//! statement takes. Here their places are known.

use std::ptr::NonNull;

use rusqlite::{Connection, Statement};

use super::sql::Statements;
use crate::step::Table;

/// The statements that are kept, of each table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Select,
    Insert,
    Update,
    UpdateIf,
    Delete,
}

const KINDS: usize = 5;

/// A connection and its statements.
pub(super) struct Held {
    /// They borrow the connection, for as long as this value lives.
    statements: Vec<Option<Statement<'static>>>,
    connection: NonNull<Connection>,
}

// SAFETY: neither a pointer nor a statement is `Send`, because the connection might stay behind
// on another thread. Here all move together (a `Connection` is `Send`), and whoever has
// `&mut Held` has all of it to itself.
unsafe impl Send for Held {}

impl Held {
    pub fn new(connection: Connection) -> Held {
        let connection = NonNull::from(Box::leak(Box::new(connection)));
        Held { statements: Vec::new(), connection }
    }

    pub fn connection(&self) -> &Connection {
        // SAFETY: `new` boxed it, only `drop` frees it, and it is never lent mutably.
        unsafe { self.connection.as_ref() }
    }

    /// To be called when the tables have become others.
    pub fn forget_statements(&mut self) {
        self.statements.clear();
    }

    /// A statement, prepared when it is first used. It must not be kept beyond this value, and
    /// none of another connection be put in its place.
    pub fn statement(
        &mut self,
        tables: &[Statements],
        table: Table,
        which: Which,
    ) -> rusqlite::Result<&mut Statement<'static>> {
        let place = usize::from(table.0) * KINDS + which as usize;
        if self.statements.len() <= place {
            self.statements.resize_with(tables.len() * KINDS, || None);
        }
        let statement = &mut self.statements[place];
        if statement.is_none() {
            // SAFETY: as in `connection`; and `drop` drops all statements before it.
            let connection: &'static Connection = unsafe { self.connection.as_ref() };
            *statement = Some(connection.prepare(tables[usize::from(table.0)].sql(which))?);
        }
        Ok(statement.as_mut().expect("it was just prepared"))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.statements.clear();
        // SAFETY: `new` took it from a box, and what borrowed it is gone.
        drop(unsafe { Box::from_raw(self.connection.as_ptr()) });
    }
}

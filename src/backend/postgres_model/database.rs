//! The model as a database of a run.

use std::any::Any;
use std::hash::Hasher;

use super::{Postgres, Waiting};
use crate::backend::{BackendError, Database, Submitted};
use crate::operation::OpKind;
use crate::step::{
    ConnectionId, DbCommand, DbReply, Footprint, Isolation, Location, Row, RowId, Table, TableSpec,
};

impl Database for Postgres {
    fn describe(&self) -> String {
        let level = match self.isolation {
            Isolation::RepeatableRead => "repeatable read",
            _ => "read committed",
        };
        format!("model of PostgreSQL ({level})")
    }

    fn create(&mut self, _: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), BackendError> {
        self.reset(rows);
        Ok(())
    }

    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<Submitted, BackendError> {
        let asked = *command == DbCommand::Begin(Isolation::Serializable);
        if asked || self.isolation == Isolation::Serializable {
            return Err(BackendError {
                server: "model:postgres".to_owned(),
                problem: "the model has no serializable transactions; use a real PostgreSQL"
                    .to_owned(),
            });
        }
        let executed = self.execute(connection, command, footprint);
        Ok(match executed {
            Ok(reply) => {
                self.rest(connection, footprint);
                Submitted::Done(reply)
            }
            Err(stage) => {
                self.waiting.push(Waiting { connection, command: command.clone(), stage });
                Submitted::Blocked
            }
        })
    }

    fn woken(
        &mut self,
        footprint: &mut Footprint,
    ) -> Result<Vec<(ConnectionId, DbReply)>, BackendError> {
        Ok(self.settle(footprint))
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        footprint: &mut Footprint,
    ) -> Result<(), BackendError> {
        if let Some(place) = self.waiting.iter().position(|w| w.connection == connection) {
            let waiting = self.waiting.remove(place);
            footprint.write(|| Location::DatabaseLock);
            if let Some((table, id)) = waiting.command.row() {
                footprint.write(|| Location::Lock(table, id));
            }
            self.give_up_queue(connection);
        }
        self.end(connection, false, footprint);
        Ok(())
    }

    fn would_change(&self, table: Table, row: RowId, how: OpKind) -> Option<bool> {
        let record = self.records.get(&(table, row));
        let latest = record.and_then(|record| record.latest());
        let is_there = latest.is_some_and(|stored| stored.row.is_some());
        let free = record.is_none_or(|record| record.holders.is_empty());
        Some(free && is_there != (how == OpKind::Insert))
    }

    fn fingerprint(&self, into: &mut dyn Hasher) -> bool {
        let mut into = into;
        self.fingerprint_as(|connection| u64::from(connection.0), &mut into);
        true
    }

    fn save(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.clone()))
    }

    fn restore(&mut self, saved: &dyn Any) {
        self.clone_from(saved.downcast_ref().expect("it was saved here"));
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError> {
        let of_table = self.records.iter().filter(|((of, _), _)| *of == table);
        let rows = of_table.filter_map(|(_, record)| record.latest()?.row.clone());
        Ok(rows.collect())
    }
}

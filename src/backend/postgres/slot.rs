//! PostgreSQL's log of commits, through a logical replication slot.
//!
//! The slot is asked by SQL (`pg_logical_slot_peek_changes`) with the plugin `test_decoding`, which
//! every server has, and whose text is parsed here (PostgreSQL's documentation, chapter "Logical
//! Decoding"). A slot keeps its server's log from being removed, so on a server that is not ours it
//! is a temporary one, which goes with its connection.

use std::time::{Duration, Instant};

use postgres::Client;

use super::control::Control;
use super::session::is_lost;
use super::{Postgres, text};
use crate::backend::BackendError;
use crate::backend::feed::{Change, Feed};
use crate::operation::OpId;
use crate::step::{Row, RowId, Table, Value};

/// Lines of an answer; a transaction is never cut.
const BATCH: i32 = 1_000;
const DROP: &str = "SELECT pg_drop_replication_slot($1)";
/// A server that is restarted is waited for so long, and looked for so often.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Where each ends, and its changes.
type Transactions = Vec<(u64, Vec<Change>)>;

pub(super) struct Slot {
    control: Control,
    place: String,
    name: String,
    temporary: bool,
    /// The table, as the plugin writes it.
    table: String,
    /// Columns of its rows.
    columns: usize,
    /// Where the last transaction ended that was read.
    read_to: u64,
    /// Where the last transaction ended whose reading the server has been told of.
    told_to: u64,
}

impl Slot {
    /// Begins with the next commit.
    pub fn open(postgres: &Postgres) -> Result<Slot, String> {
        let table = &postgres.tables[usize::from(Table(0).0)];
        let mut slot = Slot {
            control: Control::open(&postgres.config)?,
            place: postgres.place.clone(),
            // A schema's name is unique, and its characters are all allowed in a slot's.
            name: format!("{}_log", postgres.schema),
            temporary: postgres.running.is_none(),
            table: format!("table {}: ", table.name),
            columns: table.select_where.len(),
            read_to: 0,
            told_to: 0,
        };
        slot.create().map_err(|problem| {
            let remedy = "set `wal_level = logical` and a free replication slot on the server, or \
                          leave the URL out";
            format!("the log of commits cannot be read: {problem}; {remedy}")
        })?;
        Ok(slot)
    }

    fn create(&mut self) -> Result<(), String> {
        let create = "SELECT pg_create_logical_replication_slot($1, 'test_decoding', $2)";
        let (name, temporary) = (self.name.clone(), self.temporary);
        let created = self.control.ask_once(move |log| log.query_one(create, &[&name, &temporary]));
        created?.map(|_| ()).map_err(|error| text(&error))
    }

    /// Asks the server; on a new connection where the old one is gone.
    fn ask<T: Send + 'static>(
        &mut self,
        question: impl Fn(&mut Client, &str) -> Result<T, postgres::Error> + Clone + Send + 'static,
    ) -> Result<T, BackendError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (question, name) = (question.clone(), self.name.clone());
            let answer = self.control.ask_once(move |client| question(client, &name));
            match answer.map_err(|problem| self.broken(problem))? {
                Err(error) if is_lost(&error) && Instant::now() < deadline => {
                    std::thread::sleep(PAUSE);
                    if self.control.connect_again().is_ok() && self.temporary {
                        // The old one went with its connection, and with it what was unread.
                        self.create().map_err(|problem| self.broken(problem))?;
                        (self.read_to, self.told_to) = (0, 0);
                    }
                }
                answer => return answer.map_err(|error| self.broken(text(&error))),
            }
        }
    }

    /// Tells the server of all that was read.
    fn tell(&mut self) -> Result<(), BackendError> {
        if self.read_to > self.told_to {
            let advance =
                "SELECT pg_replication_slot_advance($1, '0/0'::pg_lsn + $2::bigint::numeric)";
            let read_to = self.read_to as i64;
            self.ask(move |log, name| log.query_one(advance, &[&name, &read_to]))?;
            self.told_to = self.read_to;
        }
        Ok(())
    }

    fn broken(&self, problem: String) -> BackendError {
        BackendError { server: self.place.clone(), problem }
    }

    /// The first transactions that the server has not been told of, as many as make up so many
    /// lines of its answer, and how many lines it had.
    fn transactions(&mut self, lines: Option<i32>) -> Result<(Transactions, usize), BackendError> {
        let peek = "SELECT (lsn - '0/0')::bigint, data FROM pg_logical_slot_peek_changes($1, \
                    NULL, $2, 'include-xids', '0', 'skip-empty-xacts', '1')";
        let rows = self.ask(move |log, name| log.query(peek, &[&name, &lines]))?;
        let count = rows.len();
        let mut transactions = Vec::new();
        let mut changes = Vec::new();
        for row in rows {
            let (position, data): (i64, &str) = (row.get(0), row.get(1));
            if data.starts_with("COMMIT") {
                transactions.push((position as u64, std::mem::take(&mut changes)));
            } else if let Some(data) = data.strip_prefix(&self.table) {
                let change = change(data, self.columns).ok_or_else(|| BackendError {
                    server: self.place.clone(),
                    problem: format!("its log says `{data}`, which is no change of a row of ours"),
                })?;
                changes.push(change);
            }
        }
        Ok((transactions, count))
    }
}

impl Feed for Slot {
    fn read(&mut self) -> Result<Vec<Change>, BackendError> {
        let (mut new, lines) = self.transactions(Some(BATCH))?;
        new.retain(|(end, _)| *end > self.read_to);
        if new.is_empty() && lines >= BATCH as usize {
            // What has been read already is all that the answer had room for.
            self.tell()?;
            new = self.transactions(Some(BATCH))?.0;
        }
        let Some((end, _)) = new.last() else { return Ok(Vec::new()) };
        self.tell()?;
        self.read_to = *end;
        Ok(new.into_iter().flat_map(|(_, changes)| changes).collect())
    }

    fn start_anew(&mut self) -> Result<String, BackendError> {
        let all = self.transactions(None)?.0;
        let again = all.iter().filter(|(end, _)| *end <= self.read_to).count();
        self.read_to = self.told_to;
        Ok(format!("slot {} sends {again} transactions again", self.name))
    }

    fn purge(&mut self) -> Result<(u64, String), BackendError> {
        let all = self.transactions(None)?.0;
        let unread = all.iter().filter(|(end, _)| *end > self.read_to);
        let lost = unread.map(|(_, changes)| changes.len() as u64).sum();
        self.ask(|log, name| log.query_one(DROP, &[&name]))?;
        self.create().map_err(|problem| self.broken(problem))?;
        (self.read_to, self.told_to) = (0, 0);
        Ok((lost, format!("slot {} was dropped and made anew, {lost} changes unread", self.name)))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // A temporary one goes with its connection; a server that is gone has none to drop.
        if !self.temporary {
            let name = self.name.clone();
            let _ = self.control.ask_once(move |log| log.query_one(DROP, &[&name]));
        }
    }
}

/// A change as `INSERT: id[bigint]:1 version[bigint]:1 writer[bigint]:0 live[boolean]:true
/// name[text]:'it''s'`.
fn change(data: &str, columns: usize) -> Option<Change> {
    let (_, mut rest) = data.split_once(": ")?;
    let mut values = Vec::new();
    while !rest.is_empty() {
        let (value, after) = field(rest)?;
        values.push(value);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    let [Field::Number(id), Field::Number(version), Field::Number(writer), Field::Flag(live), ..] =
        values[..]
    else {
        return None;
    };
    let values: Option<Vec<Value>> = values.drain(4..).map(Field::value).collect();
    let values = values.filter(|values| values.len() == columns)?;
    let (id, version, writer) = (RowId(id as u64), version as u64, OpId(writer as u64));
    let row = live.then(|| Row { id, version, writer, columns: values.into() });
    Some(Change { id, writer, version, row })
}

enum Field {
    Null,
    Number(i64),
    Flag(bool),
    Text(String),
}

impl Field {
    fn value(self) -> Option<Value> {
        match self {
            Field::Null => Some(Value::Null),
            Field::Number(number) => Some(Value::Integer(number)),
            Field::Text(text) => Some(Value::Text(text.into())),
            Field::Flag(_) => None,
        }
    }
}

/// The first field, and what comes after it.
fn field(text: &str) -> Option<(Field, &str)> {
    let (_, text) = text.split_once("]:")?;
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (word, after) = text.split_at(text.find(' ').unwrap_or(text.len()));
        let field = match word {
            "null" => Field::Null,
            "true" => Field::Flag(true),
            "false" => Field::Flag(false),
            number => Field::Number(number.parse().ok()?),
        };
        return Some((field, after));
    };
    let mut value = String::new();
    loop {
        let (before, after) = rest.split_once('\'')?;
        value.push_str(before);
        match after.strip_prefix('\'') {
            Some(after) => {
                value.push('\'');
                rest = after;
            }
            None => return Some((Field::Text(value), after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plugin_writes_is_understood() {
        let written = "UPDATE: id[bigint]:3 version[bigint]:7 writer[bigint]:4294967297 \
                       live[boolean]:true name[text]:'it''s ]: two' price[bigint]:-5 \
                       note[text]:null";
        let found = change(written, 3).unwrap();
        assert_eq!((found.id, found.version, found.writer), (RowId(3), 7, OpId(4_294_967_297)));
        let columns = [Value::Text("it's ]: two".into()), Value::Integer(-5), Value::Null];
        assert_eq!(&*found.row.unwrap().columns, &columns[..]);
        let deleted = written.replace("live[boolean]:true", "live[boolean]:false");
        assert_eq!(change(&deleted, 3).unwrap().row, None);
        for wrong in ["DELETE: (no-tuple-data)", "UPDATE: id[bigint]:x", "TRUNCATE"] {
            assert_eq!(change(wrong, 3), None, "{wrong}");
        }
        assert_eq!(change(written, 2), None);
    }
}

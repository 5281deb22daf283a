//! Sessions of a server that is not there: what its control connection cannot do, and when.

use super::*;
use crate::step::{Columns, RowLock};

/// A server whose locks nobody can look at, and whose first session is slow.
struct Deaf {
    opened: SessionId,
}

struct Slow {
    answers_after: Duration,
}

impl Session for Slow {
    fn execute(&mut self, command: &DbCommand) -> Reaction {
        thread::sleep(self.answers_after);
        let (_, id) = command.row().expect("a statement about a row");
        let row = Row { id, version: 1, writer: crate::operation::OpId::INITIAL, columns: none() };
        Reaction::Reply(DbReply::Row(Some(row)))
    }

    fn roll_back(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn raw(&mut self, _: &[String]) -> Reaction {
        Reaction::Reply(DbReply::Done)
    }

    fn take_code(&mut self) -> Option<String> {
        None
    }
}

fn none() -> Columns {
    Vec::new().into()
}

impl Server for Deaf {
    type Session = Slow;

    fn describe(&self) -> String {
        "deaf".to_owned()
    }

    fn place(&self) -> String {
        "nowhere".to_owned()
    }

    fn create(&mut self, _: &[TableSpec], _: &[(Table, Row)]) -> Result<(), String> {
        Ok(())
    }

    fn beside(&self) -> Result<Deaf, String> {
        Err("there is one".to_owned())
    }

    fn open(&mut self) -> Result<(SessionId, Slow), String> {
        self.opened += 1;
        let slow = self.opened == 1;
        let answers_after = if slow { 10 * PROMPT } else { Duration::ZERO };
        Ok((self.opened, Slow { answers_after }))
    }

    fn all_wait(&mut self, _: &[SessionId]) -> Result<bool, String> {
        Err("the control connection is gone".to_owned())
    }

    fn cancel(&mut self, _: SessionId) -> Result<(), String> {
        Ok(())
    }

    fn rows(&mut self, _: Table) -> Result<Vec<Row>, String> {
        Ok(Vec::new())
    }

    fn terminate(&mut self, _: SessionId) -> Result<(), String> {
        Ok(())
    }

    fn means(&self) -> Means {
        unreachable!("nobody harms it")
    }

    fn keeps_transactions(&self) -> bool {
        false
    }

    fn table(&self, _: Table) -> String {
        "t".to_owned()
    }

    fn touch(&self, _: &str, _: RowId) -> Vec<String> {
        Vec::new()
    }

    fn restart(&mut self) -> Result<String, String> {
        Err("it is not there".to_owned())
    }

    fn standby(&mut self, _: Duration) -> Result<Deaf, String> {
        Err("there is one".to_owned())
    }

    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, String> {
        Err("there is none".to_owned())
    }

    fn lag_witness(&mut self) -> Option<String> {
        None
    }
}

fn select(row: u64) -> DbCommand {
    DbCommand::Select { table: Table(0), id: RowId(row), lock: RowLock::None }
}

#[test]
fn who_is_answered_late_answers_nobody_else() {
    let mut sessions = Sessions::new(Deaf { opened: 0 });
    let [first, second] = [ConnectionId(0), ConnectionId(1)];
    let submit = |sessions: &mut Sessions<Deaf>, connection, row| {
        sessions.submit(connection, &select(row), &mut Footprint::off())
    };
    assert!(submit(&mut sessions, first, 1).is_err(), "its locks cannot be looked at");
    assert_eq!(sessions.take_loss(), Some(Loss::Cut));
    assert!(submit(&mut sessions, first, 1).is_err(), "its last statement was not answered");
    sessions.close(first, &mut Footprint::off()).unwrap();
    // Long enough for both, the late answer and that to a rollback.
    thread::sleep(20 * PROMPT);
    for row in [2, 3] {
        let Ok(Submitted::Done(DbReply::Row(Some(found)))) = submit(&mut sessions, second, row)
        else {
            panic!("not a row");
        };
        assert_eq!(found.id, RowId(row));
    }
}

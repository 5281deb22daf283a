//! Scripted operations: `read 3`, `update 3 after 5ms`, `read 1,2`.

use super::{ClientPlan, PlannedOp};
use crate::operation::OpKind;
use crate::step::RowId;
use crate::time::parse_duration;

/// A line of a script: what is done to which rows, after which pause in nanoseconds.
pub fn parse_line(line: &str) -> Result<(OpKind, Vec<RowId>, u64), String> {
    let wrong = || {
        format!(
            "`{line}` is not an operation; write `read 3`, `update 3`, `modify 3`, `insert 40`, \
             `delete 3` or `read 1,2`, with ` after 5ms` for a pause"
        )
    };
    let (what, wait) = match line.split_once(" after ") {
        Some((what, wait)) => (what, parse_duration(wait)?.as_nanos() as u64),
        None => (line, 0),
    };
    let (kind, rows) = what.trim().split_once(' ').ok_or_else(wrong)?;
    let kind = [OpKind::Read, OpKind::Update, OpKind::Modify, OpKind::Insert, OpKind::Delete]
        .into_iter()
        .find(|known| known.name() == kind)
        .ok_or_else(wrong)?;
    let rows: Option<Vec<RowId>> = rows
        .split(',')
        .map(|row| row.trim().parse::<u32>().ok().map(|r| RowId(r.into())))
        .collect();
    let rows = rows.ok_or_else(wrong)?;
    if rows.len() > 1 && kind != OpKind::Read {
        return Err(format!("`{line}`: only a read is about several rows"));
    }
    Ok((kind, rows, wait))
}

/// Gives a client the operations of a script that was checked when it was loaded.
pub(super) fn fill(plan: &mut ClientPlan, lines: &[String]) {
    for line in lines {
        let Ok((kind, rows, wait)) = parse_line(line) else { continue };
        if rows.len() > 1 {
            plan.several.insert(plan.ops.len(), rows.clone());
        }
        plan.ops.push(PlannedOp::new(wait, kind, rows[0]));
    }
}

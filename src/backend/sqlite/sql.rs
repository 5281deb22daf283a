//! The SQL of our tables.

use super::NOTE;
use super::held::Which;
use crate::step::{ColumnKind, TableSpec};

/// The SQL of one table.
#[derive(Clone)]
pub(super) struct Statements {
    pub columns: usize,
    pub select: String,
    pub select_where: Vec<String>,
    pub all: String,
    pub insert: String,
    pub update: String,
    pub update_if: String,
    pub delete: String,
}

/// The tables' prefix: what bears it is ours.
const PREFIX: &str = "staleproof_";

impl Statements {
    pub fn new(table: &TableSpec) -> Statements {
        let t = format!("{PREFIX}{}", table.name);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
        let list = names.iter().map(|name| format!(", {name}")).collect::<String>();
        let marks = (0..names.len()).map(|i| format!(", ?{}", i + 3)).collect::<String>();
        let sets = names.iter().enumerate();
        let sets = sets.map(|(i, name)| format!(", {name} = ?{}", i + 3)).collect::<String>();
        let select = format!("SELECT id, version, writer{list} FROM {t}");
        let update = format!(
            "UPDATE {t} SET version = {NOTE}(version + 1), writer = ?2{sets} WHERE id = ?1"
        );
        Statements {
            columns: names.len(),
            select: format!("{select} WHERE id = ?1"),
            select_where: names
                .iter()
                .map(|name| format!("{select} WHERE {name} IS ?1 ORDER BY id"))
                .collect(),
            all: format!("{select} ORDER BY id"),
            insert: format!(
                "INSERT INTO {t} (id, version, writer{list}) VALUES (?1, 1 + coalesce((SELECT \
                 version FROM {t}_deleted WHERE id = ?1), 0), ?2{marks}) RETURNING version"
            ),
            update_if: format!("{update} AND version = ?{}", names.len() + 3),
            update,
            delete: format!("DELETE FROM {t} WHERE id = ?1 RETURNING version"),
        }
    }

    pub fn sql(&self, which: Which) -> &str {
        match which {
            Which::Select => &self.select,
            Which::Insert => &self.insert,
            Which::Update => &self.update,
            Which::UpdateIf => &self.update_if,
            Which::Delete => &self.delete,
        }
    }
}

/// Versions outlive their rows in a second table, so that delete and insert go on counting.
pub(super) fn schema(table: &TableSpec) -> String {
    let t = format!("{PREFIX}{}", table.name);
    let kind = |kind: &ColumnKind| match kind {
        ColumnKind::Integer => "INTEGER",
        ColumnKind::Text => "TEXT",
    };
    let columns = table.columns.iter();
    let columns = columns.map(|(name, k)| format!(", {name} {}", kind(k))).collect::<String>();
    format!(
        "CREATE TABLE IF NOT EXISTS {t} (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, \
         writer INTEGER NOT NULL{columns});
         CREATE TABLE IF NOT EXISTS {t}_deleted (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
         CREATE TRIGGER IF NOT EXISTS {t}_delete AFTER DELETE ON {t} BEGIN
           INSERT OR REPLACE INTO {t}_deleted VALUES (old.id, old.version + 1);
         END;
         DELETE FROM {t};
         DELETE FROM {t}_deleted;"
    )
}

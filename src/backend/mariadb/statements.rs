//! The SQL of our tables in MariaDB.

use crate::step::{ColumnKind, TableSpec};

/// The SQL of one table.
pub(super) struct Statements {
    pub name: String,
    pub select: String,
    pub select_where: Vec<String>,
    pub all: String,
    pub insert: String,
    pub update: String,
    pub update_if: String,
    pub delete: String,
}

impl Statements {
    pub fn new(namespace: &str, table: &TableSpec) -> Statements {
        let t = format!("{namespace}.{}", table.name);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
        let each = |write: &dyn Fn(&str) -> String| {
            names.iter().map(|name| write(name)).collect::<String>()
        };
        let list = each(&|name| format!(", {name}"));
        let marks = each(&|_| ", ?".to_owned());
        let sets = each(&|name| format!(", {name} = ?"));
        let replaced = each(&|name| format!(", {name} = IF(live, {name}, VALUES({name}))"));
        let select = format!("SELECT id, version, writer{list} FROM {t} WHERE live");
        // The statement's answer has no place for the version but the last inserted id.
        let counted = format!("UPDATE {t} SET version = LAST_INSERT_ID(version + 1), writer = ?");
        let update = format!("{counted}{sets} WHERE id = ? AND live");
        Statements {
            select: format!("{select} AND id = ?"),
            select_where: names
                .iter()
                .map(|name| format!("{select} AND {name} <=> ? ORDER BY id"))
                .collect(),
            all: format!("{select} ORDER BY id"),
            insert: format!(
                "INSERT INTO {t} (id, version, writer, live{list}) VALUES (?, 1, ?, 1{marks}) ON \
                 DUPLICATE KEY UPDATE version = IF(live, version, LAST_INSERT_ID(version + 1)), \
                 writer = IF(live, writer, VALUES(writer)){replaced}, live = 1"
            ),
            update_if: format!("{update} AND version = ?"),
            update,
            delete: format!("{counted}, live = 0 WHERE id = ? AND live"),
            name: t,
        }
    }

    pub fn schema(&self, table: &TableSpec) -> String {
        let kind = |kind: &ColumnKind| match kind {
            ColumnKind::Integer => "bigint",
            ColumnKind::Text => "longtext",
        };
        let columns = table.columns.iter();
        let columns = columns.map(|(name, k)| format!(", {name} {}", kind(k))).collect::<String>();
        format!(
            "CREATE TABLE {} (id bigint PRIMARY KEY, version bigint NOT NULL, writer bigint NOT \
             NULL, live tinyint NOT NULL{columns}) ENGINE = InnoDB",
            self.name
        )
    }
}

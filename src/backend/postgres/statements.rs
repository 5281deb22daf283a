//! The SQL of our tables in PostgreSQL.

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
    pub fn new(schema: &str, table: &TableSpec) -> Statements {
        let t = format!("{schema}.{}", table.name);
        let names: Vec<&str> = table.columns.iter().map(|(name, _)| name.as_str()).collect();
        let list = names.iter().map(|name| format!(", {name}")).collect::<String>();
        let marks = (0..names.len()).map(|i| format!(", ${}", i + 3)).collect::<String>();
        let sets = names.iter().enumerate();
        let sets = sets.map(|(i, name)| format!(", {name} = ${}", i + 3)).collect::<String>();
        let select = format!("SELECT id, version, writer{list} FROM {t} WHERE live");
        let counted = format!("UPDATE {t} SET version = version + 1, writer = $2");
        let update = format!("{counted}{sets} WHERE id = $1 AND live");
        Statements {
            select: format!("{select} AND id = $1"),
            select_where: names
                .iter()
                .map(|name| format!("{select} AND {name} IS NOT DISTINCT FROM $1 ORDER BY id"))
                .collect(),
            all: format!("{select} ORDER BY id"),
            insert: format!("SELECT {t}_insert($1, $2{marks})"),
            update_if: format!("{update} AND version = ${} RETURNING version", names.len() + 3),
            update: format!("{update} RETURNING version"),
            delete: format!("{counted}, live = false WHERE id = $1 AND live RETURNING version"),
            name: t,
        }
    }

    /// The table, and a function that inserts over a tombstone or fails as a plain insert
    /// does.
    pub fn schema(&self, table: &TableSpec) -> String {
        let t = &self.name;
        let kind = |kind: &ColumnKind| match kind {
            ColumnKind::Integer => "bigint",
            ColumnKind::Text => "text",
        };
        let each = |write: &dyn Fn(usize, &str, &str) -> String| {
            let columns = table.columns.iter().enumerate();
            columns.map(|(i, (name, k))| write(i, name, kind(k))).collect::<String>()
        };
        let columns = each(&|_, name, kind| format!(", {name} {kind}"));
        let types = each(&|_, _, kind| format!(", {kind}"));
        let names = each(&|_, name, _| format!(", {name}"));
        let marks = each(&|i, _, _| format!(", ${}", i + 3));
        let sets = each(&|_, name, _| format!(", {name} = excluded.{name}"));
        format!(
            "CREATE TABLE {t} (id bigint PRIMARY KEY, version bigint NOT NULL, writer bigint NOT \
             NULL, live boolean NOT NULL DEFAULT true{columns});
             CREATE FUNCTION {t}_insert(bigint, bigint{types}) RETURNS bigint LANGUAGE plpgsql AS \
             $function$
             DECLARE counted bigint;
             BEGIN
               INSERT INTO {t} AS t (id, version, writer{names}) VALUES ($1, 1, $2{marks})
               ON CONFLICT (id) DO UPDATE SET version = t.version + 1, writer = excluded.writer, \
             live = true{sets} WHERE NOT t.live RETURNING t.version INTO counted;
               IF NOT FOUND THEN
                 RAISE unique_violation USING MESSAGE = 'duplicate key';
               END IF;
               RETURN counted;
             END $function$;"
        )
    }
}

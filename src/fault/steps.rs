//! Sets of steps, as fault rules name them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which server a step goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Server {
    /// A cache node.
    Cache,
    /// The database.
    Database,
}

/// A set of steps, written `server.step`.
///
/// `server` is `cache`, `db` or `*`; `step` is a command's name, `*`, `write` (whatever can
/// change what others read) or, for the database, `commit` (a commit, or a write that
/// commits itself).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPattern {
    server: Option<Server>,
    step: StepSet,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum StepSet {
    All,
    Writes,
    Commits,
    Named(&'static str),
}

/// The cache's step names, as in rules and timelines.
pub const CACHE_STEPS: [&str; 17] = [
    "get",
    "gat",
    "set",
    "add",
    "replace",
    "append",
    "prepend",
    "cas",
    "delete",
    "touch",
    "incr",
    "decr",
    "flush-all",
    "meta-get",
    "meta-set",
    "meta-delete",
    "meta-arithmetic",
];

/// The database's step names.
pub const DATABASE_STEPS: [&str; 8] =
    ["begin", "rollback", "select", "select-where", "insert", "update", "delete", "read-log"];

/// What a pattern looks at in a step.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'a> {
    /// The server it goes to.
    pub server: Server,
    /// The command's name.
    pub name: &'a str,
    /// Whether it can change what others read.
    pub writes: bool,
    /// Whether it makes changes of the database permanent.
    pub commits: bool,
}

impl StepPattern {
    /// Whether the step belongs to the set.
    pub fn matches(&self, step: &StepView<'_>) -> bool {
        self.server.is_none_or(|server| server == step.server)
            && match self.step {
                StepSet::All => true,
                StepSet::Writes => step.writes,
                StepSet::Commits => step.commits,
                StepSet::Named(name) => name == step.name,
            }
    }

    /// Whether it names a step that only reads, or that no write depends on.
    pub(crate) fn only_reads(&self) -> bool {
        const READS: [&str; 8] =
            ["get", "gat", "meta-get", "begin", "rollback", "select", "select-where", "read-log"];
        matches!(self.step, StepSet::Named(name) if READS.contains(&name))
    }

    /// The server that the pattern names, if it names one.
    pub fn server(&self) -> Option<Server> {
        self.server
    }
}

impl FromStr for StepPattern {
    type Err = String;

    fn from_str(text: &str) -> Result<StepPattern, String> {
        if text == "*" {
            return Ok(StepPattern { server: None, step: StepSet::All });
        }
        let wrong = || {
            format!(
                "`{text}` is not a step; write `cache.STEP` with one of {}, or `db.STEP` with one \
                 of {}, `commit`; `*` and `write` stand for all and for all writes",
                CACHE_STEPS.join(", "),
                DATABASE_STEPS.join(", ")
            )
        };
        let (server, step) = text.split_once('.').ok_or_else(wrong)?;
        let (server, names): (_, &[&'static str]) = match server {
            "cache" => (Server::Cache, &CACHE_STEPS),
            "db" => (Server::Database, &DATABASE_STEPS),
            _ => return Err(wrong()),
        };
        let step = match step {
            "*" => StepSet::All,
            "write" => StepSet::Writes,
            "commit" if server == Server::Database => StepSet::Commits,
            name => StepSet::Named(names.iter().find(|known| **known == name).ok_or_else(wrong)?),
        };
        Ok(StepPattern { server: Some(server), step })
    }
}

impl fmt::Display for StepPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = match self.server {
            None => return f.write_str("*"),
            Some(Server::Cache) => "cache",
            Some(Server::Database) => "db",
        };
        let step = match self.step {
            StepSet::All => "*",
            StepSet::Writes => "write",
            StepSet::Commits => "commit",
            StepSet::Named(name) => name,
        };
        write!(f, "{server}.{step}")
    }
}

impl Serialize for StepPattern {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepPattern {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<StepPattern, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for StepPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut names = vec!["*".to_owned()];
        names.extend(["*", "write"].map(|step| format!("cache.{step}")));
        names.extend(CACHE_STEPS.map(|step| format!("cache.{step}")));
        names.extend(["*", "write", "commit"].map(|step| format!("db.{step}")));
        names.extend(DATABASE_STEPS.map(|step| format!("db.{step}")));
        schemars::json_schema!({
            "description": "a set of steps, written `server.step`",
            "enum": names,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_patterns_read_as_written() {
        for text in ["*", "cache.*", "cache.write", "cache.set", "db.commit", "db.select", "db.*"] {
            assert_eq!(text.parse::<StepPattern>().unwrap().to_string(), text);
        }
        for text in ["", "set", "cache.commit", "cache.sett", "disk.write"] {
            assert!(text.parse::<StepPattern>().is_err(), "{text}");
        }
    }
}

//! Whose rules the database model follows.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A database that the model behaves like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// SQLite in WAL mode: one writer, snapshots.
    #[default]
    Sqlite,
    /// PostgreSQL; `isolation` chooses between read committed and repeatable read.
    Postgres,
    /// PostgreSQL at repeatable read.
    PostgresRr,
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 3] = [Profile::Sqlite, Profile::Postgres, Profile::PostgresRr];

    /// The name as in scenarios and after `model:`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Sqlite => "sqlite",
            Profile::Postgres => "postgres",
            Profile::PostgresRr => "postgres-rr",
        }
    }

    /// Whether nothing was said.
    pub fn is_default(&self) -> bool {
        *self == Profile::default()
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Profile, String> {
        Profile::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| {
            let names = Profile::ALL.map(Profile::name).join("`, `");
            format!("the model has no profile `{text}`; it has `{names}`")
        })
    }
}

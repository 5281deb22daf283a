//! Which database a run is made on, as `--database` says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::backend::url::{ServerPlace, ServerUrl};
use crate::scenario::Profile;

/// The database of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DatabaseChoice {
    /// The model, with the profile that the scenario names.
    Model,
    /// The model with this profile.
    ModelOf(Profile),
    /// SQLite: in memory, or in a temporary WAL file where the pattern opens transactions.
    #[default]
    Sqlite,
    /// SQLite in this file.
    SqliteFile(PathBuf),
    /// A real PostgreSQL.
    Postgres(ServerPlace),
    /// A real MariaDB.
    MariaDb(ServerPlace),
}

const SHAPE: &str = "write `model`, `model:PROFILE`, `sqlite`, `sqlite:FILE`, `postgres`, \
                     `postgres:FOLDER` with the folder of the programs, \
                     `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or the same with `mariadb`";

impl FromStr for DatabaseChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DatabaseChoice, String> {
        let (name, rest) = match text.split_once(':') {
            Some((name, rest)) => (name, Some(rest)),
            None => (text, None),
        };
        match (name, rest) {
            ("model", None) => Ok(DatabaseChoice::Model),
            ("model", Some(profile)) => profile.parse().map(DatabaseChoice::ModelOf),
            ("sqlite", None) => Ok(DatabaseChoice::Sqlite),
            ("sqlite", Some(file)) if !file.is_empty() => {
                Ok(DatabaseChoice::SqliteFile(PathBuf::from(file)))
            }
            ("postgres", rest) => place("postgres", text, rest).map(DatabaseChoice::Postgres),
            ("mariadb", rest) => place("mariadb", text, rest).map(DatabaseChoice::MariaDb),
            ("postgresql", Some(rest)) if rest.starts_with("//") => {
                let url = ServerUrl::parse("postgresql", text)?;
                Ok(DatabaseChoice::Postgres(ServerPlace::Url(url)))
            }
            _ => Err(SHAPE.to_owned()),
        }
    }
}

fn place(scheme: &str, text: &str, rest: Option<&str>) -> Result<ServerPlace, String> {
    match rest {
        None => Ok(ServerPlace::Own(None)),
        Some(rest) if rest.starts_with("//") => {
            ServerUrl::parse(scheme, text).map(ServerPlace::Url)
        }
        Some("") => Err(SHAPE.to_owned()),
        Some(folder) => Ok(ServerPlace::Own(Some(PathBuf::from(folder)))),
    }
}

/// As it can be written after `--database`, passwords masked.
impl fmt::Display for DatabaseChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = |f: &mut fmt::Formatter<'_>, name: &str, place: &ServerPlace| match place {
            ServerPlace::Own(None) => f.write_str(name),
            ServerPlace::Own(Some(folder)) => write!(f, "{name}:{}", folder.display()),
            ServerPlace::Url(url) => f.write_str(&url.masked()),
        };
        match self {
            DatabaseChoice::Model => f.write_str("model"),
            DatabaseChoice::ModelOf(profile) => write!(f, "model:{profile}"),
            DatabaseChoice::Sqlite => f.write_str("sqlite"),
            DatabaseChoice::SqliteFile(file) => write!(f, "sqlite:{}", file.display()),
            DatabaseChoice::Postgres(place) => server(f, "postgres", place),
            DatabaseChoice::MariaDb(place) => server(f, "mariadb", place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases_read_as_written() {
        for text in [
            "model",
            "model:postgres-rr",
            "sqlite",
            "sqlite:x.db",
            "postgres",
            "postgres:/opt/pg/bin",
            "mariadb",
        ] {
            assert_eq!(text.parse::<DatabaseChoice>().unwrap().to_string(), text);
        }
        for wrong in ["", "sqlite:", "oracle", "postgres:", "model:oracle", "postgres://x"] {
            assert!(wrong.parse::<DatabaseChoice>().is_err(), "{wrong}");
        }
        let secret: DatabaseChoice = "postgres://a:geheim@h/d".parse().unwrap();
        assert_eq!(secret.to_string(), "postgres://a:***@h/d");
        assert!(!format!("{secret:?}").contains("geheim"));
    }
}

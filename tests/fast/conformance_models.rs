//! The suite of `common/conformance` on what needs no server: the models, and SQLite; and that every
//! implementation of the two traits is in its list.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::conformance::{CACHES, DATABASES, cache, database};
use staleproof::backend::Database;
use staleproof::backend::database_model::Model;
use staleproof::backend::memcached_model::{Limits, Nodes};
use staleproof::backend::postgres_model::Postgres;
use staleproof::step::Isolation;

#[test]
fn the_cache_model_conforms() {
    cache::conform("model", &mut Nodes::new(Limits::default(), &[0]));
}

#[test]
fn the_database_models_conform() {
    let models: [(&str, Box<dyn Database>); 3] = [
        ("model:sqlite", Box::new(Model::new())),
        ("model:postgres", Box::new(Postgres::new(Isolation::Default))),
        ("model:postgres-rr", Box::new(Postgres::new(Isolation::RepeatableRead))),
    ];
    for (name, mut model) in models {
        database::conform(name, &mut *model);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_conforms() {
    use staleproof::backend::sqlite::Sqlite;

    database::conform("sqlite in memory", &mut Sqlite::in_memory().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("conformance.db");
    database::conform("sqlite in a file", &mut Sqlite::file(&file).unwrap());
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// The types that implement a trait: of `impl<S: Server> Database for Sessions<S> {` the last
/// name.
fn implementations(of: &str) -> BTreeSet<String> {
    let (mut files, mut found) = (Vec::new(), BTreeSet::new());
    sources(Path::new("src"), &mut files);
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            let implements = line.starts_with("impl").then(|| line.split_once(" for ")).flatten();
            if let Some((before, after)) = implements
                && before.ends_with(&format!(" {of}"))
            {
                let name = after.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_cache_and_every_database_is_in_the_list() {
    for (of, listed) in [("Cache", &CACHES[..]), ("Database", &DATABASES[..])] {
        let listed: BTreeSet<String> = listed.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(implementations(of), listed, "{of}");
    }
}

/// What is listed is run: here, or on servers in `conformance_servers.rs`.
#[test]
fn everything_listed_is_run() {
    let here = std::fs::read_to_string("tests/fast/conformance_models.rs").unwrap();
    let there = std::fs::read_to_string("tests/servers/conformance_servers.rs").unwrap();
    for (_, names) in CACHES.iter().chain(&DATABASES) {
        for name in *names {
            let name = format!("\"{name}\"");
            assert!(here.contains(&name) || there.contains(&name), "{name} is nowhere run");
        }
    }
}

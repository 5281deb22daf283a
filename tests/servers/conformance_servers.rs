//! The suite of `common/conformance` on real servers: memcached through each client, PostgreSQL,
//! MariaDB. Skipped where a server is not installed, unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(feature = "memcached", feature = "postgres", feature = "mariadb"))]

use std::path::Path;

use crate::common;
use crate::conformance::{cache, database};
use staleproof::backend::memcached::{Memcached, Protocol};
use staleproof::backend::url::ServerPlace;
use staleproof::backend::{BackendError, Cache, Database, mariadb, postgres};
use staleproof::step::Isolation;

/// The name of a client in the list; a new client does not compile without one.
fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Meta => "memcached",
        Protocol::Ascii => "memcached ascii",
        Protocol::Binary => "memcached binary",
    }
}

#[test]
fn memcached_conforms_through_each_client() {
    if !common::has_memcached() {
        return;
    }
    for protocol in [Protocol::Meta, Protocol::Ascii, Protocol::Binary] {
        let cache = Memcached::start(Path::new("memcached"), &[0]).unwrap();
        let mut cache = cache.with_protocol(protocol);
        if !cache.clock().follows() {
            let required = std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_some();
            assert!(!required, "libfaketime is not installed: apt-get install faketime");
            println!("SKIPPED: libfaketime is not installed");
            return;
        }
        cache::conform(name(protocol), &mut cache);
    }
}

fn conforms(name: &str, opened: Result<Box<dyn Database>, BackendError>) {
    match opened {
        Ok(mut database) => database::conform(name, &mut *database),
        Err(error) if std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_none() => {
            println!("SKIPPED: {error}");
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn postgresql_conforms() {
    conforms("postgres", postgres::open(&ServerPlace::Own(None), Isolation::Default));
}

#[test]
fn mariadb_conforms() {
    conforms("mariadb", mariadb::open(&ServerPlace::Own(None), Isolation::Default));
}

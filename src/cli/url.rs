//! The grammar of `--cache` and `--database`.

use std::path::PathBuf;

use crate::run::{CacheChoice, DatabaseChoice};

/// `model` or `memcached://HOST:PORT[,HOST:PORT...]`.
pub(super) fn cache(text: &str) -> Result<CacheChoice, String> {
    if text == "model" {
        return Ok(CacheChoice::Model);
    }
    let servers = text.strip_prefix("memcached://").ok_or_else(|| {
        "write `model` or `memcached://HOST:PORT`, several servers separated by commas".to_owned()
    })?;
    let servers: Vec<String> =
        servers.trim_end_matches('/').split(',').map(str::to_owned).collect();
    for server in &servers {
        let port = server.rsplit_once(':').and_then(|(host, port)| {
            port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty())
        });
        if port.is_none() {
            return Err(format!("`{server}` is not HOST:PORT, as in `127.0.0.1:11211`"));
        }
    }
    Ok(CacheChoice::Memcached(servers))
}

/// `model`, `sqlite` or `sqlite:FILE`.
pub(super) fn database(text: &str) -> Result<DatabaseChoice, String> {
    match text.split_once(':') {
        None if text == "model" => Ok(DatabaseChoice::Model),
        None if text == "sqlite" => Ok(DatabaseChoice::Sqlite),
        Some(("sqlite", file)) if !file.is_empty() => {
            Ok(DatabaseChoice::SqliteFile(PathBuf::from(file)))
        }
        _ => Err("write `model`, `sqlite` or `sqlite:FILE`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_read_as_written() {
        let two = vec!["a:1".to_owned(), "b:2".to_owned()];
        assert_eq!(cache("memcached://a:1,b:2"), Ok(CacheChoice::Memcached(two)));
        assert_eq!(cache("model"), Ok(CacheChoice::Model));
        for wrong in ["", "memcached", "memcached://", "memcached://a", "redis://a:1"] {
            assert!(cache(wrong).is_err(), "{wrong}");
        }
        assert_eq!(database("sqlite:x.db"), Ok(DatabaseChoice::SqliteFile("x.db".into())));
        for wrong in ["", "sqlite:", "oracle"] {
            assert!(database(wrong).is_err(), "{wrong}");
        }
    }
}

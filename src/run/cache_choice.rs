//! Which cache a run is made on, as `--cache` says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The cache of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheChoice {
    /// The model.
    #[default]
    Model,
    /// Real servers.
    Memcached(RealCache),
}

/// Real memcached servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RealCache {
    /// Whose they are.
    pub place: Place,
    /// Through which client they are spoken to.
    pub client: CacheClient,
    /// Whether steps wait for real time to pass.
    pub pace: Pace,
}

/// Whose servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Started by us from this program, as many as the scenario has nodes.
    Own(PathBuf),
    /// Somebody's, as `host:port`.
    Servers(Vec<String>),
}

/// The client library's protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheClient {
    /// The meta client.
    #[default]
    Meta,
    /// The classic client, in text.
    Ascii,
    /// The classic client, in binary.
    Binary,
}

/// What somebody's server's clock is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// Steps follow each other as fast as they can.
    #[default]
    None,
    /// No step happens earlier in real time than in the scheduler's.
    Real,
}

impl CacheChoice {
    /// Somebody's servers, through the meta client.
    pub fn servers(addresses: Vec<String>) -> CacheChoice {
        CacheChoice::Memcached(RealCache::new(Place::Servers(addresses)))
    }

    /// Servers of our own, from this program.
    pub fn own(binary: impl Into<PathBuf>) -> CacheChoice {
        CacheChoice::Memcached(RealCache::new(Place::Own(binary.into())))
    }
}

impl RealCache {
    /// Through the meta client, unpaced.
    pub fn new(place: Place) -> RealCache {
        RealCache { place, client: CacheClient::default(), pace: Pace::default() }
    }

    fn with_options(mut self, options: &str) -> Result<RealCache, String> {
        for option in options.split('&') {
            match option {
                "protocol=meta" => self.client = CacheClient::Meta,
                "protocol=ascii" => self.client = CacheClient::Ascii,
                "protocol=binary" => self.client = CacheClient::Binary,
                "clock=paced" if matches!(self.place, Place::Servers(_)) => {
                    self.pace = Pace::Real;
                }
                _ => {
                    return Err(format!(
                        "`{option}` is not an option of a cache; write `protocol=meta`, \
                         `protocol=ascii`, `protocol=binary`, or `clock=paced` with a server's \
                         address"
                    ));
                }
            }
        }
        Ok(self)
    }
}

impl FromStr for CacheChoice {
    type Err = String;

    /// `model`, `memcached[:PROGRAM]` or `memcached://HOST:PORT[,HOST:PORT...]`; the last two
    /// with options: `?protocol=meta|ascii|binary`, `clock=paced`.
    fn from_str(text: &str) -> Result<CacheChoice, String> {
        let (name, options) = match text.split_once('?') {
            Some((name, options)) => (name, Some(options)),
            None => (text, None),
        };
        let place = match name {
            "model" if options.is_none() => return Ok(CacheChoice::Model),
            "memcached" => Place::Own(PathBuf::from("memcached")),
            name => match (name.strip_prefix("memcached://"), name.strip_prefix("memcached:")) {
                (Some(servers), _) => Place::Servers(addresses(servers)?),
                (None, Some(program)) if !program.is_empty() => Place::Own(PathBuf::from(program)),
                _ => {
                    return Err("write `model`, `memcached`, `memcached:PROGRAM` or \
                                `memcached://HOST:PORT`, several servers separated by commas"
                        .to_owned());
                }
            },
        };
        let cache = RealCache::new(place);
        let cache = match options {
            Some(options) => cache.with_options(options)?,
            None => cache,
        };
        Ok(CacheChoice::Memcached(cache))
    }
}

fn addresses(servers: &str) -> Result<Vec<String>, String> {
    let servers: Vec<String> =
        servers.trim_end_matches('/').split(',').map(str::to_owned).collect();
    for (place, server) in servers.iter().enumerate() {
        let port = server.rsplit_once(':').and_then(|(host, port)| {
            port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty())
        });
        if port.is_none() {
            return Err(format!("`{server}` is not HOST:PORT, as in `127.0.0.1:11211`"));
        }
        if servers[..place].contains(server) {
            return Err(format!("`{server}` is given twice; each node is a server of its own"));
        }
    }
    Ok(servers)
}

impl fmt::Display for CacheChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CacheChoice::Memcached(cache) = self else { return f.write_str("model") };
        match &cache.place {
            Place::Own(program) if program.as_os_str() == "memcached" => write!(f, "memcached")?,
            Place::Own(program) => write!(f, "memcached:{}", program.display())?,
            Place::Servers(servers) => write!(f, "memcached://{}", servers.join(","))?,
        }
        let client = match cache.client {
            CacheClient::Meta => None,
            CacheClient::Ascii => Some("protocol=ascii"),
            CacheClient::Binary => Some("protocol=binary"),
        };
        let pace = (cache.pace == Pace::Real).then_some("clock=paced");
        let options: Vec<&str> = client.into_iter().chain(pace).collect();
        match options.is_empty() {
            true => Ok(()),
            false => write!(f, "?{}", options.join("&")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_read_as_written() {
        for text in [
            "model",
            "memcached",
            "memcached:/opt/memcached",
            "memcached?protocol=binary",
            "memcached://a:1",
            "memcached://a:1,b:2?protocol=ascii&clock=paced",
        ] {
            assert_eq!(text.parse::<CacheChoice>().map(|c| c.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn wrong_caches_are_refused() {
        for wrong in [
            "",
            "memcached:",
            "memcached://",
            "memcached://a",
            "memcached://a:0",
            "memcached://a:1,a:1",
            "memcached?protocol=udp",
            "memcached?clock=paced",
            "model?protocol=ascii",
            "redis://a:1",
        ] {
            assert!(wrong.parse::<CacheChoice>().is_err(), "{wrong}");
        }
    }
}

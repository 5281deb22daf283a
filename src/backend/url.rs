//! Where a database server is, as users write it, and what may be done there.

use std::path::PathBuf;

/// `SCHEME://USER[:PASSWORD]@HOST[:PORT][/DATABASE][?namespace=staleproof_NAME&reset=yes]`.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// The scheme, for showing it.
    pub scheme: String,
    /// The user.
    pub user: String,
    /// The password, never shown.
    pub password: Option<String>,
    /// The host.
    pub host: String,
    /// The port, where it is not the usual one.
    pub port: Option<u16>,
    /// The database to connect to.
    pub database: Option<String>,
    /// The namespace for our tables; by default one of its own for each process.
    pub namespace: Option<String>,
    /// Tables of an earlier run in that namespace may be emptied.
    pub reset: bool,
}

/// How a database server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerPlace {
    /// One of our own, with programs from this folder or from where they usually are.
    Own(Option<PathBuf>),
    /// One that runs already.
    Url(ServerUrl),
}

impl std::fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.masked())
    }
}

/// What namespaces of ours begin with.
const PREFIX: &str = "staleproof_";

impl ServerUrl {
    /// Reads a URL with this scheme.
    pub fn parse(scheme: &str, text: &str) -> Result<ServerUrl, String> {
        let shape = format!("{scheme}://USER[:PASSWORD]@HOST[:PORT][/DATABASE]");
        let rest = text.strip_prefix(scheme).and_then(|rest| rest.strip_prefix("://"));
        let rest = rest.ok_or_else(|| format!("write it as {shape}"))?;
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may contain an `@`, a host cannot.
        let (login, place) = rest
            .rsplit_once('@')
            .ok_or_else(|| format!("there is no user in the URL; write it as {shape}"))?;
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, Some(decode(password)?)),
            None => (login, None),
        };
        let (place, database) = match place.split_once('/') {
            Some((place, "")) => (place, None),
            Some((place, database)) => (place, Some(database.to_owned())),
            None => (place, None),
        };
        let (host, port) = match place.rsplit_once(':') {
            None => (place, None),
            Some((host, port)) => match port.parse::<u16>() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return Err(format!("`{port}` is not a port; write it as {shape}")),
            },
        };
        if user.is_empty() || host.is_empty() {
            return Err(format!("user or host is empty; write it as {shape}"));
        }
        let mut url = ServerUrl {
            scheme: scheme.to_owned(),
            user: decode(user)?,
            password,
            host: host.to_owned(),
            port,
            database,
            namespace: None,
            reset: false,
        };
        for option in options.split('&').filter(|option| !option.is_empty()) {
            url.option(option)?;
        }
        Ok(url)
    }

    fn option(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            Some(("namespace", name)) => {
                let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                if !name.starts_with(PREFIX) || !name.chars().all(fine) || name.len() > 60 {
                    return Err(format!(
                        "namespace `{name}` must begin with `{PREFIX}` and have only lower-case \
                         letters, digits and underscores"
                    ));
                }
                self.namespace = Some(name.to_owned());
            }
            Some(("reset", "yes")) => self.reset = true,
            _ => {
                let known = "`namespace=staleproof_NAME` and `reset=yes`";
                return Err(format!("unknown option `{option}` in the URL; known are {known}"));
            }
        }
        Ok(())
    }

    /// The URL with its password masked.
    pub fn masked(&self) -> String {
        let password = if self.password.is_some() { ":***" } else { "" };
        let port = self.port.map_or(String::new(), |port| format!(":{port}"));
        let database = self.database.as_ref().map_or(String::new(), |name| format!("/{name}"));
        format!("{}://{}{password}@{}{port}{database}", self.scheme, self.user, self.host)
    }
}

/// Resolves `%41` and the like.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = tail.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("`%` in user or password must be written as %25")?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| "user and password must be UTF-8".to_owned())
}

/// A namespace that no other process and no other database of this one uses.
#[cfg(any(feature = "postgres", feature = "mariadb"))]
pub(super) fn unique_namespace() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{}_{number}", std::process::id())
}

/// Whether an existing namespace may be dropped and made anew.
#[cfg(any(test, feature = "postgres", feature = "mariadb"))]
pub(super) fn may_empty(name: &str, ours: bool, full: bool, reset: bool) -> Result<(), String> {
    match (ours, full, reset) {
        (false, _, _) => Err(format!(
            "`{name}` exists and was not made by staleproof; name another with \
             `?namespace=staleproof_NAME`"
        )),
        (true, true, false) => Err(format!(
            "`{name}` has tables of another run; if that run is over, add `&reset=yes` to the URL"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_read_as_written_and_hide_their_password() {
        let url = ServerUrl::parse("postgres", "postgres://a:p%40s@s@h:5/d?reset=yes").unwrap();
        assert_eq!((url.user.as_str(), url.host.as_str(), url.port), ("a", "h", Some(5)));
        assert_eq!(url.password.as_deref(), Some("p@s@s"));
        assert!(url.reset);
        assert_eq!(format!("{url:?}"), "postgres://a:***@h:5/d");
        assert_eq!(url.masked(), "postgres://a:***@h:5/d");
    }

    #[test]
    fn wrong_urls_are_explained() {
        for (text, word) in [
            ("postgres://h", "user"),
            ("postgres://@h", "empty"),
            ("postgres://a@h:0", "port"),
            ("postgres://a:%zz@h", "%25"),
            ("postgres://a@h?namespace=public", "staleproof_"),
            ("postgres://a@h?colour=red", "unknown option"),
        ] {
            let problem = ServerUrl::parse("postgres", text).unwrap_err();
            assert!(problem.contains(word), "{text}: {problem}");
        }
    }

    #[test]
    fn only_what_is_ours_and_given_up_is_emptied() {
        assert!(may_empty("staleproof_x", false, false, true).is_err());
        assert!(may_empty("staleproof_x", true, true, false).is_err());
        assert!(may_empty("staleproof_x", true, true, true).is_ok());
        assert!(may_empty("staleproof_x", true, false, false).is_ok());
    }
}

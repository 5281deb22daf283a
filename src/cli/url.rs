//! The grammar of `--cache` and `--database`.

use crate::run::{CacheChoice, DatabaseChoice};

/// See [`CacheChoice`].
pub(super) fn cache(text: &str) -> Result<CacheChoice, String> {
    text.parse()
}

/// See [`DatabaseChoice`].
pub(super) fn database(text: &str) -> Result<DatabaseChoice, String> {
    text.parse()
}

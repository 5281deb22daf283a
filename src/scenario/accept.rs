//! Findings that are known and accepted, each with a bound: `[accept]`.
//!
//! `commit-to-delete-window = "<= 5ms"` says that readers may see what a commit has superseded
//! for so long; `"any"` accepts a finding however long it lasts.

use super::expect::{Comparison, MetricKind, Number};

/// How long a known finding may last.
#[derive(Clone, Debug, PartialEq)]
pub enum Bound {
    /// However long, even for ever.
    Any,
    /// As the comparison says.
    Within(Comparison),
}

impl Bound {
    /// Reads the right-hand side: `"<= 5ms"` or `"any"`.
    pub fn parse(text: &str) -> Result<Bound, String> {
        match text.trim() {
            "any" => Ok(Bound::Any),
            text if text.starts_with("<=") || text.starts_with('<') => {
                let value = toml::Value::String(text.to_owned());
                Comparison::parse(&value, MetricKind::Duration).map(Bound::Within)
            }
            text => Err(format!("`{text}` is not a bound; write \"<= 5ms\", or \"any\"")),
        }
    }

    /// Whether a finding that lasted so long is accepted; `None` when it does not end by itself.
    pub fn allows(&self, nanos: Option<u64>) -> bool {
        match (self, nanos) {
            (Bound::Any, _) => true,
            (Bound::Within(_), None) => false,
            (Bound::Within(comparison), Some(nanos)) => comparison.holds(Number::Whole(nanos)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_allow_what_they_say() {
        let bound = Bound::parse("<= 5ms").unwrap();
        assert!(bound.allows(Some(5_000_000)));
        assert!(!bound.allows(Some(5_000_001)));
        assert!(!bound.allows(None));
        assert!(!Bound::parse("< 5ms").unwrap().allows(Some(5_000_000)));
        assert!(Bound::parse("any").unwrap().allows(None));
        for wrong in ["5ms", ">= 5ms", "<= 5", "", "== 5ms"] {
            assert!(Bound::parse(wrong).is_err(), "{wrong}");
        }
    }
}

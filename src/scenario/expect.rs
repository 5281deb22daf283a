//! The grammar of expectations: `0`, `true`, `">= 0.5"`, `"<= 300s"`, `"> 0"`, `"holds"`.

use std::fmt;

use crate::time::parse_duration;

/// What a metric is, and so what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number of things.
    Count,
    /// A fraction or an average.
    Ratio,
    /// A duration.
    Duration,
    /// `holds`, `violated` or `unknown`.
    Verdict,
}

/// A metric that scenarios may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricSpec {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: MetricKind,
    /// One line for users.
    pub summary: &'static str,
}

/// How a measured value must relate to a wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
}

/// One expectation about one metric. Durations are in nanoseconds, verdicts numbered
/// holds 0, violated 1, unknown 2.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    relation: Relation,
    wanted: f64,
    text: String,
}

/// The verdicts, by their numbers.
pub const VERDICTS: [&str; 3] = ["holds", "violated", "unknown"];

impl Comparison {
    /// Reads the right-hand side of an expectation.
    pub fn parse(value: &toml::Value, kind: MetricKind) -> Result<Comparison, String> {
        let text = match value {
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) if kind == MetricKind::Verdict => {
                if *truth { "holds" } else { "violated" }.to_owned()
            }
            toml::Value::String(text) => text.trim().to_owned(),
            _ => return Err("write a number, or a text such as \"<= 5\"".to_owned()),
        };
        let relations = [
            ("<=", Relation::AtMost),
            (">=", Relation::AtLeast),
            ("==", Relation::Equal),
            ("!=", Relation::NotEqual),
            ("<", Relation::Less),
            (">", Relation::More),
        ];
        let found = relations.iter().find_map(|(sign, r)| Some((*r, text.strip_prefix(sign)?)));
        let (relation, number) = found.unwrap_or((Relation::Equal, &text));
        let wanted = number_of(number.trim(), kind)?;
        Ok(Comparison { relation, wanted, text })
    }

    /// Whether a measured value is as expected.
    pub fn holds(&self, measured: f64) -> bool {
        match self.relation {
            Relation::Equal => measured == self.wanted,
            Relation::NotEqual => measured != self.wanted,
            Relation::Less => measured < self.wanted,
            Relation::AtMost => measured <= self.wanted,
            Relation::More => measured > self.wanted,
            Relation::AtLeast => measured >= self.wanted,
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn number_of(text: &str, kind: MetricKind) -> Result<f64, String> {
    match kind {
        MetricKind::Duration => parse_duration(text).map(|duration| duration.as_nanos() as f64),
        MetricKind::Verdict => VERDICTS
            .iter()
            .position(|verdict| *verdict == text)
            .map(|number| number as f64)
            .ok_or_else(|| format!("`{text}` is not a verdict; write holds, violated or unknown")),
        MetricKind::Count | MetricKind::Ratio => {
            let (number, scale) = match text.strip_suffix('%') {
                Some(percent) => (percent.trim(), 100.0),
                None => (text, 1.0),
            };
            let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a number"))?;
            match number.is_finite() && number >= 0.0 {
                true => Ok(number / scale),
                false => Err(format!("`{text}` is not a number from 0 on")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(text: &str, kind: MetricKind, measured: f64) -> bool {
        Comparison::parse(&toml::Value::String(text.to_owned()), kind).unwrap().holds(measured)
    }

    #[test]
    fn comparisons_mean_what_they_say() {
        assert!(compare("<= 300s", MetricKind::Duration, 3e11));
        assert!(!compare("< 300s", MetricKind::Duration, 3e11));
        assert!(compare(">= 50%", MetricKind::Ratio, 0.5));
        assert!(compare("0", MetricKind::Count, 0.0));
        assert!(compare("> 0", MetricKind::Count, 1.0));
        assert!(compare("!= violated", MetricKind::Verdict, 2.0));
        for (text, kind) in [
            ("much", MetricKind::Count),
            ("-1", MetricKind::Count),
            ("5", MetricKind::Duration),
            ("true", MetricKind::Verdict),
        ] {
            assert!(Comparison::parse(&toml::Value::String(text.to_owned()), kind).is_err());
        }
    }
}

//! The grammar of expectations: `0`, `true`, `">= 0.5"`, `"<= 300s"`, `"> 0"`, `"holds"`.

use std::cmp::Ordering;
use std::fmt;

use crate::time::parse_duration;

/// What a metric is, and so what it can be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number of things.
    Count,
    /// A part of a whole, from 0 to 1.
    Share,
    /// An average, from 0 on.
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

/// A measured or wanted value. Counts and nanoseconds are whole, and compared as such: as
/// floating-point numbers 2^53 and 2^53 + 1 would be the same.
#[derive(Clone, Copy, Debug)]
pub enum Number {
    /// A count, nanoseconds, or the number of a verdict.
    Whole(u64),
    /// A fraction or an average.
    Real(f64),
}

impl Number {
    /// The nearest floating-point number, for reports.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Whole(whole) => whole as f64,
            Number::Real(real) => real,
        }
    }
}

impl From<f64> for Number {
    fn from(real: f64) -> Number {
        Number::Real(real)
    }
}

impl From<u64> for Number {
    fn from(whole: u64) -> Number {
        Number::Whole(whole)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Number) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Whole(one), Number::Whole(other)) => Some(one.cmp(other)),
            (Number::Real(one), Number::Real(other)) => one.partial_cmp(other),
            (Number::Whole(whole), Number::Real(real)) => compare(*whole, *real),
            (Number::Real(real), Number::Whole(whole)) => {
                compare(*whole, *real).map(Ordering::reverse)
            }
        }
    }
}

/// Compares exactly: the whole part first, as an integer, and then what is behind the point.
fn compare(whole: u64, real: f64) -> Option<Ordering> {
    const TOO_LARGE: f64 = 18_446_744_073_709_551_616.0;
    if real.is_nan() {
        return None;
    }
    if real < 0.0 {
        return Some(Ordering::Greater);
    }
    if real >= TOO_LARGE {
        return Some(Ordering::Less);
    }
    let fraction = if real.fract() > 0.0 { Ordering::Less } else { Ordering::Equal };
    Some(whole.cmp(&(real as u64)).then(fraction))
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
    wanted: Number,
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
        Comparison { relation, wanted, text }.possible(kind)
    }

    /// Refuses what no measurement could ever meet.
    fn possible(self, kind: MetricKind) -> Result<Comparison, String> {
        let most = match kind {
            MetricKind::Share => Some((Number::Whole(1), "1")),
            MetricKind::Count => Some((Number::Whole(u64::MAX), "2^64 - 1")),
            MetricKind::Ratio | MetricKind::Duration | MetricKind::Verdict => None,
        };
        let text = &self.text;
        match (kind, most) {
            (MetricKind::Verdict, _) if !(0..3).any(|verdict| self.holds(verdict)) => {
                Err(format!("`{text}` can never be met: no verdict is so"))
            }
            (_, Some((most, name))) if self.wanted > most => {
                Err(format!("`{text}` exceeds {name}, the most that this can be"))
            }
            (_, Some((most, name))) if self.relation == Relation::More && self.wanted == most => {
                Err(format!("`{text}` can never be met: this is at most {name}"))
            }
            _ if self.relation == Relation::Less && self.wanted == Number::Whole(0) => {
                Err(format!("`{text}` can never be met: this is at least 0"))
            }
            _ => Ok(self),
        }
    }

    /// Whether a measured value is as expected.
    pub fn holds(&self, measured: impl Into<Number>) -> bool {
        let measured = measured.into();
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

fn number_of(text: &str, kind: MetricKind) -> Result<Number, String> {
    match kind {
        MetricKind::Duration => {
            parse_duration(text).map(|duration| Number::Whole(duration.as_nanos() as u64))
        }
        MetricKind::Verdict => VERDICTS
            .iter()
            .position(|verdict| *verdict == text)
            .map(|number| Number::Whole(number as u64))
            .ok_or_else(|| format!("`{text}` is not a verdict; write holds, violated or unknown")),
        MetricKind::Count | MetricKind::Share | MetricKind::Ratio => {
            if let Ok(whole) = text.parse::<u64>() {
                return Ok(Number::Whole(whole));
            }
            if kind == MetricKind::Count && text.ends_with('%') {
                return Err(format!("`{text}` is a share, but this is a number of things"));
            }
            let (number, scale) = match text.strip_suffix('%') {
                Some(percent) => (percent.trim(), 100.0),
                None => (text, 1.0),
            };
            let number: f64 = number.parse().map_err(|_| format!("`{text}` is not a number"))?;
            match number.is_finite() && number >= 0.0 {
                true => Ok(Number::Real(number / scale)),
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
        let large = |text: &str, measured: u64| {
            let text = toml::Value::String(text.to_owned());
            Comparison::parse(&text, MetricKind::Count).unwrap().holds(measured)
        };
        assert!(large("9007199254740992", 1 << 53));
        assert!(!large("9007199254740992", (1 << 53) + 1));
        assert!(large("> 9007199254740992", (1 << 53) + 1));
        assert!(large("<= 18446744073709551615", u64::MAX));
        assert!(!large("> 2.5", 2) && large("> 2.5", 3));
        for (text, kind) in [
            ("much", MetricKind::Count),
            ("-1", MetricKind::Count),
            ("5", MetricKind::Duration),
            ("50%", MetricKind::Count),
            ("true", MetricKind::Verdict),
        ] {
            assert!(Comparison::parse(&toml::Value::String(text.to_owned()), kind).is_err());
        }
    }

    #[test]
    fn what_nothing_measured_could_meet_is_refused() {
        let parse = |text: &str, kind| Comparison::parse(&toml::Value::from(text), kind);
        for (text, kind) in [
            (">= 2", MetricKind::Share),
            ("<= 150%", MetricKind::Share),
            ("> 1", MetricKind::Share),
            ("< 0", MetricKind::Share),
            ("< 0", MetricKind::Count),
            ("< 1e20", MetricKind::Count),
            ("> 18446744073709551615", MetricKind::Count),
            ("< 0s", MetricKind::Duration),
            ("< holds", MetricKind::Verdict),
        ] {
            let refusal = parse(text, kind).expect_err(text);
            assert!(refusal.contains(&format!("`{text}`")), "{refusal}");
        }
        for (text, kind) in [
            (">= 1", MetricKind::Share),
            ("100%", MetricKind::Share),
            ("<= 0", MetricKind::Count),
            ("> 2", MetricKind::Ratio),
            ("<= violated", MetricKind::Verdict),
        ] {
            assert!(parse(text, kind).is_ok(), "{text}");
        }
    }
}

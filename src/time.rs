//! Virtual time: nanoseconds since the start of a run, and how durations are written.
//!
//! Everything between plan and report counts in these units; only the backends that
//! talk to real servers know a wall clock.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point in time, in nanoseconds since the start of the run.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// The start of the run.
    pub const ZERO: Time = Time(0);
    /// Later than everything: the end of an operation that never returned.
    pub const NEVER: Time = Time(u64::MAX);
    /// At some time that the virtual clock cannot tell, as with a real server's expiry.
    pub const UNTOLD: Time = Time(u64::MAX - 1);

    /// Nanoseconds since the start of the run.
    pub fn nanos(self) -> u64 {
        self.0
    }

    /// So many nanoseconds later, at most [`Time::NEVER`].
    #[inline]
    pub fn plus_nanos(self, nanos: u64) -> Time {
        Time(self.0.saturating_add(nanos))
    }

    /// The time that passed since `earlier`, zero when `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::NEVER`].
    fn add(self, duration: Duration) -> Time {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Time(self.0.saturating_add(nanos))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Time> for Time {
    type Output = Duration;

    fn sub(self, earlier: Time) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human(self.0))
    }
}

/// A duration in nanoseconds as people write it: `0s`, `250us`, `1.5ms`, `300s`.
///
/// At most three decimals are kept (cut off, not rounded), in the largest unit that
/// leaves at least one whole; seconds are the largest.
pub fn human(nanos: u64) -> String {
    let (unit, name) = match nanos {
        0 => return "0s".to_owned(),
        1_000_000_000.. => (1_000_000_000, "s"),
        1_000_000.. => (1_000_000, "ms"),
        1_000.. => (1_000, "us"),
        _ => (1, "ns"),
    };
    let whole = nanos / unit;
    let thousandths = nanos % unit * 1_000 / unit;
    let fraction = format!("{thousandths:03}");
    match fraction.trim_end_matches('0') {
        "" => format!("{whole}{name}"),
        digits => format!("{whole}.{digits}{name}"),
    }
}

/// Reads a duration such as `250us`, `1.5ms`, `300s`, `5m`, `1h` or `0`.
///
/// Integer arithmetic only, so that a scenario means the same on every machine.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let nanos_per_unit: u64 = match unit.trim() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(expected_duration(text)),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let half = number.contains('.') && fraction.is_empty();
    let well_formed = !(whole.is_empty() || half);
    if !well_formed || fraction.contains('.') || fraction.len() > 9 {
        return Err(expected_duration(text));
    }
    let whole: u64 = whole.parse().map_err(|_| too_long(text))?;
    let nanos = whole.checked_mul(nanos_per_unit).ok_or_else(|| too_long(text))?;
    let mut part = 0;
    if !fraction.is_empty() {
        let digits: u128 = fraction.parse().map_err(|_| expected_duration(text))?;
        let scale = 10u128.pow(fraction.len() as u32);
        part = u64::try_from(digits * u128::from(nanos_per_unit) / scale)
            .expect("a fraction of a unit is smaller than the unit");
    }
    let nanos = nanos.checked_add(part).ok_or_else(|| too_long(text))?;
    Ok(Duration::from_nanos(nanos))
}

fn too_long(text: &str) -> String {
    format!("`{text}` is too long: times are counted in nanoseconds, up to `5124095h`")
}

fn expected_duration(text: &str) -> String {
    format!(
        "`{text}` is not a duration; write a number and a unit, such as `250us`, `5ms` or `300s`"
    )
}

/// A [`Duration`] as text in files: `"5ms"`.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the duration as [`super::human`] does.
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::human(duration.as_nanos() as u64))
    }

    /// Reads what [`super::parse_duration`] accepts.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        super::parse_duration(&text).map_err(serde::de::Error::custom)
    }
}

/// A duration that may be missing, as text in a document.
pub mod optional_text {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    use super::text;

    /// Writes the duration as [`text::serialize`] does.
    pub fn serialize<S: Serializer>(d: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        match d {
            Some(duration) => text::serialize(duration, to),
            None => to.serialize_none(),
        }
    }

    /// Reads what [`text::deserialize`] does: what is there is a duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        text::deserialize(from).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_written() {
        for (text, nanos) in [
            ("0", 0),
            ("7ns", 7),
            ("250us", 250_000),
            ("1.5ms", 1_500_000),
            ("300s", 300_000_000_000),
            ("5m", 300_000_000_000),
            ("0.000000001s", 1),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["", "5", "ms", "1.ms", ".5s", "-1s", "1e3s", "1.2.3s", "99999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_in_the_largest_whole_unit() {
        for (nanos, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5us"),
            (12_345_678, "12.345ms"),
            (300_000_000_000, "300s"),
        ] {
            assert_eq!(human(nanos), text);
        }
    }
}

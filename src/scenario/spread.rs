//! A distribution of durations that is sampled with integers only.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::seed::{Chance, below};
use crate::time::{human, parse_duration};

/// How long something takes: `200us`, `100us..300us` (each alike), or with a tail,
/// `100us..300us, 1% 20ms`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    from: u64,
    to: u64,
    tail: Option<(f64, u64)>,
}

impl Spread {
    /// Any whole number of nanoseconds between two, ends included, each alike.
    pub const fn uniform(from: u64, to: u64) -> Spread {
        Spread { from, to, tail: None }
    }

    /// The duration, in nanoseconds, for a uniform draw.
    #[inline]
    pub fn sample(&self, draw: u64) -> u64 {
        if let Some((share, tail)) = self.tail
            // A rotated draw, so that the tail does not take the longest of the others.
            && Chance::new(share).is_some_and(|chance| chance.strikes(draw.rotate_left(32)))
        {
            return tail;
        }
        self.from + below(draw, (self.to - self.from).saturating_add(1))
    }

    fn parse(text: &str) -> Result<Spread, String> {
        let nanos = |text: &str| parse_duration(text).map(|duration| duration.as_nanos() as u64);
        let (body, tail) = match text.split_once(',') {
            Some((body, tail)) => (body, Some(tail.trim())),
            None => (text, None),
        };
        let (from, to) = match body.split_once("..") {
            Some((from, to)) => (nanos(from)?, nanos(to)?),
            None => (nanos(body)?, nanos(body)?),
        };
        if from > to {
            return Err(format!("`{}`: the start must not exceed the end", body.trim()));
        }
        let tail = tail.map(|tail| {
            let wrong =
                || format!("`{tail}` is not a tail; write a share and a duration: `1% 20ms`");
            let (share, duration) = tail.split_once('%').ok_or_else(wrong)?;
            let share: f64 = share.trim().parse().map_err(|_| wrong())?;
            if !(0.0..=100.0).contains(&share) {
                return Err(wrong());
            }
            Ok((share / 100.0, nanos(duration)?))
        });
        Ok(Spread { from, to, tail: tail.transpose()? })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&human(self.from))?;
        if self.to != self.from {
            write!(f, "..{}", human(self.to))?;
        }
        if let Some((share, tail)) = self.tail {
            write!(f, ", {}% {}", share * 100.0, human(tail))?;
        }
        Ok(())
    }
}

impl Serialize for Spread {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Spread, D::Error> {
        let text = String::deserialize(from)?;
        Spread::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_stay_within_their_bounds() {
        let spread = Spread::parse("100us..300us, 1% 20ms").unwrap();
        assert_eq!(spread.to_string(), "100us..300us, 1% 20ms");
        let mut tails = 0;
        for i in 0..10_000_u64 {
            match spread.sample(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
                20_000_000 => tails += 1,
                nanos => assert!((100_000..=300_000).contains(&nanos)),
            }
        }
        assert!((50..200).contains(&tails), "{tails}");
        let whole = Spread::parse("0s..18446744073.709551615s").unwrap();
        assert!(whole.sample(u64::MAX) > u64::MAX / 2);
        for wrong in ["", "3", "2ms..1ms", "1ms, 5", "1ms, 200% 1s"] {
            assert!(Spread::parse(wrong).is_err(), "{wrong}");
        }
    }
}

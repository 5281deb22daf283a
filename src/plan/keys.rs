//! Which row an operation is about, from a table of 64-bit thresholds.

use crate::scenario::KeyChoice;
use crate::seed::below;

/// A distribution over row numbers. The thresholds are computed once with `libm`, so they
/// are the same on every platform; drawing compares integers.
#[derive(Clone, Debug)]
pub(super) enum KeyTable {
    Uniform(u32),
    Thresholds(Vec<u64>),
}

impl KeyTable {
    pub fn new(choice: KeyChoice, rows: u32) -> KeyTable {
        let weights: Vec<f64> = match choice {
            KeyChoice::Uniform => return KeyTable::Uniform(rows),
            KeyChoice::Zipf(theta) => zipf(rows, theta),
            KeyChoice::Latest => zipf(rows, 0.99),
            KeyChoice::Hotspot { rows: hot, share } => (0..rows)
                .map(|row| match row < hot {
                    true => share / f64::from(hot),
                    false => (1.0 - share) / f64::from((rows - hot).max(1)),
                })
                .collect(),
        };
        let total: f64 = weights.iter().sum();
        let mut sum = 0.0;
        let thresholds = weights.iter().map(|weight| {
            sum += weight;
            (sum / total * 18_446_744_073_709_551_616.0) as u64
        });
        let mut thresholds: Vec<u64> = thresholds.collect();
        if let Some(last) = thresholds.last_mut() {
            *last = u64::MAX;
        }
        KeyTable::Thresholds(thresholds)
    }

    /// The row for a uniform draw.
    pub fn sample(&self, draw: u64) -> u32 {
        match self {
            KeyTable::Uniform(rows) => below(draw, u64::from(*rows)) as u32,
            KeyTable::Thresholds(thresholds) => {
                let row = thresholds.partition_point(|threshold| *threshold <= draw);
                row.min(thresholds.len() - 1) as u32
            }
        }
    }
}

fn zipf(rows: u32, theta: f64) -> Vec<f64> {
    (1..=rows).map(|rank| 1.0 / libm::pow(f64::from(rank), theta)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    fn draw(choice: KeyChoice) -> Vec<u32> {
        let table = KeyTable::new(choice, 100);
        (0..10_000).map(|i| table.sample(Seed(1).draw(Purpose::Operations, 0, i))).collect()
    }

    #[test]
    fn zipf_prefers_the_first_rows_as_it_should() {
        let drawn = draw(KeyChoice::Zipf(1.0));
        // The harmonic number of 100 is 5.187: row 0 gets 19.3 %, row 9 1.93 %.
        let share = |row| drawn.iter().filter(|r| **r == row).count();
        assert!((1_800..2_060).contains(&share(0)), "{}", share(0));
        assert!((150..240).contains(&share(9)), "{}", share(9));
        assert_eq!(drawn[..8], [4, 7, 18, 40, 1, 25, 37, 0]);
    }

    #[test]
    fn a_hotspot_gets_its_share() {
        let drawn = draw(KeyChoice::Hotspot { rows: 2, share: 0.9 });
        let hot = drawn.iter().filter(|row| **row < 2).count();
        assert!((8_850..9_150).contains(&hot), "{hot}");
    }
}

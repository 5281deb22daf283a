//! Points in time, of which only bounds on differences are known, and whether these can be kept.

/// Points in time, and bounds on the differences of two. `at` keeps all bounds, if they can be.
#[derive(Clone, Default)]
pub struct Times {
    pub at: Vec<i64>,
    pub bounds: Vec<(usize, usize, i64)>,
}

impl Times {
    /// Bounds `a - b`; whether all bounds can be kept. A cycle of bounds that cannot be kept goes
    /// through the new one, so then relaxing comes back to `b`.
    pub fn bound(&mut self, a: usize, b: usize, most: i64) -> bool {
        self.bounds.push((a, b, most));
        let before = self.at[b];
        let mut moved = true;
        while moved && self.at[b] == before {
            moved = false;
            for &(a, b, most) in &self.bounds {
                if self.at[a] > self.at[b] + most {
                    self.at[a] = self.at[b] + most;
                    moved = true;
                }
            }
        }
        self.at[b] == before
    }

    /// The most that `a - b` can be.
    pub fn most(&self, a: usize, b: usize) -> i64 {
        let mut from = vec![i64::MAX / 2; self.at.len()];
        from[b] = 0;
        let mut moved = true;
        while moved {
            moved = false;
            for &(a, b, most) in &self.bounds {
                if from[b] < i64::MAX / 4 && from[a] > from[b] + most {
                    from[a] = from[b] + most;
                    moved = true;
                }
            }
        }
        from[a]
    }
}

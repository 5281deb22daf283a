//! Zones: sets of points in time that differences between them bound.
//!
//! A zone says of each two of its variables by how much one is later than the other at the most.
//! It is kept closed: each bound is the tightest that follows from all of them, so that a
//! variable can be left out and two zones of the same points are equal (Dill, "Timing Assumptions
//! and Verification of Finite-State Concurrent Systems", LNCS 407, 1989). Bounds are whole
//! nanoseconds: *before* is at least one earlier.

/// Nothing bounds the difference.
const FREE: i64 = i64::MAX;

/// Points in time that fulfil all bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Zone<V> {
    vars: Vec<V>,
    /// By row and column: by how much the row's variable is later than the column's at the most.
    most: Vec<i64>,
}

fn plus(a: i64, b: i64) -> i64 {
    if a == FREE || b == FREE { FREE } else { a.saturating_add(b) }
}

impl<V: Copy + PartialEq> Zone<V> {
    /// One point in time, of which nothing is known.
    pub fn of(var: V) -> Zone<V> {
        Zone { vars: vec![var], most: vec![0] }
    }

    /// The variables, in the order in which they came.
    pub fn vars(&self) -> &[V] {
        &self.vars
    }

    pub fn has(&self, var: V) -> bool {
        self.vars.contains(&var)
    }

    fn place(&self, var: V) -> usize {
        let place = self.vars.iter().position(|known| *known == var);
        place.expect("only variables that are there are bounded")
    }

    /// One more point in time, of which nothing is known.
    pub fn add(&mut self, var: V) {
        self.grow(var, |_, _| FREE);
    }

    /// One more point in time, the same as another.
    pub fn add_equal(&mut self, var: V, to: V) {
        let to = self.place(to);
        self.grow(var, |zone, place| {
            let n = zone.vars.len();
            match place {
                Cell::Row(column) => zone.most[to * n + column],
                Cell::Column(row) => zone.most[row * n + to],
            }
        });
    }

    fn grow(&mut self, var: V, bound: impl Fn(&Zone<V>, Cell) -> i64) {
        let n = self.vars.len();
        let mut most = Vec::with_capacity((n + 1) * (n + 1));
        for row in 0..n {
            most.extend_from_slice(&self.most[row * n..(row + 1) * n]);
            most.push(bound(self, Cell::Column(row)));
        }
        most.extend((0..n).map(|column| bound(self, Cell::Row(column))));
        most.push(0);
        self.most = most;
        self.vars.push(var);
    }

    /// Only points where `a` is later than `b` by at most so much: `a - b <= most`. `false` when
    /// there are none, and then the zone is not to be used any more.
    #[must_use]
    pub fn bound(&mut self, a: V, b: V, most: i64) -> bool {
        let (a, b, n) = (self.place(a), self.place(b), self.vars.len());
        if most >= self.most[a * n + b] {
            return true;
        }
        if plus(most, self.most[b * n + a]) < 0 {
            return false;
        }
        for row in 0..n {
            let base = plus(self.most[row * n + a], most);
            if base == FREE {
                continue;
            }
            for column in 0..n {
                let through = plus(base, self.most[b * n + column]);
                if through < self.most[row * n + column] {
                    self.most[row * n + column] = through;
                }
            }
        }
        true
    }

    /// By how much `a` is later than `b` at the most; `None` when nothing bounds it.
    pub fn most(&self, a: V, b: V) -> Option<i64> {
        let most = self.most[self.place(a) * self.vars.len() + self.place(b)];
        (most != FREE).then_some(most)
    }

    /// By how much `a` is later than `b` at the least; `None` when nothing bounds it.
    pub fn least(&self, a: V, b: V) -> Option<i64> {
        self.most(b, a).map(|most| -most)
    }

    /// Leaves a variable out; what followed from it stays.
    pub fn remove(&mut self, var: V) {
        let (gone, n) = (self.place(var), self.vars.len());
        let mut place = 0;
        self.most.retain(|_| {
            let (row, column) = (place / n, place % n);
            place += 1;
            row != gone && column != gone
        });
        self.vars.remove(gone);
    }

    pub fn rename(&mut self, from: V, to: V) {
        let place = self.place(from);
        self.vars[place] = to;
    }
}

/// Where a bound of a new variable stands.
enum Cell {
    /// In the row of the new one, in this column.
    Row(usize),
    /// In the column of the new one, in this row.
    Column(usize),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All points of three variables on a small grid that fulfil some bounds.
    fn points(bounds: &[(usize, usize, i64)]) -> Vec<[i64; 3]> {
        let all = (-9..=9).flat_map(|x| (-9..=9).map(move |y| [0, x, y]));
        all.filter(|p| bounds.iter().all(|(a, b, most)| p[*a] - p[*b] <= *most)).collect()
    }

    proptest! {
        #[test]
        fn a_zone_has_the_points_that_fulfil_its_bounds(
            bounds in prop::collection::vec((0..3_usize, 0..3_usize, -3..4_i64), 0..8),
        ) {
            // Within the grid, so that it has all points there are.
            let within = [(1, 0, 4), (0, 1, 4), (2, 0, 4), (0, 2, 4)];
            let mut zone = Zone::of(0);
            zone.add(1);
            zone.add(2);
            let all = within.iter().chain(&bounds).copied();
            let all: Vec<_> = all.filter(|bound| bound.0 != bound.1).collect();
            let has_any = all.iter().all(|(a, b, most)| zone.bound(*a, *b, *most));
            let points = points(&all);
            prop_assert_eq!(has_any, !points.is_empty());
            if has_any {
                for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
                    let most = points.iter().map(|p| p[a] - p[b]).max();
                    prop_assert_eq!(zone.most(a, b), most, "of {} and {}", a, b);
                    prop_assert_eq!(zone.least(b, a), most.map(|most| -most));
                }
                // A variable that is left out leaves what followed from it.
                let (most, same) = (zone.most(2, 0), zone.clone());
                zone.add_equal(3, 1);
                prop_assert_eq!(zone.most(3, 1), Some(0));
                prop_assert_eq!(zone.most(2, 3), same.most(2, 1));
                zone.remove(1);
                prop_assert_eq!(zone.most(2, 0), most);
                zone.rename(3, 1);
                zone.remove(2);
                zone.add(2);
                prop_assert_eq!(zone.most(1, 0), same.most(1, 0));
                prop_assert_eq!(zone.most(2, 0), None);
            }
        }
    }
}

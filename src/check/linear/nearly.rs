//! Sorting what is nearly sorted.
//!
//! A history comes in the order in which its operations ended or began, so whatever is listed by
//! time in that order is out of place only by what goes on at the same time. There insertion sort
//! takes a few moves for each, while the library's sorts, which look for long runs only, take all
//! their levels.

/// Moves for each element, on average up to there, beyond which a list is not nearly sorted.
const MOVES: usize = 16;

/// Sorts a list by distinct keys, in linear time where it is nearly sorted.
pub(super) fn sort<T: Copy, K: Ord>(list: &mut [T], key: impl Fn(&T) -> K) {
    let mut moves = 0;
    for place in 1..list.len() {
        let (one, own) = (list[place], key(&list[place]));
        let mut to = place;
        while to > 0 && own < key(&list[to - 1]) {
            list[to] = list[to - 1];
            to -= 1;
        }
        list[to] = one;
        moves += place - to;
        if moves > MOVES * place {
            return list.sort_unstable_by_key(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::sort;

    /// Whether the library had to sort shows in how often keys are looked at.
    fn sorts(list: Vec<u32>, usual: bool) {
        let (mut found, mut expected) = (list.clone(), list);
        expected.sort_unstable();
        let looks = std::cell::Cell::new(0);
        let count = |number: &u32| {
            looks.set(looks.get() + 1);
            *number
        };
        sort(&mut found, count);
        assert_eq!(found, expected);
        let n = found.len();
        assert_eq!(looks.get() > 10 * n, usual, "{} looks at {n} keys", looks.get());
        assert!(looks.get() < 60 * n.max(1), "{} looks at {n} keys", looks.get());
    }

    #[test]
    fn lists_are_sorted_whatever_their_order() {
        (0..4).for_each(|length| sorts((0..length).rev().collect(), false));
        sorts((0..1_000).collect(), false);
        // Neighbours, and one that is far from its place.
        sorts((0..1_000).map(|number| number ^ 3).collect(), false);
        sorts((1..1_000).chain([0]).collect(), false);
        sorts((0..1_000).rev().collect(), true);
        sorts((0..1_000).map(|number| number * 7_919 % 1_000).collect(), true);
    }
}

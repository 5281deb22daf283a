//! What a rule draws from: a seed of its own, that no other rule moves.
//!
//! A rule is known by what it is, not by its place in the file: a rule that is added, removed or
//! put elsewhere must not re-draw the others. How likely, when and how often it strikes is not
//! part of it, so that a rule with twice the probability strikes all that it struck before. Of
//! equal rules the first in the file has number 0: by content alone the second would be struck
//! out by the first, since both would draw the same.

use super::Fault;
use crate::seed::Seed;

/// The seed of each rule of a list, in its order.
pub(crate) fn seeds(faults: &[Fault], seed: Seed) -> Vec<Seed> {
    let names: Vec<String> = faults.iter().map(name).collect();
    let numbered = names.iter().enumerate().map(|(place, name)| {
        let number = names[..place].iter().filter(|other| *other == name).count();
        seed_of(name, number as u64, seed)
    });
    numbered.collect()
}

/// The seed of the rule of this [`name`] and this number among its equals.
pub(crate) fn seed_of(name: &str, number: u64, seed: Seed) -> Seed {
    seed.named(name.as_bytes(), number)
}

/// What a rule is, the same however it was written.
pub(crate) fn name(fault: &Fault) -> String {
    let bare = Fault {
        on: fault.on.clone(),
        after: fault.after.clone(),
        op: fault.op,
        moment: fault.moment,
        clients: fault.clients.as_deref().map(sorted),
        nodes: fault.nodes.as_deref().map(sorted),
        row: fault.row,
        key: fault.key.clone(),
        ..Fault::new(fault.what)
    };
    serde_json::to_string(&bare).expect("a fault is plain data")
}

/// A list that names a set.
fn sorted<T: Ord + Copy>(list: &[T]) -> Vec<T> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Moment, What};
    use std::time::Duration;

    fn of(faults: &[Fault]) -> Vec<Seed> {
        seeds(faults, Seed(7))
    }

    #[test]
    fn a_rule_is_what_it_does_where_and_to_whom() {
        let rule = Fault::on(What::Refuse, "cache.set").unwrap();
        let same = [
            Fault { probability: Some(0.5), ..rule.clone() },
            Fault { nth: Some(3), budget: Some(2), ..rule.clone() },
            Fault { from: Some(Duration::from_secs(1)), ..rule.clone() },
        ];
        for other in same {
            assert_eq!(of(&[other]), of(std::slice::from_ref(&rule)));
        }
        let others = [
            Fault { what: What::Fail, ..rule.clone() },
            Fault::on(What::Refuse, "cache.get").unwrap(),
            Fault { after: Some("db.commit".parse().unwrap()), ..rule.clone() },
            Fault { clients: Some(vec![1]), ..rule.clone() },
            Fault { nodes: Some(vec![1]), ..rule.clone() },
            Fault { row: Some(1), ..rule.clone() },
            Fault { op: Some(crate::fault::OpKindName::Read), ..rule.clone() },
            Fault { moment: Moment::After, ..rule.clone() },
        ];
        for other in others {
            assert_ne!(of(std::slice::from_ref(&other)), of(std::slice::from_ref(&rule)));
        }
        let clients = |list: &[u32]| Fault { clients: Some(list.to_vec()), ..rule.clone() };
        assert_eq!(of(&[clients(&[2, 1, 2])]), of(&[clients(&[1, 2])]));
    }

    #[test]
    fn equal_rules_draw_apart() {
        let rule = Fault::on(What::Refuse, "cache.set").unwrap();
        let two = of(&[rule.clone(), rule.clone()]);
        assert_ne!(two[0], two[1]);
        assert_eq!(two[0], of(&[rule])[0]);
    }
}

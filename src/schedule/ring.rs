//! Which cache node has a key: consistent hashing in the manner of ketama.
//!
//! Each node owns 160 points of a 32-bit ring, taken from 40 MD5 digests of `NAME-I`; a key
//! belongs to the first point at or after its own digest's first four bytes. Clients of
//! many languages route like this, so a key is found on the node where they look for it.

use crate::step::{Key, NodeId};

/// The points of all nodes.
#[derive(Clone, Debug)]
pub struct Ring {
    points: Vec<(u32, NodeId)>,
}

const DIGESTS_PER_NODE: u32 = 40;

impl Ring {
    /// A ring of these nodes, in order; `names` are `host:port`.
    pub fn new(names: &[String]) -> Ring {
        let mut points = Vec::new();
        for (number, name) in names.iter().enumerate() {
            for i in 0..DIGESTS_PER_NODE {
                let digest = md5::compute(format!("{name}-{i}")).0;
                for part in digest.chunks_exact(4) {
                    let point = u32::from_le_bytes(part.try_into().expect("four bytes"));
                    points.push((point, NodeId(number as u16)));
                }
            }
        }
        points.sort_unstable();
        Ring { points }
    }

    /// The node of a key.
    pub fn node(&self, key: &Key) -> NodeId {
        let digest = md5::compute(key.as_bytes()).0;
        let place = u32::from_le_bytes(digest[..4].try_into().expect("four bytes"));
        let next = self.points.partition_point(|(point, _)| *point < place);
        self.points.get(next).or_else(|| self.points.first()).map_or(NodeId(0), |(_, node)| *node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_spread_and_stay_when_a_node_joins() {
        let names: Vec<String> = (0..4).map(|n| format!("10.0.0.{n}:11211")).collect();
        let (three, four) = (Ring::new(&names[..3]), Ring::new(&names));
        let keys: Vec<Key> = (0..10_000).map(|i| Key::from(format!("product:{i}"))).collect();
        let mut count = [0; 4];
        for key in &keys {
            let node = four.node(key);
            count[node.0 as usize] += 1;
            assert!(node == NodeId(3) || node == three.node(key), "{key} moved needlessly");
        }
        assert!(count.iter().all(|n| (1_800..3_300).contains(n)), "{count:?}");
    }
}

//! What a checker of histories answers: how much it could judge, and what it found.

/// Findings that are kept; all are counted.
const KEPT: usize = 1000;

/// The answer of one checker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// How many operations, pairs or groups could be judged; 0 means that nothing was tested.
    pub tested: u64,
    /// How many of them are wrong.
    pub count: u64,
    /// The first of them: the operations that show it, by place, in the order in which they
    /// are told.
    pub findings: Vec<Vec<usize>>,
}

impl Found {
    /// Counts a finding, and keeps it if there is room.
    pub fn add(&mut self, ops: Vec<usize>) {
        self.count += 1;
        if self.findings.len() < KEPT {
            self.findings.push(ops);
        }
    }

    /// Whether it was tested, and nothing was found.
    pub fn holds(&self) -> Option<bool> {
        (self.tested > 0).then_some(self.count == 0)
    }
}

//! What a choice touched, from which follows whether it may be exchanged with another.

use crate::step::Footprint;

/// What a choice touched: the basis of independence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effects {
    /// Whose step it was.
    pub client: Option<usize>,
    /// It may not be exchanged with anything.
    pub everything: bool,
    /// It spent some of the bound on faults.
    pub fault: bool,
    /// Nobody waited for the step any more.
    pub late: bool,
    /// An operation returned.
    pub returned: bool,
    /// An operation was invoked.
    pub invoked: bool,
    pub footprint: Footprint,
}

impl Effects {
    /// Whether two choices may be exchanged; with `real_time` also the order of a return and
    /// an invocation counts.
    pub fn independent_of(&self, other: &Effects, real_time: bool) -> bool {
        let ordered = (self.returned && other.invoked) || (self.invoked && other.returned);
        !(self.everything || other.everything)
            && (self.client.is_none() || self.client != other.client)
            && !(self.fault && other.fault)
            && !(real_time && ordered)
            && self.footprint.independent_of(&other.footprint)
    }
}

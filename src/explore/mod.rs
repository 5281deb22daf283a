//! Exploration: every schedule of a small program, and the smallest that goes wrong.
//!
//! [`Subject`] is the program, [`explore`] searches it, [`Finding`] is what can be wrong. The
//! search itself is `schedule::exhaust`; here is what is asked of each schedule.

mod confirm;
mod counterexample;
mod finding;
mod folklore;
mod hunt;
mod judge;
mod load;
mod matrix;
mod narrow;
mod parts;
mod real;
mod register;
mod replay;
mod result;
mod search;
mod smallest;
#[cfg(test)]
mod states;
mod subject;
mod timing;
mod untested;
mod window;

pub use confirm::{Confirmation, Confirmed};
pub use counterexample::{COUNTEREXAMPLE_FORMAT, Counterexample, CounterexampleError};
pub use finding::{Finding, Kind, Lasts};
pub use folklore::{Answer, Folklore, Question as FolkloreQuestion, Rule, Share, Trial, Tried};
pub use hunt::{Failure, HUNT_FORMAT, Hunt, Hunted, Shard, hunt};
pub use matrix::{
    Cell, CellVerdict, Counterexamples, Difference, HazardRow, HazardScenario, MATRIX_FORMAT,
    Matrix, matrix,
};
pub use narrow::narrow;
pub use real::explore_on_servers;
pub use replay::{Divergence, Replayed};
pub use result::{EXPLORE_FORMAT, ExploreResult, explore_scenario};
pub use search::{Exploration, Limits, Verdict, Watch, deepen, explore};
pub use smallest::smallest;
pub use subject::{Ends, Sizes, Subject};

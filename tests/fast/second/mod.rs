//! A second implementation of exploration, and what the tool says beside it.

mod cases;
mod compare;
mod judge;
mod program;
mod semantics;
mod servers;
mod strategy;
mod times;

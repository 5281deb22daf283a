//! What needs no server but the tool itself: models, the command line, checkers, style.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/conformance/mod.rs"]
mod conformance;
#[path = "../common/database_moves.rs"]
mod database_moves;
mod notation;

mod accepted_findings;
mod article;
mod audit;
mod authoring;
mod canary;
mod check_cli;
mod check_differential;
mod check_effort;
mod check_findings;
mod check_histories;
mod check_metamorphic;
mod check_online;
mod check_oracles;
mod check_tables;
mod check_verifier;
mod cli;
mod conformance_models;
mod database_differential;
mod database_footprints;
mod draws;
mod explore;
mod faults;
mod folklore;
mod hazards;
mod healed;
mod hunt;
mod leaks;
mod measures;
mod metrics_agree;
mod names;
mod odd_input;
mod patterns;
mod report_compare;
mod report_timeline;
mod rules;
mod samples;
mod scenario_errors;
mod scenario_files;
mod second;
mod smallest;
mod soundness;
mod strategies;
mod suite;
mod tidy;
mod untested;
mod wire_fuzz;

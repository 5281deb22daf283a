//! Exporters: one plain result, one file each.

pub mod json;
pub mod text;

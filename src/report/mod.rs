//! Exporters: one plain result, one file each.

pub mod compare;
mod confirmed;
pub mod exploration;
pub mod folklore;
pub mod html;
pub mod json;
pub mod junit;
pub mod lanes;
pub mod markdown;
pub mod matrix;
mod schedules;
pub mod text;

//! QiCore.
pub use qicore_data::*;

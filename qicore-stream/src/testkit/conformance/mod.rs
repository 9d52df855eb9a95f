//! What every source and every sink must do, as tests that panic with a reason.
#![allow(clippy::expect_used, reason = "a failed expectation is the result of a test")]

mod sink;
mod source;

pub use sink::{refusals, sink};
pub use source::source;

//! The qicore program.
fn main() {}

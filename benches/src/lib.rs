//! Workloads, shared by the criterion benches and by the program `ratios`.
//!
//! Each workload is a pair: what QiCore does, and the least that anybody would have to do for the same (a bare serde
//! decode, a plain loop around serde_json, arrow's own writer), on the same input, in turn, in one process.

pub mod alloc;
pub mod clickhouse;
pub mod decode;
pub mod files;
pub mod frames;
pub mod kafka;
pub mod kinds;
pub mod latency;
pub mod messages;
pub mod pipelines;
pub mod process;
pub mod ratio;
pub mod rows;
pub mod timescale;
pub mod venues;

/// What went wrong, in words.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

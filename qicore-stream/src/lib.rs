//! QiCore's pipelines: from a source through transforms to sinks, with nothing lost and nothing doubled.

#![doc = include_str!("delivery.md")]

mod breaker;
mod checkpoints;
mod dead_letters;
mod pipeline;
mod queue;
mod retry;
mod runner;
mod stats;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transform;

pub use breaker::BreakerPolicy;
pub use checkpoints::{CheckpointStore, FileCheckpoints};
pub use dead_letters::DeadLetterFile;
pub use pipeline::{Handle, Options, Pipeline, PipelineBuilder, SinkOptions, Summary};
pub use stats::{LaneStats, SinkStats, StageStats, Stats, TableStats};

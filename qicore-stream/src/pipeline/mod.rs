//! A pipeline: one source, its transforms, any number of sinks.

mod builder;
mod config;
mod handle;
mod options;

pub use builder::{PipelineBuilder, SinkOptions};
pub use handle::{Handle, Summary};
pub use options::Options;

use std::path::PathBuf;
use std::sync::Arc;

use qicore_data::{FromStart, Mistakes, Registry, Result, Source};
use tokio::sync::watch;

use crate::checkpoints::CheckpointStore;
use crate::dead_letters::DeadLetterFile;
use crate::retry::in_time;
use crate::runner::{Runner, Shared};

/// Whether and how a pipeline is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// Stop reading, write what has been read, commit.
    Drain,
    /// Now.
    Abort,
}

/// A source, its transforms and its sinks, ready to run.
///
/// Built by a [program](Pipeline::builder) or from a [file](Pipeline::from_toml). A run delivers every row to every
/// sink or to the dead letters, and goes on where an interrupted run stopped (see the crate's documentation).
pub struct Pipeline {
    parts: Shared,
    source: Box<dyn Source>,
    store: Option<Arc<dyn CheckpointStore>>,
}

impl Pipeline {
    /// Starts building. The name appears in dead letters and logs.
    pub fn builder(name: impl Into<String>) -> PipelineBuilder {
        PipelineBuilder::new(name.into())
    }

    /// Builds what a TOML file describes. Connects to nothing; names every mistake with its line.
    ///
    /// ```toml
    /// name = "kraken-to-files"
    /// dead_letters = "data/dead-letters.jsonl"
    ///
    /// [source]
    /// type = "replay"
    /// paths = ["examples/data/KRAKEN.jsonl.zst"]
    ///
    /// [[transform]]
    /// type = "validate"
    ///
    /// [[sink]]
    /// type = "jsonl"
    /// path = "data"
    /// ```
    pub fn from_toml(text: &str, registry: &Registry) -> Result<Self, Mistakes> {
        config::read(text, registry)
    }

    /// Starts the pipeline on the current Tokio runtime.
    pub fn start(self) -> Handle {
        let (stop, stopped) = watch::channel(Stop::No);
        let counts = Arc::clone(&self.parts.counts);
        let runner = Runner::new(Arc::new(self.parts), self.source, self.store, stopped);
        Handle::new(tokio::spawn(runner.run()), stop, counts)
    }

    /// Runs to the end of the source.
    pub async fn run(self) -> Result<Summary> {
        self.start().wait().await
    }

    /// The same pipeline, fed from another source.
    #[must_use]
    pub fn with_source(mut self, source: impl Source + 'static) -> Self {
        source.name().clone_into(&mut self.parts.source);
        self.source = Box::new(source);
        self
    }

    /// The same pipeline, with its dead letters in another file.
    #[must_use]
    pub fn with_dead_letters(mut self, path: impl Into<PathBuf>) -> Self {
        self.parts.dead_letters = Some(Arc::new(DeadLetterFile::new(path)));
        self
    }

    /// Opens the sinks and the source and closes them again, without reading: do they answer?
    pub async fn connect(mut self) -> Result<()> {
        for stage in self.parts.sinks.iter() {
            let name = |error: qicore_data::Error| error.with("sink", &stage.name);
            in_time(&stage.retry, "sink.open", stage.sink.open())
                .await
                .map_err(name)?;
            in_time(&stage.retry, "sink.close", stage.sink.close())
                .await
                .map_err(name)?;
        }
        let retry = &self.parts.options.retry;
        in_time(retry, "source.open", self.source.open(Arc::new(FromStart))).await?;
        in_time(retry, "source.close", self.source.close()).await
    }

    /// The pipeline's name.
    pub fn name(&self) -> &str {
        &self.parts.name
    }
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sinks: Vec<_> = self.parts.sinks.iter().map(|stage| &stage.name).collect();
        f.debug_struct("Pipeline")
            .field("name", &self.parts.name)
            .field("source", &self.parts.source)
            .field("sinks", &sinks)
            .finish_non_exhaustive()
    }
}

//! A pipeline: one source, its transforms, any number of sinks.

mod builder;
mod config;
mod handle;
mod options;
mod tables;

pub use builder::{PipelineBuilder, SinkOptions};
pub use handle::{Handle, Summary};
pub use options::Options;
pub(crate) use tables::TableSource;

use std::path::PathBuf;
use std::sync::Arc;

use qicore_data::{DeadLetters, Error, FromStart, Mistakes, Registry, Result, Source, Tables};
use tokio::sync::watch;

use crate::checkpoints::CheckpointStore;
use crate::dead_letters::DeadLetterFile;
use crate::retry::in_time;
use crate::runner::{Chain, Runner, Shared};

/// Whether and how a pipeline is to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    No,
    /// Stop reading, write what has been read, commit.
    Drain,
    /// Now.
    Abort,
}

/// A source, its transforms and its sinks, ready to run; and tables, where transforms look things up.
///
/// Built by a [program](Pipeline::builder) or from a [file](Pipeline::from_toml). A run delivers every row to every
/// sink or to the dead letters, and goes on where an interrupted run stopped (see the crate's documentation).
pub struct Pipeline {
    parts: Shared,
    source: Box<dyn Source>,
    tables: Vec<TableSource>,
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
    /// [[table]]                       # any source of instruments, read before the pipeline's own and then followed
    /// name = "instruments"
    /// type = "replay"
    /// paths = ["instruments.jsonl"]
    ///
    /// [[transform]]
    /// type = "validate"
    ///
    /// [[transform]]
    /// type = "enrich"
    /// instruments = "instruments"
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
        let runner = Runner::new(Arc::new(self.parts), self.source, self.tables, self.store, stopped);
        Handle::new(tokio::spawn(runner.run()), stop, counts)
    }

    /// Runs to the end of the source.
    pub async fn run(self) -> Result<Summary> {
        self.start().wait().await
    }

    /// The pipeline that sends dead letters of a stage through again, from `letters` in place of its own source.
    ///
    /// What a sink refused goes to that sink alone, and through no transform: it has been through them, and the other
    /// sinks have it. Letters of any other stage pass the transforms but for those that
    /// [need the whole stream](qicore_data::Transform::needs_whole_stream). Letters that are refused again go to the
    /// file `again`.
    ///
    /// # Errors
    /// If the stage is of a sink that the pipeline does not have, or of a table: those are read from their start in each
    /// run, letters and all.
    pub fn replaying(self, letters: impl Source + 'static, stage: &str, again: impl Into<PathBuf>) -> Result<Self> {
        let Shared {
            name,
            sinks,
            transforms,
            tables,
            options,
            ..
        } = self.parts;
        if stage.starts_with("table:") {
            let message = "a table is read from the start of its source in each run: there is nothing to send again";
            return Err(Error::config("pipeline.replaying", message).with("stage", stage));
        }
        let mut feeds = self.tables;
        let mut chain = Chain { transforms, tables };
        let sinks: Vec<_> = match stage.strip_prefix("sink:") {
            Some(wanted) => {
                // No transform, and so no table.
                (chain.transforms, chain.tables) = (Vec::new(), Tables::default());
                feeds.clear();
                sinks.iter().filter(|stage| stage.name == wanted).cloned().collect()
            }
            None => {
                chain.transforms.retain(|new| !new().needs_whole_stream());
                sinks.to_vec()
            }
        };
        if sinks.is_empty() {
            let message = "the letters are of a sink that the pipeline does not have";
            return Err(Error::config("pipeline.replaying", message)
                .with("stage", stage)
                .with("pipeline", name));
        }
        let dead_letters: Option<Arc<dyn DeadLetters>> = Some(Arc::new(DeadLetterFile::new(again)));
        let parts = Shared::new(name, letters.name().to_owned(), sinks, chain, dead_letters, options);
        Ok(Self {
            parts,
            source: Box::new(letters),
            tables: feeds,
            store: self.store,
        })
    }

    /// Opens the sinks, the tables' sources and the source and closes them again, without reading: do they answer?
    pub async fn connect(mut self) -> Result<()> {
        for stage in self.parts.sinks.iter() {
            let name = |error: Error| error.with("sink", &stage.name);
            in_time(&stage.retry, "sink.open", stage.sink.open(&stage.writer))
                .await
                .map_err(name)?;
            in_time(&stage.retry, "sink.close", stage.sink.close())
                .await
                .map_err(name)?;
        }
        let retry = &self.parts.options.retry;
        if let Some(letters) = &self.parts.dead_letters {
            in_time(retry, "dead_letters.open", letters.open()).await?;
        }
        for TableSource { name, source } in &mut self.tables {
            let of_table = |error: Error| error.with("table", &*name);
            let opened = in_time(retry, "source.open", source.open(Arc::new(FromStart))).await;
            opened.map_err(of_table)?;
            in_time(retry, "source.close", source.close()).await.map_err(of_table)?;
        }
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

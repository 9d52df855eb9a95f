use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{
    BatchPolicy, DeadLetters, Error, NewTransform, Result, RetryPolicy, Sink, Source, Transform, WriterId,
};
use tokio::sync::Semaphore;

use super::tables::{self, TableSource};
use super::{Options, Pipeline};
use crate::breaker::{Breaker, BreakerPolicy};
use crate::checkpoints::{CheckpointStore, FileCheckpoints};
use crate::dead_letters::DeadLetterFile;
use crate::runner::{Chain, Shared, SinkStage};

/// Puts a [`Pipeline`] together.
#[must_use = "a builder does nothing until it is built and run"]
pub struct PipelineBuilder {
    name: String,
    source: Option<Box<dyn Source>>,
    tables: Vec<TableSource>,
    transforms: Vec<NewTransform>,
    sinks: Vec<(Arc<dyn Sink>, SinkOptions)>,
    dead_letters: Option<Arc<dyn DeadLetters>>,
    store: Option<Arc<dyn CheckpointStore>>,
    options: Options,
}

/// How a pipeline feeds one sink, where that differs from what the sink asks for.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SinkOptions {
    /// The name in statistics and dead letters; the plugin's name by default.
    pub name: Option<String>,
    /// When gathered rows are handed over.
    pub batch: Option<BatchPolicy>,
    /// When staged rows are flushed.
    pub flush_after: Option<Duration>,
    /// How failed calls are tried again.
    pub retry: Option<RetryPolicy>,
    /// When the sink is left alone for a while.
    pub breaker: BreakerPolicy,
}

impl SinkOptions {
    /// Sets the name in statistics and dead letters.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets when gathered rows are handed over.
    #[must_use]
    pub fn batch(mut self, batch: BatchPolicy) -> Self {
        self.batch = Some(batch);
        self
    }

    /// Sets when staged rows are flushed.
    #[must_use]
    pub fn flush_after(mut self, after: Duration) -> Self {
        self.flush_after = Some(after);
        self
    }

    /// Sets how failed calls are tried again.
    #[must_use]
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets when the sink is left alone for a while.
    #[must_use]
    pub fn breaker(mut self, breaker: BreakerPolicy) -> Self {
        self.breaker = breaker;
        self
    }
}

impl PipelineBuilder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            source: None,
            tables: Vec::new(),
            transforms: Vec::new(),
            sinks: Vec::new(),
            dead_letters: None,
            store: None,
            options: Options::default(),
        }
    }

    /// Sets where data comes from.
    pub fn source(self, source: impl Source + 'static) -> Self {
        self.boxed_source(Box::new(source))
    }

    /// Sets where data comes from.
    pub fn boxed_source(mut self, source: Box<dyn Source>) -> Self {
        self.source = Some(source);
        self
    }

    /// Adds a table, which transforms look instruments up in, and the source that fills it.
    ///
    /// The source is read from its start in each run, and no position of it is kept. The pipeline opens its own source once
    /// the table has caught up: when the table's source is exhausted, or has reached what was its end when it was opened
    /// (by its [progress](Source::progress)). A source that goes on is followed from then on.
    pub fn table(self, name: impl Into<String>, source: impl Source + 'static) -> Self {
        self.boxed_table(name, Box::new(source))
    }

    /// Adds a table and the source that fills it.
    pub fn boxed_table(mut self, name: impl Into<String>, source: Box<dyn Source>) -> Self {
        let name = name.into();
        self.tables.push(TableSource { name, source });
        self
    }

    /// Adds a transform behind those added before. Each lane gets a clone.
    pub fn transform(self, transform: impl Transform + Clone + Sync + 'static) -> Self {
        self.new_transform(Arc::new(move || Box::new(transform.clone())))
    }

    /// Adds a transform that each lane makes anew.
    pub fn new_transform(mut self, new: NewTransform) -> Self {
        self.transforms.push(new);
        self
    }

    /// Adds a sink. Every sink gets every row.
    pub fn sink(self, sink: impl Sink + 'static) -> Self {
        self.sink_with(Arc::new(sink), SinkOptions::default())
    }

    /// Adds a sink, fed in its own way.
    pub fn sink_with(mut self, sink: Arc<dyn Sink>, options: SinkOptions) -> Self {
        self.sinks.push((sink, options));
        self
    }

    /// Keeps what cannot be processed in a [file](DeadLetterFile). Without dead letters the first such row fails the
    /// run.
    pub fn dead_letters(self, path: impl Into<PathBuf>) -> Self {
        self.dead_letters_to(Arc::new(DeadLetterFile::new(path)))
    }

    /// Keeps what cannot be processed.
    pub fn dead_letters_to(mut self, letters: Arc<dyn DeadLetters>) -> Self {
        self.dead_letters = Some(letters);
        self
    }

    /// Keeps checkpoints in a [folder](FileCheckpoints) of this pipeline's own, for sinks that do not keep them with
    /// their rows. Without a store such sinks get everything again after a restart.
    pub fn checkpoints(self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints_in(Arc::new(FileCheckpoints::new(folder)))
    }

    /// Keeps checkpoints, for sinks that do not keep them with their rows.
    pub fn checkpoints_in(mut self, store: Arc<dyn CheckpointStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets limits and timing.
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Checks that the pipeline is whole. Connects to nothing.
    pub fn build(mut self) -> Result<Pipeline> {
        let config = |message: &str| Error::config("pipeline.build", message).with("pipeline", &self.name);
        let source = self.source.ok_or_else(|| config("no source: add .source(…)"))?;
        if self.sinks.is_empty() {
            return Err(config("no sink: add .sink(…)"));
        }
        if self.name.trim().is_empty() {
            return Err(config(
                "no name: it tells this pipeline's logs and statistics from those of others",
            ));
        }
        if let Some(limit) = self.options.zero_limit() {
            return Err(config(&format!("{limit} must be greater than 0")));
        }
        let tables = tables::tables(&mut self.tables)?;
        for new in &self.transforms {
            tables::check(new, &tables)?;
        }
        let mut stages: Vec<Arc<SinkStage>> = Vec::with_capacity(self.sinks.len());
        for (sink, options) in self.sinks {
            let unnamed = options.name.is_none() && sink.capabilities().checkpoint_each;
            if unnamed && stages.iter().any(|stage| stage.name == sink.name()) {
                // A number by the place among the sinks would be another one when they are put in another order, and
                // the store would be written from the start again.
                let message = "a second sink of this kind needs a name: its positions are stored under it";
                return Err(Error::config("pipeline.build", message).with("sink", sink.name()));
            }
            let stage = stage(&self.name, sink, options, source.capabilities().shared, &stages);
            if stage.batch.events == 0 || stage.batch.bytes == 0 || stage.permits.available_permits() == 0 {
                let message = "a sink's batch and concurrency must be greater than 0";
                return Err(Error::config("pipeline.build", message).with("sink", &stage.name));
            }
            stages.push(Arc::new(stage));
        }
        let name = source.name().to_owned();
        let parts = Shared::new(
            self.name,
            name,
            stages,
            Chain {
                transforms: self.transforms,
                tables,
            },
            self.dead_letters,
            self.options,
        );
        Ok(Pipeline {
            parts,
            source,
            tables: self.tables,
            store: self.store,
        })
    }
}

fn stage(
    pipeline: &str,
    sink: Arc<dyn Sink>,
    options: SinkOptions,
    shared: bool,
    before: &[Arc<SinkStage>],
) -> SinkStage {
    let capabilities = sink.capabilities();
    let wanted = options.name.unwrap_or_else(|| sink.name().to_owned());
    let taken = |name: &str| before.iter().any(|stage| stage.name == name);
    let name = std::iter::once(wanted.clone())
        .chain((2..).map(|number| format!("{wanted}-{number}")))
        .find(|name| !taken(name))
        .unwrap_or(wanted);
    SinkStage {
        writer: WriterId::new(pipeline, name.as_str()).shared(shared),
        name,
        sink,
        stores_checkpoints: capabilities.stores_checkpoints,
        checkpoint_each: capabilities.checkpoint_each,
        batch: options.batch.unwrap_or(capabilities.batch),
        flush_after: options.flush_after.unwrap_or(capabilities.flush_after),
        retry: options.retry.unwrap_or(capabilities.retry),
        breaker: Breaker::new(options.breaker),
        permits: Semaphore::new(capabilities.concurrency),
    }
}

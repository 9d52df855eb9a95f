//! A count of events, timed while it goes from one number to another: what comes before, connecting and subscribing, is
//! no part of it.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use qicore::{BatchPolicy, Data, Delivery, Pipeline, Receipt, Sink, SinkCapabilities, Source, WriterId};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::Result;
use crate::process::cpu;

/// Counts.
#[derive(Debug)]
pub(super) struct Stretch {
    range: Range<u64>,
    count: AtomicU64,
    began: OnceLock<Mark>,
    ended: OnceLock<Mark>,
    over: Notify,
}

#[derive(Debug)]
struct Mark {
    count: u64,
    at: Instant,
    cpu: Duration,
}

/// What a stretch took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Taken {
    pub(super) count: u64,
    pub(super) time: Duration,
    /// Of all processors.
    pub(super) cpu: Duration,
}

impl Stretch {
    pub(super) fn new(range: Range<u64>) -> Arc<Self> {
        Arc::new(Self {
            range,
            count: AtomicU64::new(0),
            began: OnceLock::new(),
            ended: OnceLock::new(),
            over: Notify::new(),
        })
    }

    /// Whether it is over.
    pub(super) fn add(&self, events: u64) -> bool {
        let before = self.count.fetch_add(events, Ordering::Relaxed);
        let count = before + events;
        let mark = |at: u64, mark: &OnceLock<Mark>| {
            if before < at && at <= count {
                mark.get_or_init(|| Mark {
                    count,
                    at: Instant::now(),
                    cpu: cpu().unwrap_or_default(),
                });
            }
        };
        mark(self.range.start, &self.began);
        mark(self.range.end, &self.ended);
        let over = count >= self.range.end;
        if over {
            self.over.notify_one();
        }
        over
    }

    pub(super) fn taken(&self) -> Result<Taken> {
        match (self.began.get(), self.ended.get()) {
            (Some(began), Some(ended)) => Ok(Taken {
                count: ended.count - began.count,
                time: ended.at - began.at,
                cpu: ended.cpu.saturating_sub(began.cpu),
            }),
            _ => {
                let count = self.count.load(Ordering::Relaxed);
                Err(format!("{count} of {} events came", self.range.end).into())
            }
        }
    }
}

impl Taken {
    /// The time of so many events.
    pub(super) fn time_of(&self, events: f64) -> Duration {
        self.time.mul_f64(events / self.count.max(1) as f64)
    }

    /// Events of a second of a processor.
    pub(super) fn of_a_core(&self) -> f64 {
        self.count as f64 / self.cpu.as_secs_f64().max(0.01)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.count += other.count;
        self.time += other.time;
        self.cpu += other.cpu;
    }
}

/// Counts events, and forgets them.
#[derive(Debug)]
struct Counting(Arc<Stretch>);

#[async_trait]
impl Sink for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
    }

    async fn open(&self, _writer: &WriterId) -> qicore::Result<()> {
        Ok(())
    }

    async fn write(&self, delivery: &Delivery) -> qicore::Result<Receipt> {
        let gaps = delivery.iter().filter(|event| matches!(event.data, Data::Gap(_)));
        self.0.add((delivery.len() - gaps.count()) as u64);
        Ok(Receipt::durable())
    }
}

/// Runs a pipeline of the source until `range.end` events have come to a sink that counts.
pub(super) fn of_pipeline(runtime: &Runtime, source: impl Source + 'static, range: Range<u64>) -> Result<Taken> {
    let stretch = Stretch::new(range);
    run_until(runtime, source, Counting(Arc::clone(&stretch)), None, &stretch)?;
    stretch.taken()
}

/// Runs a pipeline until the stretch that its sink tells is over, or the source ends.
pub(super) fn run_until(
    runtime: &Runtime,
    source: impl Source + 'static,
    sink: impl Sink + 'static,
    batch: Option<BatchPolicy>,
    stretch: &Stretch,
) -> Result<()> {
    let mut options = qicore::SinkOptions::default();
    if let Some(batch) = batch {
        options = options.batch(batch);
    }
    let pipeline = Pipeline::builder("venues")
        .source(source)
        .sink_with(Arc::new(sink), options)
        .build()?;
    runtime.block_on(async {
        let mut run = pipeline.start();
        tokio::select! {
            ended = run.finished() => {
                ended?;
                return Ok(());
            }
            () = stretch.over.notified() => {}
            () = tokio::time::sleep(LONGEST) => {}
        }
        run.stop();
        run.finished().await?;
        Ok(())
    })
}

/// No stretch takes so long.
const LONGEST: Duration = Duration::from_secs(300);

//! How long an event takes from its receipt to the commit that makes it visible.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qicore::prelude::*;
use qicore::sources::replay::Pace;
use qicore::{
    Batch, BatchLimit, BatchPolicy, Checkpoint, Content, Decoder, Delivery, LaneEnd, PipelineBuilder, Position,
    Receipt, Resume, SinkCapabilities, SourceCapabilities, WriterId,
};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, sleep_until};

use crate::Result;

/// Gives events at a rate, each received when it is given.
struct Paced {
    events: std::vec::IntoIter<Event>,
    every: Duration,
    next: Option<Instant>,
    given: u64,
}

/// Events that come together.
const TOGETHER: usize = 5;

impl Paced {
    fn new(events: Vec<Event>, rate: f64) -> Self {
        Self {
            events: events.into_iter(),
            every: Duration::from_secs_f64(TOGETHER as f64 / rate),
            next: None,
            given: 0,
        }
    }
}

#[async_trait]
impl Source for Paced {
    fn name(&self) -> &str {
        "paced"
    }

    fn capabilities(&self) -> SourceCapabilities {
        SourceCapabilities::default().finite()
    }

    async fn open(&mut self, _resume: Arc<dyn Resume>) -> qicore::Result<()> {
        Ok(())
    }

    async fn next_batch(&mut self, _limit: BatchLimit) -> qicore::Result<Option<Batch>> {
        let lane = Lane::new("paced");
        let due = *self.next.get_or_insert_with(Instant::now);
        sleep_until(due).await;
        self.next = Some(due + self.every);
        let mut events: Vec<Event> = self.events.by_ref().take(TOGETHER).collect();
        if self.given == u64::MAX {
            return Ok(None);
        }
        if events.is_empty() {
            let position = Position::at(self.given);
            self.given = u64::MAX;
            return Ok(Some(Batch::end(lane, position, LaneEnd::Exhausted)));
        }
        let now = Timestamp::now();
        events.iter_mut().for_each(|event| event.received = Some(now));
        self.given += events.len() as u64;
        Ok(Some(Batch::events(lane, events, Position::at(self.given))))
    }
}

/// How old events were.
type Ages = Arc<Mutex<Vec<Duration>>>;

fn locked(ages: &Ages) -> MutexGuard<'_, Vec<Duration>> {
    ages.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes how old events are when a sink answers that they are durable.
struct Noting<S> {
    inner: S,
    batch: Option<BatchPolicy>,
    ages: Ages,
}

#[async_trait]
impl<S: Sink> Sink for Noting<S> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn capabilities(&self) -> SinkCapabilities {
        let capabilities = self.inner.capabilities();
        capabilities.batch(self.batch.unwrap_or(capabilities.batch))
    }

    async fn open(&self, writer: &WriterId) -> qicore::Result<()> {
        self.inner.open(writer).await
    }

    async fn checkpoint(&self, lane: &Lane) -> qicore::Result<Option<Checkpoint>> {
        self.inner.checkpoint(lane).await
    }

    async fn write(&self, delivery: &Delivery) -> qicore::Result<Receipt> {
        let receipt = self.inner.write(delivery).await?;
        let now = Timestamp::now();
        let ages = delivery
            .iter()
            .filter_map(|event| event.received)
            .map(|at| now.since(at));
        locked(&self.ages).extend(ages);
        Ok(receipt)
    }

    async fn flush(&self, lane: &Lane) -> qicore::Result<()> {
        self.inner.flush(lane).await
    }

    async fn close(&self) -> qicore::Result<()> {
        self.inner.close().await
    }
}

/// Events a second of [`line`].
const RATE: f64 = 5000.0;

/// `LATENCY name p50 … ms p99 … ms`: from receipt to the answer that a row is durable, and visible.
pub fn line(
    name: &str,
    runtime: &Runtime,
    sink: impl Sink + 'static,
    batch: Option<BatchPolicy>,
    events: Vec<Event>,
    chain: bool,
) -> Result<String> {
    let count = events.len();
    let latency = measure(runtime, sink, batch, events, RATE, chain)?;
    Ok(text(name, latency, (count, count as f64 / RATE)))
}

/// Events at the rate of [`line()`], each received when it is given.
pub fn paced(events: Vec<Event>) -> impl Source + 'static {
    Paced::new(events, RATE)
}

/// A recorded session at its own pace, whose frames are received now.
pub fn replayed(file: &str) -> impl Source + 'static {
    Received(Replay::recording(file).pace(Pace::Times(1.0)))
}

/// Gives another source's frames the time at which they are given.
struct Received<S>(S);

#[async_trait]
impl<S: Source> Source for Received<S> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn capabilities(&self) -> SourceCapabilities {
        self.0.capabilities()
    }

    async fn open(&mut self, resume: Arc<dyn Resume>) -> qicore::Result<()> {
        self.0.open(resume).await
    }

    async fn next_batch(&mut self, limit: BatchLimit) -> qicore::Result<Option<Batch>> {
        let mut batch = self.0.next_batch(limit).await?;
        if let Some(Content::Frames(frames)) = batch.as_mut().map(|batch| &mut batch.content) {
            let now = Timestamp::now();
            frames.iter_mut().for_each(|frame| frame.received = Some(now));
        }
        Ok(batch)
    }

    fn decoder(&self, lane: &Lane) -> qicore::Result<Box<dyn Decoder>> {
        self.0.decoder(lane)
    }

    async fn close(&mut self) -> qicore::Result<()> {
        self.0.close().await
    }
}

/// From receipt through topics: `services`, the first of which ends by itself and the others read what the one before writes,
/// and at their end a sink that is fed by `reader`. All of them pass everything on.
pub fn line_through(
    name: &str,
    runtime: &Runtime,
    services: Vec<PipelineBuilder>,
    reader: impl Source + 'static,
    sink: impl Sink + 'static,
) -> Result<String> {
    let ages = Ages::default();
    let writer = Pipeline::builder("latency-store").source(reader).sink(Noting {
        inner: sink,
        batch: None,
        ages: Arc::clone(&ages),
    });
    let mut services = services.into_iter();
    let first = services.next().ok_or("no service")?.build()?;
    let others = services.chain([writer]).map(|service| Ok(service.build()?));
    let others: Vec<Pipeline> = others.collect::<Result<_>>()?;
    let (count, seconds) = runtime.block_on(async {
        let mut others: Vec<_> = others.into_iter().map(Pipeline::start).collect();
        // Joining a group is no part of it.
        sleep(Duration::from_secs(5)).await;
        let began = Instant::now();
        let summary = first.run().await?;
        let seconds = began.elapsed().as_secs_f64();
        let count = summary.stats.sinks.iter().map(|sink| sink.rows).sum::<u64>() as usize;
        let until = Instant::now() + Duration::from_secs(60);
        let at_work = |others: &[Handle]| others.iter().all(|other| !other.is_finished());
        while locked(&ages).len() < count && Instant::now() < until && at_work(&others) {
            sleep(Duration::from_millis(10)).await;
        }
        for other in &mut others {
            other.stop();
            other.finished().await?;
        }
        Ok::<_, qicore::Error>((count, seconds))
    })?;
    match locked(&ages).len() {
        found if found == count && count > 0 => {}
        found => return Err(format!("{found} of {count} events came to the sink").into()),
    }
    Ok(text(name, quantiles(&ages)?, (count, seconds)))
}

fn text(name: &str, (median, most): (Duration, Duration), (events, seconds): (usize, f64)) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    format!(
        "LATENCY {name} p50 {:.1} ms p99 {:.1} ms ({:.0} events/s, {seconds:.0} s)",
        millis(median),
        millis(most),
        events as f64 / seconds,
    )
}

/// The median and the 99th percentile of the time from receipt to commit, at so many events a second; with transforms
/// whose state goes along with each checkpoint, or without.
pub fn measure(
    runtime: &Runtime,
    sink: impl Sink + 'static,
    batch: Option<BatchPolicy>,
    events: Vec<Event>,
    rate: f64,
    chain: bool,
) -> Result<(Duration, Duration)> {
    let ages = Ages::default();
    let noting = Noting {
        inner: sink,
        batch,
        ages: Arc::clone(&ages),
    };
    let mut builder = Pipeline::builder("latency")
        .source(Paced::new(events, rate))
        .sink(noting);
    if chain {
        builder = builder
            .transform(Validate::default())
            .transform(Dedupe::new(DedupeConfig::default())?)
            .transform(Candles::new([Timeframe::M1])?);
    }
    let pipeline = builder.build()?;
    runtime.block_on(pipeline.run())?;
    quantiles(&ages)
}

/// The median and the 99th percentile.
fn quantiles(ages: &Ages) -> Result<(Duration, Duration)> {
    let mut ages = std::mem::take(&mut *locked(ages));
    ages.sort_unstable();
    let at = |share: f64| {
        ages.get((ages.len() as f64 * share) as usize)
            .copied()
            .ok_or("no events")
    };
    Ok((at(0.5)?, at(0.99)?))
}

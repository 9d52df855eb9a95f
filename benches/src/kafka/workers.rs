//! Workers of a group, each a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use qicore::prelude::*;
use qicore::stores::kafka::Connection;
use qicore::{Delivery, Receipt, SinkCapabilities, WriterId};
use tokio::sync::{oneshot, watch};

use super::Topic;
use crate::Result;

/// How often a worker tells how far it is.
const TELLING: Duration = Duration::from_millis(10);
/// How long all workers may take together.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long the shares of a group must stay as they are.
const SETTLED: Duration = Duration::from_secs(2);

/// What a worker does: reads as a member of a group, validates, removes duplicates, makes candles. It waits before its first
/// event until its standard input has a line, and goes on until that ends. It tells how many partitions and events it has had
/// whenever that has changed.
pub fn work(brokers: &str, group: &str, topic: &str) -> Result<()> {
    let (open, gate) = watch::channel(false);
    let mut source = KafkaTopicsConfig::default();
    source.connection = Connection::brokers(brokers);
    source.group = Some(group.to_owned());
    source.topics = vec![topic.to_owned()];
    // Who waits lets go at once of what another one is to have.
    source.release_within = TELLING;
    let pipeline = Pipeline::builder("worker")
        .source(KafkaTopics::from_config(source))
        .transform(Validate::default())
        .transform(Dedupe::new(DedupeConfig::default())?)
        .transform(Candles::new(CandlesConfig::new([Timeframe::M1]))?)
        .sink(Gated(gate))
        .build()?;
    let (over, mut end) = oneshot::channel();
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(|line| line.ok()).for_each(|_| {
            let _ = open.send(true);
        });
        let _ = over.send(());
    });
    crate::pipelines::one_core()?.block_on(async move {
        let mut handle = pipeline.start();
        let mut told = (0, 0);
        loop {
            tokio::select! {
                _ = &mut end => break,
                ended = handle.finished() => return Err(format!("the pipeline has ended: {ended:?}").into()),
                () = tokio::time::sleep(TELLING) => {}
            }
            let stats = handle.stats();
            let now = (stats.lanes.len(), stats.total().messages);
            if now != told {
                told = now;
                writeln!(std::io::stdout(), "{} {}", now.0, now.1)?;
            }
        }
        handle.stop();
        handle.finished().await?;
        Ok(())
    })
}

/// Takes everything and keeps nothing, once it is opened.
struct Gated(watch::Receiver<bool>);

#[async_trait::async_trait]
impl Sink for Gated {
    fn name(&self) -> &str {
        "gated"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
    }

    async fn open(&self, _writer: &WriterId) -> qicore::Result<()> {
        Ok(())
    }

    async fn write(&self, _delivery: &Delivery) -> qicore::Result<Receipt> {
        // Who holds the gate is gone only where the process ends.
        let _ = self.0.clone().wait_for(|open| *open).await;
        Ok(Receipt::durable())
    }
}

/// What a worker has told: its number, its partitions, its events.
type Told = (usize, usize, u64);

/// One process, on a core of its own.
struct Worker {
    child: Child,
}

impl Worker {
    fn start(core: usize, topic: &Topic<'_>, group: &str, told: mpsc::Sender<Told>) -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(program)
            .args(["worker", topic.brokers(), group, topic.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().ok_or("no output")?;
        std::thread::spawn(move || {
            let lines = BufReader::new(lines).lines();
            let counts = lines.map_while(|line| {
                let line = line.ok()?;
                let (lanes, events) = line.split_once(' ')?;
                Some((core, lanes.parse().ok()?, events.parse().ok()?))
            });
            counts.map_while(|count| told.send(count).ok()).for_each(drop);
        });
        Ok(Self { child })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// So many workers of a new group, each on a core of its own, read a topic of so many events and as many partitions as two
/// workers have. The time that they take for all of them once each has its partitions; what they have read before that is
/// reckoned as if it had taken as long as the rest.
pub fn workers(count: usize, topic: &Topic<'_>, rows: u64) -> Result<Duration> {
    let nanos = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    let group = format!("{}-{nanos}", topic.name());
    let (told, counts) = mpsc::channel();
    let mut workers: Vec<_> = (0..count)
        .map(|core| Worker::start(core, topic, &group, told.clone()))
        .collect::<Result<_>>()?;
    let mut of_each = vec![(0, 0); count];
    let mut shared = false;
    loop {
        match counts.recv_timeout(if shared { SETTLED } else { PATIENCE }) {
            Ok((core, lanes, events)) => of_each[core] = (lanes, events),
            Err(mpsc::RecvTimeoutError::Timeout) if shared => break,
            Err(error) => return Err(error.into()),
        }
        shared =
            of_each.iter().all(|(lanes, _)| *lanes > 0) && of_each.iter().map(|(lanes, _)| lanes).sum::<usize>() >= 2;
    }
    let read = |of_each: &[(usize, u64)]| of_each.iter().map(|(_, events)| events).sum::<u64>();
    let before = read(&of_each);
    let start = Instant::now();
    for worker in &mut workers {
        worker.child.stdin.as_mut().ok_or("no input")?.write_all(b"go\n")?;
    }
    while read(&of_each) < rows {
        let (core, lanes, events) = counts.recv_timeout(PATIENCE.saturating_sub(start.elapsed()))?;
        of_each[core] = (lanes, events);
    }
    Ok(start.elapsed().mul_f64(rows as f64 / (rows - before) as f64))
}

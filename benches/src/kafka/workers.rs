//! Workers of a group, each a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use qicore::prelude::*;
use qicore::stores::kafka::Connection;

use super::Topic;
use crate::Result;

/// How often a worker tells how far it is.
const TELLING: Duration = Duration::from_millis(10);
/// How long all workers may take together.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a worker does: reads as a member of a group, validates, removes duplicates, makes candles. It tells how many events it
/// has had whenever that has changed, and goes on until its standard input ends.
pub fn work(brokers: &str, group: &str, topic: &str) -> Result<()> {
    let pipeline = Pipeline::builder("worker")
        .source(KafkaTopics::group(Connection::brokers(brokers), group, [topic]))
        .transform(Validate::default())
        .transform(Dedupe::new(DedupeConfig::default())?)
        .transform(Candles::new(CandlesConfig::new([Timeframe::M1]))?)
        .sink(Discard::new())
        .build()?;
    let runtime = crate::pipelines::one_core()?;
    let (over, mut end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = over.send(());
    });
    runtime.block_on(async move {
        let mut handle = pipeline.start();
        let mut told = 0;
        loop {
            tokio::select! {
                _ = &mut end => break,
                ended = handle.finished() => return Err(format!("the pipeline has ended: {ended:?}").into()),
                () = tokio::time::sleep(TELLING) => {}
            }
            let events = handle.stats().total().messages;
            if events != told {
                told = events;
                writeln!(std::io::stdout(), "{told}")?;
            }
        }
        handle.stop();
        handle.finished().await?;
        Ok(())
    })
}

/// One process, on a core of its own.
struct Worker {
    child: Child,
}

impl Worker {
    fn start(core: usize, topic: &Topic<'_>, group: &str, told: mpsc::Sender<(usize, u64)>) -> Result<Self> {
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
            let counts = lines.map_while(|line| line.ok()?.parse().ok());
            counts.map_while(|count| told.send((core, count)).ok()).for_each(drop);
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

/// So many workers of a new group, each on a core of its own, read a topic of so many events. The time from the first event
/// that any of them tells until all are read; partitions that change hands in between are part of it.
pub fn workers(count: usize, topic: &Topic<'_>, rows: u64) -> Result<Duration> {
    let nanos = SystemTime::UNIX_EPOCH.elapsed()?.as_nanos();
    let group = format!("{}-{nanos}", topic.name());
    let (told, counts) = mpsc::channel();
    let workers: Vec<_> = (0..count)
        .map(|core| Worker::start(core, topic, &group, told.clone()))
        .collect::<Result<_>>()?;
    let mut of_each = vec![0; workers.len()];
    let (core, first) = counts.recv_timeout(PATIENCE)?;
    of_each[core] = first;
    let start = Instant::now();
    while of_each.iter().sum::<u64>() < rows {
        let left = PATIENCE.saturating_sub(start.elapsed());
        let (core, count) = counts.recv_timeout(left)?;
        of_each[core] = count;
    }
    Ok(start.elapsed())
}

//! From the socket to the sink.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qicore::sources::Channel;
use qicore::{BatchPolicy, Delivery, Receipt, Sink, SinkCapabilities, Timestamp, WriterId};

use super::stretch::{Stretch, run_until};
use super::{Server, Venue};
use crate::Result;
use crate::pipelines::cores;

/// Frames a second.
const RATE: u64 = 20_000;
/// Seconds that are measured; the first is left out.
const SECONDS: u64 = 10;

/// Notes how old events are when they are to be written.
struct Noting {
    stretch: Arc<Stretch>,
    ages: Arc<Mutex<Vec<Duration>>>,
}

#[async_trait]
impl Sink for Noting {
    fn name(&self) -> &str {
        "noting"
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities::default()
    }

    async fn open(&self, _writer: &WriterId) -> qicore::Result<()> {
        Ok(())
    }

    async fn write(&self, delivery: &Delivery) -> qicore::Result<Receipt> {
        let now = Timestamp::now();
        let received = delivery.iter().filter_map(|event| event.received);
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        ages.extend(received.map(|at| now.since(at)));
        self.stretch.add(delivery.len() as u64);
        Ok(Receipt::durable())
    }
}

/// `LATENCY venues/receive-to-sink p50 … ms p99 … ms`: from when a frame was read off the socket to when its event was given
/// to the sink, which waits for no others.
pub fn receive_to_sink() -> Result<String> {
    let rate = RATE.to_string();
    let server = Server::start(
        Venue::Binance,
        &["--frames-per-second", &rate, "--trade-interval", "1s"],
    )?;
    let source = Venue::Binance.source(&server, [Channel::Trades])?;
    let stretch = Stretch::new(RATE..RATE * (1 + SECONDS));
    let ages = Arc::new(Mutex::new(Vec::with_capacity((RATE * (2 + SECONDS)) as usize)));
    let sink = Noting {
        stretch: Arc::clone(&stretch),
        ages: Arc::clone(&ages),
    };
    let (policy, no_time) = (BatchPolicy::default(), Duration::ZERO);
    let at_once = BatchPolicy::new(policy.events, policy.bytes, no_time);
    run_until(&cores(2)?, source, sink, Some(at_once), &stretch)?;
    let taken = stretch.taken()?;
    let ages = ages.lock().unwrap_or_else(PoisonError::into_inner);
    let mut ages = ages.get(RATE as usize..).ok_or("no events")?.to_vec();
    ages.sort_unstable();
    let at = |share: f64| ages[(ages.len() as f64 * share) as usize].as_secs_f64() * 1000.0;
    Ok(format!(
        "LATENCY venues/receive-to-sink p50 {:.3} ms p99 {:.3} ms p99.9 {:.3} ms ({:.0} frames/s, {:.0} s)",
        at(0.5),
        at(0.99),
        at(0.999),
        taken.count as f64 / taken.time.as_secs_f64(),
        taken.time.as_secs_f64(),
    ))
}

//! A live feed that is cut again and again: is anything lost or doubled, and does memory stay flat?

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use qicore::prelude::Symbol;
use qicore::sources::Channel;
use qicore::{Data, Delivery, Pipeline, Receipt, RetryPolicy, Sink, SinkCapabilities, TradeId, WriterId};

use super::{Server, Venue};
use crate::Result;
use crate::pipelines::cores;
use crate::process::resident;

/// Messages of the feed; 10 symbols with a trade a millisecond each.
const FRAMES: u64 = 1_000_000;
const DISCONNECTS: usize = 200;
/// 200 of them, with the time it takes to be there again, are a little shorter than the feed.
const EVERY: &str = "420ms";
/// Ids of a symbol that there is room for, from the first on.
const ROOM: usize = 2_000_000;

/// What has come of each symbol.
#[derive(Debug, Default)]
struct Ids {
    symbols: HashMap<Symbol, Seen>,
    events: u64,
    gaps: u64,
}

#[derive(Debug)]
struct Seen {
    first: u64,
    last: u64,
    /// By id, from the first on.
    once: Vec<u64>,
    count: u64,
    duplicated: u64,
}

impl Seen {
    fn new(first: u64) -> Self {
        Self {
            first,
            last: first,
            once: vec![0; ROOM / 64],
            count: 0,
            duplicated: 0,
        }
    }

    fn take(&mut self, id: u64) {
        let at = id.wrapping_sub(self.first) as usize;
        let Some(word) = self.once.get_mut(at / 64) else {
            // Before the first, or far behind the last: told as doubled, since it cannot be of the feed.
            self.duplicated += 1;
            return;
        };
        let bit = 1 << (at % 64);
        if *word & bit != 0 {
            self.duplicated += 1;
        } else {
            *word |= bit;
            self.count += 1;
            self.last = self.last.max(id);
        }
    }

    fn lost(&self) -> u64 {
        self.last - self.first + 1 - self.count
    }
}

/// Notes all ids.
#[derive(Debug, Clone, Default)]
struct Noting(Arc<Mutex<Ids>>);

impl Noting {
    fn ids(&self) -> MutexGuard<'_, Ids> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        let mut ids = self.ids();
        for event in delivery.iter() {
            match &event.data {
                Data::Trade(trade) => {
                    if let Some(TradeId::Number(id)) = trade.id {
                        ids.symbols
                            .entry(event.symbol)
                            .or_insert_with(|| Seen::new(id))
                            .take(id);
                        ids.events += 1;
                    }
                }
                Data::Gap(_) => ids.gaps += 1,
                _ => {}
            }
        }
        Ok(Receipt::durable())
    }
}

/// The line `SOAK venues/live`, and whether nothing was lost and nothing came twice. What memory was at a tenth, a half and the
/// whole goes before it, a line each.
pub fn soak() -> Result<(Vec<String>, bool)> {
    let disconnects = DISCONNECTS.to_string();
    let options = ["--no-rest-budget", "--trade-interval", "1ms"];
    let faults = ["--disconnect-every", EVERY, "--disconnects", &disconnects];
    let server = Server::start(Venue::Binance, &[options.as_slice(), &faults].concat())?;
    let mut source = Venue::Binance.source(&server, [Channel::Trades])?;
    // Each of these connections is short: pauses that grow are for hosts that are down.
    source.config_mut().reconnect = RetryPolicy::default().pauses(Duration::from_millis(10), Duration::from_millis(50));
    source.config_mut().limits = Some(Vec::new());
    let sink = Noting::default();
    let pipeline = Pipeline::builder("venues").source(source).sink(sink.clone()).build()?;
    let mut lines = Vec::new();
    let mut memory = Vec::new();
    let elapsed = cores(2)?.block_on(async {
        let mut run = pipeline.start();
        loop {
            tokio::select! {
                ended = run.finished() => {
                    ended?;
                    return Err("the feed has ended".into());
                }
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
            let events = sink.ids().events;
            let due = [FRAMES / 10, FRAMES / 2, FRAMES].get(memory.len());
            if due.is_some_and(|due| events >= *due) {
                memory.push(resident()?);
                lines.push(format!(
                    "{:3} % {:.1} MiB",
                    events * 100 / FRAMES,
                    memory[memory.len() - 1]
                ));
            }
            if memory.len() == 3 && server.seen()?.faults >= DISCONNECTS {
                break;
            }
        }
        // What was missed last is asked for.
        tokio::time::sleep(Duration::from_secs(2)).await;
        run.stop();
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(run.finished().await?.stats.elapsed)
    })?;
    let seen = server.well_behaved()?;
    let ids = sink.ids();
    let sum = |of: fn(&Seen) -> u64| ids.symbols.values().map(of).sum::<u64>();
    let (lost, duplicated) = (sum(Seen::lost), sum(|seen| seen.duplicated));
    lines.push(format!(
        "SOAK venues/live frames={} disconnects={} lost={lost} duplicated={duplicated} gaps={} rss_start={:.1} rss_half={:.1} rss_end={:.1} MiB seconds={:.0}",
        ids.events,
        seen.faults,
        ids.gaps,
        memory[0],
        memory[1],
        memory[2],
        elapsed.as_secs_f64(),
    ));
    Ok((lines, lost == 0 && duplicated == 0))
}

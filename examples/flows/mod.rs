//! The services of a flow, each from its pipeline file, all in this process. In production each is a process of its own:
//! `qicore run pipelines/FILE.toml`, on as many machines as there are partitions.

use std::error::Error;
use std::time::Duration;

use comfy_table::Table;
use qicore::prelude::*;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long nobody must be behind until a flow is over.
const QUIET: Duration = Duration::from_secs(3);
/// How often it is told how far everything is.
const TICK: Duration = Duration::from_millis(500);

/// A pipeline at work.
struct Service {
    name: &'static str,
    handle: Handle,
}

impl Service {
    /// Starts the pipeline of one of the shipped files.
    fn start(name: &'static str) -> Outcome<Self> {
        let file = format!("{}/pipelines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file)?;
        let pipeline =
            Pipeline::from_toml(&text, &qicore::registry()).map_err(|mistakes| format!("{file}:\n{mistakes}"))?;
        let handle = pipeline.start();
        Ok(Self { name, handle })
    }

    /// What it has read, written, and has yet to read.
    fn line(&self) -> String {
        let stats = self.handle.stats();
        let written: u64 = stats.sinks.iter().map(|sink| sink.rows).sum();
        let behind = match stats.total().lag {
            Some(behind) => format!(" ({behind} behind)"),
            None => String::new(),
        };
        format!("{}: {written} rows{behind}", self.name)
    }

    fn is_behind(&self) -> bool {
        self.handle.stats().total().lag != Some(0)
    }
}

/// Runs ingests, one after the other, and the services behind them, and tells how far they are, until the last ingest has ended
/// and no service has been behind for a while. Then stops them: what they have taken is written first.
pub(crate) async fn run(ingests: &[&'static str], services: &[&'static str]) -> Outcome {
    let mut services: Vec<_> = services.iter().copied().map(Service::start).collect::<Outcome<_>>()?;
    for name in ingests {
        let mut ingest = Service::start(name)?;
        while !ingest.handle.is_finished() {
            watch(&mut services, Some(&ingest)).await?;
        }
        ingest.handle.finished().await?;
    }
    let mut quiet = Duration::ZERO;
    while quiet < QUIET {
        watch(&mut services, None).await?;
        let behind = services.iter().any(Service::is_behind);
        quiet = if behind { Duration::ZERO } else { quiet + TICK };
    }
    for service in &mut services {
        service.handle.stop();
        service.handle.finished().await?;
    }
    Ok(())
}

/// Waits a moment and tells how far everything is.
async fn watch(services: &mut [Service], ingest: Option<&Service>) -> Outcome {
    tokio::time::sleep(TICK).await;
    if let Some(service) = services.iter_mut().find(|service| service.handle.is_finished()) {
        service.handle.finished().await?;
        return Err(format!("{} has ended before the ingest", service.name).into());
    }
    let lines: Vec<_> = ingest.into_iter().chain(services.iter()).map(Service::line).collect();
    if !lines.is_empty() {
        println!("{}", lines.join(" → "));
    }
    Ok(())
}

/// Candles as a table.
pub(crate) fn candles(events: &[Event]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::UTF8_FULL_CONDENSED);
    table.set_header(["venue", "symbol", "opened", "open", "high", "low", "close", "volume"]);
    for event in events {
        let Data::Candle(bar) = &event.data else { continue };
        let names = [
            event.exchange.to_string(),
            event.symbol.to_string(),
            event.timestamp.to_string(),
        ];
        let numbers = [bar.open, bar.high, bar.low, bar.close, bar.volume].map(|number| number.to_string());
        table.add_row(names.into_iter().chain(numbers));
    }
    table
}

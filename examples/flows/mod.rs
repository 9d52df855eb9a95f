//! The services of a flow, each from its pipeline file, all in this process. In production each is a process of its own:
//! `qicore run pipelines/FILE.toml`, on as many machines as there are partitions.

use std::error::Error;
use std::time::Duration;

use comfy_table::Table;
use qicore::prelude::*;
use qicore::stores::kafka::{Connection, admin};

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long nobody must be behind until a flow is over.
const QUIET: Duration = Duration::from_secs(3);

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

/// Makes what is missing of the default topics, as `qicore topics apply` does.
async fn topics() -> Outcome {
    let brokers = std::env::var("QICORE_KAFKA_BROKERS").map_err(
        |_| "no broker: eval \"$(./scripts/services.sh start kafka timescale clickhouse)\" starts all servers",
    )?;
    let specs = admin::default_topics().into_iter();
    let specs: Vec<_> = specs.map(|(name, contents)| contents.spec(name)).collect();
    Ok(admin::create(&Connection::brokers(brokers), &specs).await?)
}

/// Runs an ingest and the services behind it, and tells how far they are, until the ingest has ended and no service has been
/// behind for a while. Then stops them: what they have taken is written first.
pub(crate) async fn run(ingest: &'static str, services: &[&'static str]) -> Outcome {
    if !services.is_empty() {
        topics().await?;
    }
    let mut services: Vec<_> = services.iter().copied().map(Service::start).collect::<Outcome<_>>()?;
    let mut ingest = Service::start(ingest)?;
    let (mut quiet, tick) = (Duration::ZERO, Duration::from_secs(1));
    while quiet < QUIET {
        tokio::time::sleep(tick).await;
        if let Some(service) = services.iter_mut().find(|service| service.handle.is_finished()) {
            service.handle.finished().await?;
            return Err(format!("{} has ended before the ingest", service.name).into());
        }
        let lines: Vec<_> = std::iter::once(&ingest).chain(&services).map(Service::line).collect();
        println!("{}", lines.join(" → "));
        let over = ingest.handle.is_finished() && !services.iter().any(Service::is_behind);
        quiet = if over { quiet + tick } else { Duration::ZERO };
    }
    ingest.handle.finished().await?;
    for service in &mut services {
        service.handle.stop();
        service.handle.finished().await?;
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

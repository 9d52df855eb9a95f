//! History of a venue: as fast as its limit allows, and as fast as it can be read.

use std::time::Duration;

use qicore::Timestamp;
use qicore::prelude::Timeframe;
use qicore::sources::{Channel, Market, Window, binance};

use super::stretch::{Taken, of_pipeline};
use super::{Server, Venue};
use crate::Result;
use crate::pipelines::cores;
use crate::ratio::{Ratio, measure};

/// One-minute candles: not quite two years.
const CANDLES: u64 = 1_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const START: &str = "2022-01-01T00:00:00Z";
/// Candles of a request, and its weight.
const PAGE: u64 = 1_000;
const WEIGHT: u64 = 2;
/// The weight of the request for the instruments, which comes first.
const INSTRUMENTS: u64 = 20;
/// Without a limit, candles a second.
const PROMISED: f64 = 200_000.0;

/// A limit, so much weight in any stretch of so long.
#[derive(Debug, Clone, Copy)]
pub struct Limited {
    weight: u64,
    period: Duration,
}

impl Limited {
    /// That of the bench: 330 pages every four seconds, so that the last 20 may be asked for after twelve. Answers of a
    /// loaded machine take tens of milliseconds: against windows much shorter than a venue's, they would be what is measured.
    pub const BENCH: Self = Self {
        weight: 660,
        period: Duration::from_secs(4),
    };

    /// The least time in which all pages can be asked for: what the first stretch allows goes at once, and so many more as
    /// each of the others allows when it begins. Answers take no time.
    fn ideal(self) -> Duration {
        let (mut left, mut stretches) = (CANDLES.div_ceil(PAGE), 0);
        let mut room = (self.weight - INSTRUMENTS) / WEIGHT;
        while left > room {
            left -= room;
            room = self.weight / WEIGHT;
            stretches += 1;
        }
        self.period * stretches
    }
}

fn source(server: &Server, limits: Vec<Window>) -> Result<Market> {
    let from: Timestamp = START.parse().map_err(|_| "no time")?;
    let mut source = binance::source()
        .symbols(["BTC/USDT"])?
        .channels([Channel::Candles(Timeframe::M1)])
        .at(server.http(), server.ws())
        .from(from)
        .to(from.saturating_add(MINUTE * u32::try_from(CANDLES)?));
    source.config_mut().limits = Some(limits);
    Ok(source)
}

/// A venue with a trade a minute, so that each bar has one.
fn server(options: &[&str]) -> Result<Server> {
    // A day before the first bar that is asked for.
    let market = ["--start", "2021-12-31T00:00:00Z", "--trade-interval", "1m"];
    Server::start(Venue::Binance, &[&market, options].concat())
}

fn run(server: &Server, limits: Vec<Window>) -> Result<Taken> {
    // All but the last page: those that are timed begin with the first.
    of_pipeline(&cores(2)?, source(server, limits)?, 1..CANDLES)
}

/// The line `venues/backfill-limit`: against what the limit allows.
pub fn limited(limit: Limited) -> Result<Ratio> {
    let (weight, window) = (limit.weight.to_string(), format!("{}ms", limit.period.as_millis()));
    let candles = CANDLES as f64;
    measure(
        "venues/backfill-limit",
        "candles/s",
        1,
        (candles, candles),
        &mut || {
            let server = server(&["--rest-budget", &weight, "--rest-window", &window])?;
            let began = std::time::Instant::now();
            run(&server, vec![Window::new(u32::try_from(limit.weight)?, limit.period)])?;
            let took = began.elapsed();
            server.well_behaved()?;
            Ok(took)
        },
        &mut || Ok(limit.ideal()),
    )
}

/// The line `venues/backfill-free`: without a limit, against a promised speed. And candles of a core.
pub fn free() -> Result<(Ratio, String)> {
    let candles = CANDLES as f64;
    let server = server(&["--no-rest-budget", "--keep-answers"])?;
    // The venue makes its pages in the first run, which takes longer than to read them.
    run(&server, Vec::new())?;
    let mut all = Taken::default();
    let ratio = measure(
        "venues/backfill-free",
        "candles/s",
        3,
        (candles, PROMISED),
        &mut || {
            let taken = run(&server, Vec::new())?;
            all.add(taken);
            Ok(taken.time_of(candles))
        },
        &mut || Ok(Duration::from_secs(1)),
    )?;
    let line = format!("CORE venues/backfill-free {:.0} candles/s of a core", all.of_a_core());
    Ok((ratio, line))
}

//! A local venue as a program: prints one line with its URLs when it is ready, and runs until it is interrupted.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use chrono::DateTime;
use clap::Parser;
use qicore_localvenue::{ChaosConfig, Limits, LocalVenue, VenueKind};

/// A local venue for tests: REST, WebSocket and `/_truth/{now,trades,candles}` on one port of loopback.
#[derive(Debug, Parser)]
#[command(name = "qicore-localvenue", version)]
struct Arguments {
    /// binance, coinbase or kraken.
    #[arg(long)]
    venue: VenueKind,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Canonical symbols, separated by commas: BTC/USDT,ETH/USDT.
    #[arg(long, value_delimiter = ',')]
    symbols: Vec<String>,
    /// Time between trades of a symbol: 20ms, 1s, 1m.
    #[arg(long, value_parser = duration, default_value = "100ms")]
    trade_interval: Duration,
    /// Time between updates of a book.
    #[arg(long, value_parser = duration, default_value = "100ms")]
    book_interval: Duration,
    /// Seed of the market.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// When the market started, RFC 3339. Default: two days ago.
    #[arg(long, value_parser = instant)]
    start: Option<i64>,
    /// Speak TLS.
    #[arg(long)]
    tls: bool,
    /// Where to write the certificate to trust.
    #[arg(long, requires = "tls")]
    ca_out: Option<PathBuf>,
    /// Milliseconds the venue's clock is ahead.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    clock_skew_ms: i64,
    /// Random trouble with this seed.
    #[arg(long)]
    chaos: Option<u64>,
    /// Of that trouble, the share of messages that are lost.
    #[arg(long, default_value_t = ChaosConfig::default().drop, requires = "chaos")]
    chaos_drop: f64,
    /// No REST budget.
    #[arg(long)]
    no_rest_budget: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let number: u64 = digits.parse().map_err(|_| format!("no duration: {text}"))?;
    match &text[digits.len()..] {
        "us" => Ok(Duration::from_micros(number)),
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(60 * number)),
        "h" => Ok(Duration::from_secs(3_600 * number)),
        unit => Err(format!("unknown unit {unit:?}: us, ms, s, m or h")),
    }
}

fn instant(text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text).map_err(|error| error.to_string())?;
    time.timestamp_nanos_opt().ok_or_else(|| "out of range".to_owned())
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let result = runtime.block_on(run(arguments));
    // An answer that is still computed is not waited for.
    runtime.shutdown_background();
    result
}

async fn run(arguments: Arguments) -> io::Result<()> {
    let limits = Limits::of(arguments.venue);
    let mut builder = LocalVenue::builder(arguments.venue)
        .port(arguments.port)
        .symbols(&arguments.symbols)
        .seed(arguments.seed)
        .trade_interval(arguments.trade_interval)
        .book_interval(arguments.book_interval)
        .clock_skew_ms(arguments.clock_skew_ms)
        .limits(if arguments.no_rest_budget {
            limits.without_rest_budget()
        } else {
            limits
        })
        .tls(arguments.tls);
    if let Some(start) = arguments.start {
        builder = builder.start_at(start);
    }
    let venue = builder.start().await?;
    if let (Some(path), Some(pem)) = (&arguments.ca_out, venue.ca_pem()) {
        std::fs::write(path, pem)?;
    }
    if let Some(seed) = arguments.chaos {
        let chaos = ChaosConfig {
            drop: arguments.chaos_drop,
            ..ChaosConfig::default()
        };
        venue.faults().chaos(seed, &chaos);
    }
    let mut stdout = io::stdout();
    writeln!(stdout, "http={} ws={}", venue.http_url(), venue.ws_url())?;
    stdout.flush()?;
    tokio::signal::ctrl_c().await?;
    let mut stderr = io::stderr();
    for violation in venue.log().violations() {
        writeln!(stderr, "violation: {violation:?}")?;
    }
    venue.stop().await;
    Ok(())
}

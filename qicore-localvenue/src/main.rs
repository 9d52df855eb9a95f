//! A local venue as a program: prints one line with its URLs when it is ready, and runs until it is interrupted.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use chrono::DateTime;
use clap::Parser;
use qicore_localvenue::{ChaosConfig, Faults, Limits, LocalVenue, Log, VenueKind};

/// A local venue for tests: REST, WebSocket and `/_truth/{now,trades,candles,log}` on one port of loopback.
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
    /// REST budget instead of the venue's: weight of a window (Binance), or requests of a burst.
    #[arg(long, conflicts_with = "no_rest_budget")]
    rest_budget: Option<u32>,
    /// The budget's window (Binance), or the time in which one request is earned back.
    #[arg(long, value_parser = duration, conflicts_with = "no_rest_budget")]
    rest_window: Option<Duration>,
    /// Make each REST answer once, and give it again when the same is asked.
    #[arg(long, requires = "no_rest_budget")]
    keep_answers: bool,
    /// Trades sent after each subscription as fast as the socket takes them.
    #[arg(long, default_value_t = 0)]
    burst_frames: u64,
    /// Trades a second to each connection, beyond those of the market.
    #[arg(long, default_value_t = 0)]
    frames_per_second: u64,
    /// Time between two disconnections of all connections, by reset, FIN and close frame in turn.
    #[arg(long, value_parser = duration)]
    disconnect_every: Option<Duration>,
    /// How many of them; each waits until there is a WebSocket.
    #[arg(long, default_value_t = u64::MAX, requires = "disconnect_every")]
    disconnects: u64,
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

impl Arguments {
    fn limits(&self) -> Limits {
        let limits = Limits::of(self.venue);
        if self.no_rest_budget {
            return limits.without_rest_budget();
        }
        Limits {
            rest_budget: self.rest_budget.unwrap_or(limits.rest_budget),
            rest_window: self.rest_window.unwrap_or(limits.rest_window),
            ..limits
        }
    }
}

/// Ends all connections so many times, each time when there is one.
async fn disconnect(log: Log, faults: Faults, every: Duration, times: u64) {
    for turn in 0..times {
        tokio::time::sleep(every).await;
        while log.open_connections() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        match turn % 3 {
            0 => faults.reset_all(),
            1 => faults.drop_all(),
            _ => faults.close_all(1001, "going away"),
        }
    }
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
    let mut builder = LocalVenue::builder(arguments.venue)
        .port(arguments.port)
        .symbols(&arguments.symbols)
        .seed(arguments.seed)
        .trade_interval(arguments.trade_interval)
        .book_interval(arguments.book_interval)
        .clock_skew_ms(arguments.clock_skew_ms)
        .limits(arguments.limits())
        .keep_answers(arguments.keep_answers)
        .burst_frames(arguments.burst_frames)
        .frames_per_second(arguments.frames_per_second)
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
    if let Some(every) = arguments.disconnect_every {
        tokio::spawn(disconnect(venue.log(), venue.faults(), every, arguments.disconnects));
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

//! What the examples of live venues share: how a venue is named and found, and how an example ends.

#![allow(dead_code, reason = "each example takes what it needs")]

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal, Write as _};
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use qicore::prelude::*;
use qicore::settings::duration;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A venue, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Venue {
    Binance,
    Coinbase,
    Kraken,
}

impl Venue {
    pub(crate) const ALL: [Self; 3] = [Self::Binance, Self::Coinbase, Self::Kraken];

    /// Its source, with nothing asked for yet.
    pub(crate) fn source(self) -> Market {
        match self {
            Self::Binance => binance::source(),
            Self::Coinbase => coinbase::source(),
            Self::Kraken => kraken::source(),
        }
    }

    /// What everybody trades there.
    pub(crate) fn symbols(self) -> [&'static str; 2] {
        match self {
            Self::Binance => ["BTC/USDT", "ETH/USDT"],
            Self::Coinbase | Self::Kraken => ["BTC/USD", "ETH/USD"],
        }
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Binance => "binance",
            Self::Coinbase => "coinbase",
            Self::Kraken => "kraken",
        })
    }
}

impl FromStr for Venue {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|venue| venue.to_string() == name);
        found.ok_or_else(|| format!("unknown venue {name:?}: binance, coinbase or kraken"))
    }
}

/// Where a venue is, if not at its own address: `cargo run -p qicore-localvenue -- --venue kraken` prints such addresses.
#[derive(Debug, Clone, Args)]
pub(crate) struct Address {
    /// The HTTP interface of a venue that is not at its own address (a local venue).
    #[arg(long, env = "QICORE_REST_URL", requires = "ws_url", value_name = "URL")]
    rest_url: Option<String>,
    /// Its WebSocket.
    #[arg(long, env = "QICORE_WS_URL", requires = "rest_url", value_name = "URL")]
    ws_url: Option<String>,
}

impl Address {
    pub(crate) fn new(rest_url: &str, ws_url: &str) -> Self {
        Self {
            rest_url: Some(rest_url.to_owned()),
            ws_url: Some(ws_url.to_owned()),
        }
    }

    /// Points a source there.
    pub(crate) fn of(&self, market: Market) -> Market {
        let (Some(rest), Some(ws)) = (&self.rest_url, &self.ws_url) else {
            return market;
        };
        let mut market = market.at(rest, ws);
        // Coinbase has the history of trades at another host.
        market.config_mut().exchange_url = Some(rest.clone());
        market
    }
}

/// How long an example runs.
#[derive(Debug, Clone, Args)]
pub(crate) struct Runs {
    /// Ends by itself after so long ("10s", "5m"); without it, Ctrl-C ends it.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    time: Option<Duration>,
}

impl Runs {
    /// Waits for Ctrl-C, or until the time is over.
    pub(crate) async fn over(&self) -> std::io::Result<()> {
        match self.time {
            None => tokio::signal::ctrl_c().await,
            Some(time) => tokio::select! {
                pressed = tokio::signal::ctrl_c() => pressed,
                () = tokio::time::sleep(time) => Ok(()),
            },
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).ok_or_else(|| format!("{text:?} is not a time like \"10s\" or \"5m\""))
}

/// A table that is drawn over itself where standard output is a terminal, and once at the end where it is not.
pub(crate) struct Screen {
    terminal: bool,
    lines: usize,
    last: String,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            terminal: std::io::stdout().is_terminal(),
            lines: 0,
            last: String::new(),
        }
    }

    pub(crate) fn show(&mut self, text: String) -> std::io::Result<()> {
        if self.terminal && text != self.last {
            let mut out = std::io::stdout().lock();
            if self.lines > 0 {
                // Up to the first line of what was shown, and away with it.
                write!(out, "\x1b[{}A\x1b[0J", self.lines)?;
            }
            writeln!(out, "{text}")?;
            out.flush()?;
            self.lines = text.lines().count();
        }
        self.last = text;
        Ok(())
    }

    pub(crate) fn end(self) -> std::io::Result<()> {
        match self.terminal {
            true => Ok(()),
            false => writeln!(std::io::stdout(), "{}", self.last),
        }
    }
}

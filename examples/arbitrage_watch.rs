//! The best bid and ask of one instrument on several venues side by side, and what lies between them: for watching, not for trading
//! (fees and the time that an order takes are not in it).
//!
//! ```sh
//! cargo run --example arbitrage_watch -- binance:BTC/USDT coinbase:BTC/USD kraken:BTC/USD
//!
//! # Without the network: local venues, which print their addresses.
//! cargo run -p qicore-localvenue -- --venue kraken
//! cargo run --example arbitrage_watch -- kraken:BTC/USD binance:BTC/USDT --for 10s \
//!     --at kraken=http://127.0.0.1:PORT,ws://127.0.0.1:PORT --at binance=http://127.0.0.1:PORT,ws://127.0.0.1:PORT
//! ```
//! A venue whose connection was lost is `stale` until its next quote: prices of before say nothing of now. Ctrl-C ends it.

mod venues;

use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser;
use comfy_table::{Table, presets};
use qicore::prelude::*;
use qicore::{Decimal, Quote};
use venues::{Address, Outcome, Runs, Screen, Venue};

/// The best bid and ask of several venues side by side.
#[derive(Parser)]
struct Options {
    /// What is watched where.
    #[arg(value_parser = leg, default_values = ["binance:BTC/USDT", "coinbase:BTC/USD", "kraken:BTC/USD"])]
    legs: Vec<(Venue, String)>,
    /// Where a venue is that is not at its own address: VENUE=REST_URL,WS_URL.
    #[arg(long, value_parser = address, value_name = "VENUE=URL,URL")]
    at: Vec<(Venue, Address)>,
    /// A venue that has told no quote for so many seconds is stale.
    #[arg(long, default_value_t = 10)]
    patience: u64,
    #[command(flatten)]
    runs: Runs,
}

fn leg(text: &str) -> Result<(Venue, String), String> {
    let (venue, symbol) = text
        .split_once(':')
        .ok_or("write VENUE:SYMBOL, such as kraken:BTC/USD")?;
    Ok((venue.parse()?, symbol.to_owned()))
}

fn address(text: &str) -> Result<(Venue, Address), String> {
    let parts = text
        .split_once('=')
        .and_then(|(venue, urls)| Some((venue, urls.split_once(',')?)));
    let (venue, (rest, ws)) = parts.ok_or("write VENUE=REST_URL,WS_URL")?;
    Ok((venue.parse()?, Address::new(rest, ws)))
}

#[tokio::main]
async fn main() -> Outcome {
    let options = Options::parse();
    let quotes = Memory::new();
    let mut running = Vec::new();
    for (venue, symbol) in &options.legs {
        running.push(pipeline(*venue, symbol, &options, &quotes)?.start());
    }

    let (mut screen, mut book) = (Screen::new(), BTreeMap::<_, Side>::new());
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let over = options.runs.over();
    tokio::pin!(over);
    loop {
        tokio::select! {
            ended = &mut over => { ended?; break }
            _ = ticks.tick() => {
                for event in quotes.take() {
                    book.entry(format!("{} {}", event.exchange, event.symbol)).or_default().take(&event);
                }
                let patience = Duration::from_secs(options.patience);
                book.values_mut().for_each(|side| side.wait(patience));
                screen.show(table(&book))?;
                if running.iter().any(Handle::is_finished) {
                    break;
                }
            }
        }
    }
    screen.end()?;
    for handle in running {
        handle.stop();
        handle.wait().await?;
    }
    Ok(())
}

/// The quotes of one venue, into what all of them share.
fn pipeline(venue: Venue, symbol: &str, options: &Options, quotes: &Memory) -> qicore::Result<Pipeline> {
    let market = venue.source().symbols([symbol])?.channels([Channel::Quotes]);
    let market = match options.at.iter().find(|(at, _)| *at == venue) {
        Some((_, address)) => address.of(market),
        None => market,
    };
    Pipeline::builder(format!("watch-{venue}"))
        .source(market)
        .sink(quotes.clone())
        .build()
}

/// What is known of an instrument on a venue.
#[derive(Default)]
struct Side {
    quote: Option<Quote>,
    at: Timestamp,
    stale: bool,
    gaps: u64,
}

impl Side {
    fn take(&mut self, event: &Event) {
        match &event.data {
            Data::Quote(quote) => {
                *self = Self {
                    quote: Some(quote.clone()),
                    at: Timestamp::now(),
                    stale: false,
                    ..*self
                };
            }
            Data::Gap(_) => {
                self.stale = true;
                self.gaps += 1;
            }
            _ => {}
        }
    }

    fn wait(&mut self, patience: Duration) {
        self.stale |= Timestamp::now().since(self.at) > patience;
    }

    /// What can be dealt on.
    fn fresh(&self) -> Option<&Quote> {
        self.quote.as_ref().filter(|_| !self.stale)
    }
}

fn table(book: &BTreeMap<String, Side>) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "bid", "size", "ask", "size", "spread, bp", "gaps", "state"]);
    for (name, side) in book {
        let mut row = vec![name.clone()];
        match &side.quote {
            Some(quote) => {
                row.extend(
                    [quote.bid, quote.bid_size, quote.ask, quote.ask_size].map(|number| number.normalize().to_string()),
                );
                row.push(basis_points(quote.ask, quote.bid));
            }
            None => row.extend(std::iter::repeat_n("-".to_owned(), 5)),
        }
        row.push(side.gaps.to_string());
        row.push(if side.stale { "stale" } else { "live" }.to_owned());
        table.add_row(row);
    }
    format!("{table}\n{}", best(book))
}

/// The most that a unit bought on one venue and sold on another one brings, before fees.
fn best(book: &BTreeMap<String, Side>) -> String {
    let fresh = || book.iter().filter_map(|(name, side)| Some((name, side.fresh()?)));
    let pairs = fresh().flat_map(|buy| fresh().map(move |sell| (buy, sell)));
    let across = pairs.filter(|((buy, _), (sell, _))| buy != sell);
    let gain = |(_, buy): (&String, &Quote), (_, sell): (&String, &Quote)| (sell.bid - buy.ask) / buy.ask;
    match across.max_by_key(|(buy, sell)| gain(*buy, *sell)) {
        Some(((from, buy), (to, sell))) => {
            format!(
                "buy {from} at {}, sell {to} at {}: {} bp",
                buy.ask,
                sell.bid,
                basis_points(sell.bid, buy.ask)
            )
        }
        None => "fewer than two venues are live".to_owned(),
    }
}

/// How far `price` is above `base`, in hundredths of a per cent.
fn basis_points(price: Decimal, base: Decimal) -> String {
    match base.is_zero() {
        true => "-".to_owned(),
        false => ((price - base) / base * Decimal::from(10_000)).round_dp(2).to_string(),
    }
}

//! Pipelines from files with venues as their source, against a local venue whose market is known.

use std::path::Path;
use std::time::Duration;

use qicore::prelude::*;
use qicore::{TradeId, registry};
use qicore_localvenue::{LocalVenue, Side, VenueKind};

/// Trades of a symbol come so often.
const INTERVAL: Duration = Duration::from_millis(50);
/// How long ago the market began; the pipelines begin later than that.
const HISTORY: Duration = Duration::from_secs(120);

/// A venue's name in files, and what it trades.
fn named(kind: VenueKind) -> (&'static str, &'static str) {
    match kind {
        VenueKind::Binance => ("binance", "BTC/USDT"),
        VenueKind::Coinbase => ("coinbase", "BTC/USD"),
        VenueKind::Kraken => ("kraken", "BTC/USD"),
    }
}

async fn started(kind: VenueKind) -> LocalVenue {
    let builder = LocalVenue::builder(kind).symbols([named(kind).1]);
    builder.trade_interval(INTERVAL).history(HISTORY).start().await.unwrap()
}

/// A pipeline file: the venue's trades as JSON lines.
fn file(kind: VenueKind, venue: &LocalVenue, folder: &Path, range: &str) -> String {
    let (name, symbol) = named(kind);
    let (rest, ws) = (venue.http_url(), venue.ws_url());
    let exchange = match kind {
        VenueKind::Coinbase => format!("exchange_url = {rest:?}"),
        _ => String::new(),
    };
    format!(
        r#"
name = "trades"
dead_letters = {letters:?}

[source]
type = {name:?}
symbols = [{symbol:?}]
channels = ["trades"]
rest_url = {rest:?}
ws_url = {ws:?}
{exchange}
{range}

[[transform]]
type = "validate"

[[sink]]
type = "jsonl"
path = {folder:?}
"#,
        letters = folder.join("letters.jsonl"),
    )
}

fn pipeline(text: &str) -> Pipeline {
    Pipeline::from_toml(text, &registry()).unwrap_or_else(|mistakes| panic!("{mistakes}\n{text}"))
}

/// The stored trades of a folder, in the order of their files.
async fn stored(folder: &Path) -> Vec<Event> {
    let events = Memory::new();
    let read = Pipeline::builder("read")
        .source(Replay::new([folder]))
        .sink(events.clone());
    read.build().unwrap().run().await.unwrap();
    events.events()
}

/// Compares what is stored with the truth, from the trade `first` on: nothing lost, nothing doubled, nothing changed.
#[track_caller]
fn compare(kind: VenueKind, venue: &LocalVenue, events: &[Event], first: u64) -> u64 {
    let (name, symbol) = named(kind);
    let last = first + events.len() as u64 - 1;
    let truth = venue.market().trades(symbol, first..=last);
    assert_eq!(truth.len(), events.len());
    for (event, truth) in events.iter().zip(&truth) {
        let Data::Trade(trade) = &event.data else {
            panic!("{event:?}")
        };
        assert_eq!((event.exchange.as_str(), event.symbol.as_str()), (name, symbol));
        assert_eq!(trade.id, Some(TradeId::Number(truth.id)));
        assert_eq!(event.timestamp.nanos(), truth.time);
        assert_eq!(trade.price, truth.price.parse().unwrap());
        assert_eq!(trade.size, truth.size.parse().unwrap());
        let side = match truth.side {
            Side::Buy => qicore::Side::Buy,
            Side::Sell => qicore::Side::Sell,
        };
        assert_eq!(trade.side, Some(side));
    }
    assert!(venue.log().violations().is_empty(), "{:?}", venue.log().violations());
    last
}

/// Runs a live pipeline until it has read so many events, and stops it.
async fn run_for(text: &str, events: u64) {
    let handle = pipeline(text).start();
    let enough = async {
        while !handle.is_finished() && handle.stats().total().events() < events {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), enough).await;
    handle.stop();
    handle.wait().await.unwrap();
    assert!(waited.is_ok(), "not {events} events within a minute");
}

/// History and live, joined; stopped, and started again after a while.
async fn goes_on(kind: VenueKind) {
    let (venue, folder) = (started(kind).await, tempfile::tempdir().unwrap());
    let from = Timestamp::now().saturating_sub(Duration::from_secs(30));
    let text = file(kind, &venue, folder.path(), &format!("from = \"{from}\""));
    run_for(&text, 650).await;
    let before = stored(folder.path()).await.len();
    assert!(before >= 650, "{before}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    run_for(&text, 80).await;

    let events = stored(folder.path()).await;
    assert!(events.len() >= before + 80, "{} after {before}", events.len());
    let first = venue.market().first_id_from(named(kind).1, from.nanos());
    compare(kind, &venue, &events, first);
}

/// A range of history ends by itself, at its bounds; a second run reads nothing.
async fn ends(kind: VenueKind) {
    let (venue, folder) = (started(kind).await, tempfile::tempdir().unwrap());
    let now = Timestamp::now();
    let [from, to] = [90, 30].map(|seconds| now.saturating_sub(Duration::from_secs(seconds)));
    let text = file(
        kind,
        &venue,
        folder.path(),
        &format!("from = \"{from}\"\nto = \"{to}\""),
    );
    let stats = pipeline(&text).run().await.unwrap().stats;
    let progress = stats.progress.unwrap();
    assert_eq!(Some(progress.done), progress.total);

    let events = stored(folder.path()).await;
    let (market, symbol) = (venue.market(), named(kind).1);
    let last = compare(kind, &venue, &events, market.first_id_from(symbol, from.nanos()));
    assert_eq!(last + 1, market.first_id_from(symbol, to.nanos()));

    let again = pipeline(&text).run().await.unwrap().stats;
    assert_eq!((again.total().events(), again.finished_before), (0, 1));
}

macro_rules! of_each_venue {
    ($($test:ident: $kind:ident;)+) => {$(
        mod $test {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn live_trades_go_on_after_a_stop() {
                goes_on(VenueKind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_history_of_trades_ends_at_its_bounds() {
                ends(VenueKind::$kind).await;
            }
        }
    )+};
}

of_each_venue! {
    binance: Binance;
    coinbase: Coinbase;
    kraken: Kraken;
}

//! A local venue, a source for it, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{BatchLimit, Content, Data, Event, FromStart, RetryPolicy, Source, TradeId};
use qicore_localvenue::{Builder, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market, binance, coinbase, kraken};
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A venue with trades every few milliseconds.
pub(crate) fn venue(kind: VenueKind) -> Builder {
    LocalVenue::builder(kind).trade_interval(Duration::from_millis(20))
}

/// The source of a venue, told to be quick, for its first symbols.
pub(crate) fn source(kind: VenueKind, venue: &LocalVenue, symbols: usize, channels: &[Channel]) -> Market {
    let market = match kind {
        VenueKind::Binance => binance::source(),
        VenueKind::Coinbase => coinbase::source(),
        VenueKind::Kraken => kraken::source(),
    };
    let mut market = market
        .symbols(&venue.market().symbols()[..symbols])
        .unwrap()
        .channels(channels.iter().copied())
        .at(venue.http_url(), venue.ws_url());
    let config = market.config_mut();
    config.exchange_url = Some(venue.http_url());
    config.reconnect = RetryPolicy::default().pauses(Duration::from_millis(20), Duration::from_millis(200));
    config.net.retry = RetryPolicy::default()
        .pauses(Duration::from_millis(20), Duration::from_millis(200))
        .timeout(Duration::from_secs(5));
    config.verify_after = Duration::from_millis(300);
    config.candle_grace = Duration::from_millis(700);
    market
}

/// Opens a source and gathers its events until `enough` says so.
pub(crate) async fn gather(source: &mut Market, mut enough: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    let gathering = async {
        while !enough(&events) {
            let Some(batch) = source.next_batch(BatchLimit::default()).await.unwrap() else {
                return;
            };
            match batch.content {
                Content::Events(mut more, _) => events.append(&mut more),
                Content::Frames(frames) => assert!(frames.is_empty(), "{frames:?}"),
                _ => unreachable!(),
            }
        }
    };
    timeout(PATIENCE, gathering).await.expect("in time");
    events
}

pub(crate) async fn opened(mut source: Market) -> Market {
    source.open(Arc::new(FromStart)).await.unwrap();
    source
}

/// The ids of the trades, by symbol, in the order in which they came.
pub(crate) fn ids(events: &[Event]) -> BTreeMap<String, Vec<u64>> {
    let mut ids = BTreeMap::<_, Vec<_>>::new();
    for event in events {
        if let Data::Trade(trade) = &event.data
            && let Some(TradeId::Number(id)) = trade.id
        {
            ids.entry(event.symbol.to_string()).or_default().push(id);
        }
    }
    ids
}

/// Whether ids run on without a hole.
pub(crate) fn consecutive(ids: &[u64]) -> bool {
    ids.windows(2).all(|pair| pair[1] == pair[0] + 1)
}

/// Runs a test for each venue.
#[macro_export]
macro_rules! each_venue {
    ($($test:ident)+) => {$(
        mod $test {
            use qicore_localvenue::VenueKind;

            #[tokio::test]
            async fn binance() {
                super::$test(VenueKind::Binance).await;
            }

            #[tokio::test]
            async fn coinbase() {
                super::$test(VenueKind::Coinbase).await;
            }

            #[tokio::test]
            async fn kraken() {
                super::$test(VenueKind::Kraken).await;
            }
        }
    )+};
}

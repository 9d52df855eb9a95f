//! A local venue, a source for it, and what comes of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qicore_data::{
    BatchLimit, Checkpoint, Content, Data, Error, Event, Frame, FromStart, Gap, Lane, Resume, RetryPolicy, Source,
    TradeId,
};
use qicore_localvenue::{Builder, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market, binance, coinbase, kraken};
use tokio::time::timeout;

/// For what takes a few seconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a test for each venue.
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
pub(crate) use each_venue;

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

/// What a source has given.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) events: Vec<Event>,
    pub(crate) rejected: Vec<Frame>,
    /// Where each lane stands.
    pub(crate) checkpoints: BTreeMap<Lane, Checkpoint>,
    pub(crate) batches: usize,
}

impl Seen {
    pub(crate) fn gaps(&self) -> Vec<&Gap> {
        let gap = |event| match event {
            &Event {
                data: Data::Gap(ref gap),
                ..
            } => Some(gap),
            _ => None,
        };
        self.events.iter().filter_map(gap).collect()
    }
}

#[async_trait]
impl Resume for Seen {
    async fn checkpoint(&self, lane: &Lane) -> qicore_data::Result<Option<Arc<Checkpoint>>> {
        Ok(self.checkpoints.get(lane).cloned().map(Arc::new))
    }
}

/// Reads on until `enough` says so, or the source ends.
pub(crate) async fn read(
    source: &mut Market,
    seen: &mut Seen,
    mut enough: impl FnMut(&Seen) -> bool,
) -> Result<(), Error> {
    let reading = async {
        while !enough(seen) {
            let Some(batch) = source.next_batch(BatchLimit::default()).await? else {
                return Ok(());
            };
            match batch.content {
                Content::Events(mut more, _) => seen.events.append(&mut more),
                Content::Frames(mut frames) => seen.rejected.append(&mut frames),
                _ => unreachable!(),
            }
            let checkpoint = Checkpoint::new(batch.lane.clone(), batch.position);
            seen.checkpoints.insert(batch.lane, checkpoint);
            seen.batches += 1;
        }
        Ok(())
    };
    timeout(PATIENCE, reading).await.expect("in time")
}

/// Gathers the events of a source until `enough` says so.
pub(crate) async fn gather(source: &mut Market, mut enough: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let mut seen = Seen::default();
    read(source, &mut seen, |seen| enough(&seen.events)).await.unwrap();
    assert!(seen.rejected.is_empty(), "{:?}", seen.rejected);
    seen.events
}

/// The error that a source ends with.
pub(crate) async fn fails(source: &mut Market) -> Error {
    read(source, &mut Seen::default(), |_| false).await.unwrap_err()
}

/// Waits until something is so.
pub(crate) async fn until(mut so: impl FnMut() -> bool) {
    let waiting = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("in time");
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

/// The trades of each symbol run on without a hole, none of them twice, and are those of the venue.
pub(crate) fn assert_trades(venue: &LocalVenue, events: &[Event]) {
    for event in events {
        let Data::Trade(trade) = &event.data else { continue };
        let id = trade.id.as_ref().unwrap().to_string().parse().unwrap();
        let truth = venue.market().trade(event.symbol.as_str(), id).unwrap();
        assert_eq!(event.timestamp.nanos(), truth.time);
        assert_eq!(trade.price, truth.price.parse().unwrap());
        assert_eq!(trade.size, truth.size.parse().unwrap());
        assert_eq!(
            trade.side.unwrap() == qicore_data::Side::Buy,
            truth.side == qicore_localvenue::Side::Buy
        );
    }
    for (symbol, ids) in ids(events) {
        assert!(consecutive(&ids), "{symbol}: {ids:?}");
    }
}

/// Bars are closed, those of the venue, in order, and each comes once.
pub(crate) fn assert_bars(venue: &LocalVenue, events: &[Event]) {
    let mut last = BTreeMap::new();
    for event in events {
        let Data::Candle(bar) = &event.data else { continue };
        assert!(bar.closed, "{event:?}");
        let before = last.insert(event.symbol, event.timestamp);
        assert!(
            before.is_none_or(|before| bar.timeframe.next(before) == event.timestamp),
            "{event:?}"
        );
        let (symbol, timeframe) = (event.symbol.as_str(), bar.timeframe.as_str());
        let truth = venue
            .market()
            .candle(symbol, timeframe, event.timestamp.nanos())
            .unwrap();
        assert!(truth.end <= venue.market().now(), "an open bar: {event:?}");
        let told = [bar.open, bar.high, bar.low, bar.close, bar.volume];
        let truth = [truth.open, truth.high, truth.low, truth.close, truth.volume];
        assert_eq!(told, truth.map(|text| text.parse().unwrap()), "{event:?}");
    }
}

pub(crate) fn assert_no_violations(venue: &LocalVenue) {
    let violations = venue.log().violations();
    assert!(violations.is_empty(), "{violations:?}");
}

//! Order books over what goes wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use qicore_data::OrderBook;
use qicore_data::{BookKind, Checksum, Data, Event, GapReason, Level};
use qicore_localvenue::{ChaosConfig, LocalVenue, VenueKind};
use qicore_sources::{Channel, Market};

use crate::common::{Seen, each_venue, opened, read, source, venue};

each_venue!(
    books_are_put_right_after_lost_updates books_are_put_right_after_lost_connections
    books_are_put_right_after_chaos a_gap_of_another_connection_renews_the_book quotes_and_tickers_tell_what_was_missed
);

/// What both keep of a book: the depth that Kraken sends.
const DEPTH: usize = 10;

/// Applies what came. After each change a book is that of the venue, and between a gap and a snapshot there is none.
/// Returns how many changes were looked at.
pub(crate) fn assert_books(venue: &LocalVenue, events: &[Event]) -> usize {
    let mut books = BTreeMap::<_, Option<OrderBook>>::new();
    let mut changes = 0;
    let mut broken = None;
    for event in events {
        if let Some(broken) = broken.take() {
            assert!(
                event.symbol == broken && matches!(event.data, Data::Gap(_)),
                "{event:?}"
            );
        }
        match &event.data {
            Data::Gap(_) => {
                books.insert(event.symbol, None);
            }
            Data::Book(book) => {
                let known = books.entry(event.symbol).or_default();
                if book.kind == BookKind::Snapshot {
                    *known = Some(match event.exchange.as_str() {
                        "kraken" => OrderBook::with_depth(DEPTH),
                        _ => OrderBook::new(),
                    });
                }
                let known = known
                    .as_mut()
                    .unwrap_or_else(|| panic!("a change of a broken book: {event:?}"));
                known.apply(book);
                if book.checksum == Some(Checksum::Mismatch) {
                    // The gap that comes next says the same.
                    broken = Some(event.symbol);
                } else if book.kind == BookKind::Delta {
                    assert_book(venue, event, known);
                    changes += 1;
                }
            }
            _ => {}
        }
    }
    changes
}

fn assert_book(venue: &LocalVenue, event: &Event, known: &OrderBook) {
    let Data::Book(book) = &event.data else { return };
    let (symbol, market) = (event.symbol.as_str(), venue.market());
    // Binance numbers its updates; the others tell when they were.
    let update = match event.exchange.as_str() {
        "binance" => book.sequence.unwrap(),
        _ => market.last_update(symbol, event.timestamp.nanos() + 1_000),
    };
    let truth = market.book(symbol, update).unwrap();
    let level = |(price, size): &(String, String)| Level::new(price.parse().unwrap(), size.parse().unwrap());
    let bids: Vec<_> = truth.bids.iter().take(DEPTH).map(level).collect();
    let asks: Vec<_> = truth.asks.iter().take(DEPTH).map(level).collect();
    assert_eq!(
        known.bids().take(DEPTH).copied().collect::<Vec<_>>(),
        bids,
        "update {update}: {event:?}"
    );
    assert_eq!(
        known.asks().take(DEPTH).copied().collect::<Vec<_>>(),
        asks,
        "update {update}: {event:?}"
    );
}

async fn market(kind: VenueKind) -> LocalVenue {
    venue(kind)
        .book_depth(40)
        .book_interval(Duration::from_millis(match kind {
            // Of what changes only the best levels are sent.
            VenueKind::Kraken => 5,
            _ => 20,
        }))
        .start()
        .await
        .unwrap()
}

async fn books(kind: VenueKind, venue: &LocalVenue) -> Market {
    let mut source = source(kind, venue, 2, &[Channel::Book]);
    source.config_mut().answer_within = Duration::from_secs(2);
    opened(source).await
}

/// Reads until both books have a snapshot behind the last gap and a few changes behind that.
async fn read_on(source: &mut Market, seen: &mut Seen, gaps: usize) {
    read(source, seen, |seen| {
        let mut changes = BTreeMap::new();
        for event in &seen.events {
            let count = changes.entry(event.symbol).or_insert(0);
            match event.data {
                Data::Gap(_) => *count = 0,
                Data::Book(_) => *count += 1,
                _ => {}
            }
        }
        seen.gaps().len() >= gaps && changes.len() == 2 && changes.values().all(|count| *count > 5)
    })
    .await
    .unwrap();
}

/// A gap names a symbol: whoever keeps its book gives it up, though the book's own connection has lost nothing.
async fn a_gap_of_another_connection_renews_the_book(kind: VenueKind) {
    let venue = market(kind).await;
    let mut source = source(kind, &venue, 2, &[Channel::Quotes, Channel::Book]);
    source.config_mut().answer_within = Duration::from_secs(2);
    source.config_mut().streams_per_connection = Some(1);
    let (mut source, mut seen) = (opened(source).await, Seen::default());
    read_on(&mut source, &mut seen, 0).await;
    for _ in 0..3 {
        let gaps = seen.gaps().len();
        for connection in venue.log().connections() {
            let quotes = |message: &String| message.to_ascii_lowercase().contains("ticker");
            if connection.closed.is_none() && connection.messages.iter().any(quotes) {
                venue.faults().reset(connection.id);
            }
        }
        read_on(&mut source, &mut seen, gaps + 2).await;
    }
    assert!(assert_books(&venue, &seen.events) > 20);
}

async fn books_are_put_right_after_lost_updates(kind: VenueKind) {
    let venue = market(kind).await;
    let (mut source, mut seen) = (books(kind, &venue).await, Seen::default());
    for _ in 0..3 {
        read_on(&mut source, &mut seen, 0).await;
        let gaps = seen.gaps().len();
        match kind {
            // Its books are numbered only by the messages of the connection.
            VenueKind::Coinbase => venue.faults().drop_next(2),
            _ => venue.faults().skip_book_updates(2),
        }
        read_on(&mut source, &mut seen, gaps + 1).await;
    }
    assert!(assert_books(&venue, &seen.events) > 20);
    let expected = match kind {
        VenueKind::Kraken => GapReason::Checksum,
        _ => GapReason::Sequence,
    };
    for gap in seen.gaps() {
        assert_eq!(gap.reason, expected, "{gap:?}");
    }
    assert_eq!(venue.log().connection_count(), 1);
}

#[tokio::test]
async fn kraken_s_checksums_are_looked_at() {
    let venue = market(VenueKind::Kraken).await;
    let (mut source, mut seen) = (books(VenueKind::Kraken, &venue).await, Seen::default());
    read_on(&mut source, &mut seen, 0).await;
    venue.faults().corrupt_checksums(3);
    read_on(&mut source, &mut seen, 1).await;
    assert!(assert_books(&venue, &seen.events) > 10);
    assert!(
        seen.gaps().iter().all(|gap| gap.reason == GapReason::Checksum),
        "{:?}",
        seen.gaps()
    );
}

async fn books_are_put_right_after_lost_connections(kind: VenueKind) {
    let venue = market(kind).await;
    let (mut source, mut seen) = (books(kind, &venue).await, Seen::default());
    for round in 1..4 {
        read_on(&mut source, &mut seen, 0).await;
        venue.faults().reset_all();
        read_on(&mut source, &mut seen, 2 * round).await;
    }
    assert!(assert_books(&venue, &seen.events) > 20);
    // One for each of the two books.
    assert_eq!(seen.gaps().len(), 6, "{:?}", seen.gaps());
    assert!(seen.gaps().iter().all(|gap| gap.reason == GapReason::Disconnect));
}

async fn books_are_put_right_after_chaos(kind: VenueKind) {
    let venue = market(kind).await;
    let (mut source, mut seen) = (books(kind, &venue).await, Seen::default());
    let chaos = ChaosConfig {
        disconnect_every: None,
        duplicate: 0.05,
        reorder: 0.05,
        drop: 0.05,
        delay: 0.02,
        max_delay: Duration::from_millis(200),
        http_error: 0.2,
    };
    venue.faults().chaos(7, &chaos);
    read(&mut source, &mut seen, |seen| seen.gaps().len() > 3)
        .await
        .unwrap();
    venue.faults().clear();
    let gaps = seen.gaps().len();
    read_on(&mut source, &mut seen, gaps).await;
    assert_books(&venue, &seen.events);
}

async fn quotes_and_tickers_tell_what_was_missed(kind: VenueKind) {
    for channel in [Channel::Quotes, Channel::Tickers] {
        let venue = market(kind).await;
        let mut source = opened(source(kind, &venue, 2, &[channel])).await;
        let mut seen = Seen::default();
        let count = |seen: &Seen| {
            seen.events
                .iter()
                .map(|event| event.symbol)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        read(&mut source, &mut seen, |seen| count(seen) == 2).await.unwrap();
        let lost = seen.events.len();
        venue.faults().reset_all();
        read(&mut source, &mut seen, |seen| seen.gaps().len() >= 2)
            .await
            .unwrap();
        let back = seen.events.len();
        read(&mut source, &mut seen, |seen| seen.events.len() > back + 4)
            .await
            .unwrap();
        assert_eq!(seen.gaps().len(), 2);
        let last = seen.events[..lost]
            .iter()
            .filter_map(|event| event.received)
            .max()
            .unwrap();
        for gap in seen.gaps() {
            assert_eq!((gap.reason, gap.missed), (GapReason::Disconnect, None));
            // What came after the last that was read here was given to the source, or is in the gap.
            assert!(last <= gap.from && gap.from <= gap.to, "{gap:?}");
        }
    }
}

//! What applications ask.

use qicore_data::{BatchLimit, Data, Decimal, Event, EventType, Exchange, Quote, Symbol, Timeframe, Timestamp};
use qicore_stores::clickhouse::{Connection, Missing, Selection, Store};

use super::{at, bar, event, put, servers};

const NINE: &str = "2026-08-09T09:00:00Z";

fn minute(number: i64) -> Timestamp {
    Timestamp::from_nanos(at(NINE).nanos() + number * 60_000_000_000)
}

fn kraken() -> Exchange {
    Exchange::new("kraken").unwrap()
}

fn symbol(text: &str) -> Symbol {
    Symbol::new(text).unwrap()
}

#[tokio::test]
async fn the_latest_bars_and_prices() {
    let place = servers::clickhouse();
    let store = place.store();
    store.migrate().await.unwrap();
    let btc: Vec<Event> = (0..50)
        .map(|number| bar("BTC/USD", Timeframe::M1, minute(number), 100 + number))
        .collect();
    let mut corrected = bar("BTC/USD", Timeframe::M1, minute(49), 777);
    corrected.received = Some(at("2026-08-09T10:00:00Z"));
    let eth = bar("ETH/USD", Timeframe::M1, minute(3), 5);
    let hour = bar("ETH/USD", Timeframe::H1, minute(0), 6);
    put(&store, &[btc, vec![eth.clone(), hour.clone()]].concat()).await;
    // Written again, and then corrected.
    put(&store, &[bar("BTC/USD", Timeframe::M1, minute(49), 149)]).await;
    put(&store, std::slice::from_ref(&corrected)).await;
    let mut latest = store.latest_candles(Timeframe::M1).await.unwrap();
    latest.sort_by_key(|event| event.symbol);
    assert_eq!(latest, [corrected.clone(), eth.clone()]);
    let one = store
        .latest_candle(kraken(), symbol("ETH/USD"), Timeframe::H1)
        .await
        .unwrap();
    assert_eq!(one, Some(hour));
    assert_eq!(
        store
            .latest_candle(kraken(), symbol("ETH/USD"), Timeframe::D1)
            .await
            .unwrap(),
        None
    );

    let one = Decimal::ONE;
    let quote = |price: i64, at| {
        let bid = Decimal::from(price);
        event(
            "BTC/USD",
            at,
            Quote {
                bid,
                bid_size: one,
                ask: bid + one,
                ask_size: one,
            },
        )
    };
    let trades = qicore_data::Trade {
        id: Some(1.into()),
        side: None,
        price: one,
        size: one,
    };
    put(
        &store,
        &[
            quote(1, minute(1)),
            quote(2, minute(5)),
            quote(3, minute(5)),
            event("BTC/USD", minute(4), trades),
        ],
    )
    .await;
    // Of two of one time the one that came last.
    assert_eq!(store.latest_prices().await.unwrap(), [quote(3, minute(5))]);
    assert_eq!(
        store.latest_price(kraken(), symbol("BTC/USD")).await.unwrap(),
        Some(quote(3, minute(5)))
    );
    assert_eq!(store.latest_price(kraken(), symbol("XMR/USD")).await.unwrap(), None);
}

#[tokio::test]
async fn bars_that_are_missing() {
    let place = servers::clickhouse();
    let store = place.store();
    store.migrate().await.unwrap();
    let there = [2, 3, 4, 8, 9, 12];
    let bars: Vec<Event> = there
        .iter()
        .map(|number| bar("BTC/USD", Timeframe::M1, minute(*number), 100))
        .collect();
    put(&store, &bars).await;
    put(&store, &bars).await;
    let mut open = bar("BTC/USD", Timeframe::M1, minute(10), 100);
    if let Data::Candle(candle) = &mut open.data {
        candle.closed = false;
    }
    put(&store, &[open]).await;
    let btc = symbol("BTC/USD");
    let found = store
        .missing_candles(kraken(), btc, Timeframe::M1, minute(0), minute(15))
        .await
        .unwrap();
    let hole = |from, to, bars| Missing {
        from: minute(from),
        to: minute(to),
        bars,
    };
    assert_eq!(found, [hole(0, 1, 2), hole(5, 7, 3), hole(10, 11, 2), hole(13, 14, 2)]);
    let none = store
        .missing_candles(kraken(), btc, Timeframe::M1, minute(2), minute(5))
        .await
        .unwrap();
    assert_eq!(none, []);
    let all = store
        .missing_candles(kraken(), symbol("A/B"), Timeframe::H1, minute(0), minute(180))
        .await
        .unwrap();
    assert_eq!(
        all,
        [Missing {
            from: minute(0),
            to: minute(120),
            bars: 3
        }]
    );
    let month = |text: &str| bar("BTC/USD", Timeframe::Mo1, at(text), 1);
    put(
        &store,
        &[
            month("2026-01-01T00:00:00Z"),
            month("2026-02-01T00:00:00Z"),
            month("2026-05-01T00:00:00Z"),
        ],
    )
    .await;
    let (from, to) = (at("2026-01-01T00:00:00Z"), at("2026-06-01T00:00:00Z"));
    let found = store
        .missing_candles(kraken(), btc, Timeframe::Mo1, from, to)
        .await
        .unwrap();
    let expected = Missing {
        from: at("2026-03-01T00:00:00Z"),
        to: at("2026-04-01T00:00:00Z"),
        bars: 2,
    };
    assert_eq!(found, [expected]);
}

/// In pages, taken up again behind any of them, with each selection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranges_in_pages() {
    let place = servers::clickhouse();
    let store = place.store();
    store.migrate().await.unwrap();
    let bars: Vec<Event> = (0..200)
        .flat_map(|number| {
            ["BTC/USD", "ETH/USD", "XMR/USD"].map(|symbol| bar(symbol, Timeframe::M1, minute(number), number))
        })
        .collect();
    put(&store, &bars).await;
    put(&store, &bars[..300]).await;
    let selection = Selection::of(EventType::Candle)
        .symbols([symbol("BTC/USD"), symbol("XMR/USD")])
        .exchanges([kraken()])
        .timeframe(Timeframe::M1)
        .from(minute(20))
        .to(minute(120));
    let wanted: Vec<Event> = bars
        .iter()
        .filter(|event| event.symbol != symbol("ETH/USD") && (minute(20)..minute(120)).contains(&event.timestamp))
        .cloned()
        .collect();
    let page = BatchLimit::new(7, usize::MAX);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        // Each page by a statement of its own.
        let mut reading = store.read(&selection, after.as_ref(), page).unwrap();
        let Some(page) = reading.next().await.unwrap() else {
            break;
        };
        assert!(page.events.len() <= 7);
        found.extend(page.events);
        after = Some(page.cursor);
    }
    assert_eq!(found, wanted);
    let whole = store.read(&selection, None, page).unwrap().all().await.unwrap();
    assert_eq!(whole, wanted);
    let quotes = store.read(&Selection::of(EventType::Quote), after.as_ref(), page);
    assert!(quotes.is_err(), "a place in another table is taken");
}

/// A row that another program has stored, and that is no event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_row_comes_alone() {
    let place = servers::clickhouse();
    let store = place.store();
    store.migrate().await.unwrap();
    put(
        &store,
        &[
            bar("BTC/USD", Timeframe::M1, minute(0), 1),
            bar("BTC/USD", Timeframe::M1, minute(2), 2),
        ],
    )
    .await;
    place
        .sql("INSERT INTO {db}.ohlcv (symbol, exchange, timeframe, timestamp, closed) VALUES ('no symbol', 'x', '1m', '2026-08-09 09:01:00', true)")
        .await;
    let mut reading = store
        .read(&Selection::of(EventType::Candle), None, BatchLimit::default())
        .unwrap();
    let (mut events, mut foreign) = (0, Vec::new());
    while let Some(page) = reading.next().await.unwrap() {
        events += page.events.len();
        foreign.extend(page.foreign);
    }
    assert_eq!((events, foreign.len()), (2, 1));
    assert!(
        foreign[0].row.contains("no symbol") && foreign[0].row.contains("ohlcv"),
        "{:?}",
        foreign[0]
    );
}

#[tokio::test]
async fn health_tells_parts_and_readiness() {
    let place = servers::clickhouse();
    let store = place.store();
    let health = store.health().await.unwrap();
    assert!(
        !health.is_ready() && health.schema.is_none() && health.server.starts_with("26."),
        "{health:?}"
    );
    store.migrate().await.unwrap();
    put(&store, &[bar("BTC/USD", Timeframe::M1, minute(0), 1)]).await;
    let health = store.health().await.unwrap();
    assert!(health.is_ready(), "{health:?}");
    let bars = health.tables.iter().find(|table| table.table == "ohlcv").unwrap();
    assert_eq!((bars.rows, bars.parts, bars.most_parts), (1, 1, 1));
    assert!(bars.bytes > 0 && bars.replica.is_none());
}

/// The first of two servers is none: requests pass over it.
#[tokio::test]
async fn a_replica_that_is_away_is_passed_over() {
    let place = servers::clickhouse();
    place.store().migrate().await.unwrap();
    let connection = Connection::url("http://127.0.0.1:1").replica(place.url.as_str());
    let store = Store::new(&connection, &place.tables()).unwrap();
    for number in 0..4 {
        put(&store, &[bar("BTC/USD", Timeframe::M1, minute(number), number)]).await;
        let latest = store.latest_candles(Timeframe::M1).await.unwrap();
        assert_eq!(latest[0].timestamp, minute(number));
    }
    assert_eq!(place.physical("ohlcv").await, 4);
}

/// Who reads need not be told that the tables are spread over shards.
#[tokio::test]
async fn tables_above_shards_are_read_as_others() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.xml");
    let shards = "<clickhouse><remote_servers><shards><shard><replica><host>127.0.0.1</host><port>9000</port></replica>\
                  </shard></shards></remote_servers></clickhouse>";
    std::fs::write(&config, shards).unwrap();
    let server = servers::Own::clickhouse(config.to_str().unwrap());
    let place = servers::Clickhouse::new(server.url(), "market");
    let store = place.store();
    store.migrate().await.unwrap();
    put(&store, &[bar("BTC/USD", Timeframe::M1, minute(0), 1)]).await;
    for statement in [
        "RENAME TABLE {db}.ohlcv TO {db}.ohlcv_local",
        "CREATE TABLE {db}.ohlcv AS {db}.ohlcv_local ENGINE = Distributed('shards', '{db}', 'ohlcv_local', rand())",
    ] {
        place.sql(statement).await;
    }
    let reader = place.store();
    reader.check().await.unwrap();
    put(&store, &[bar("BTC/USD", Timeframe::M1, minute(0), 2)]).await;
    let events = place.events(EventType::Candle).await;
    assert_eq!(events, [bar("BTC/USD", Timeframe::M1, minute(0), 2)]);
}

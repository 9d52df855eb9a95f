//! Compression, retention and refresh, as the configuration has them.

use qicore_stores::timescale::{Period, Store, Tables};

use crate::servers::{self, Database};

fn period(text: &str) -> Period {
    text.parse().unwrap()
}

async fn migrate(place: &Database, change: impl FnOnce(&mut Tables)) {
    let mut tables = place.tables();
    change(&mut tables);
    let store = Store::new(&place.connection(), &tables).unwrap();
    store.migrate().await.unwrap();
    store.close().await;
}

/// A setting of the policies of a procedure: the table, and the interval.
async fn policies(place: &Database, procedure: &str, setting: &str) -> Vec<String> {
    let sql = format!(
        "SELECT concat_ws(' ', hypertable_name, config ->> '{setting}') FROM timescaledb_information.jobs \
         WHERE hypertable_schema = '{}' AND proc_name = '{procedure}' ORDER BY 1",
        place.schema
    );
    place.values(&sql).await
}

/// How often the hours and days are refreshed.
async fn refreshes(place: &Database) -> Vec<String> {
    // Which of its two names an aggregate has there depends on TimescaleDB's version.
    let sql = format!(
        "SELECT concat_ws(' ', c.view_name, schedule_interval, config ->> 'start_offset') \
         FROM timescaledb_information.jobs j JOIN timescaledb_information.continuous_aggregates c \
         ON j.hypertable_name IN (c.materialization_hypertable_name, c.view_name) \
         AND j.hypertable_schema IN (c.materialization_hypertable_schema, c.view_schema) \
         WHERE c.view_schema = '{}' ORDER BY 1",
        place.schema
    );
    place.values(&sql).await
}

const TICKS: [&str; 4] = ["books", "quotes", "tickers", "trades"];
const OTHERS: [&str; 4] = ["alerts", "ohlcv", "prices", "series"];

fn of(ticks: &str, others: &str) -> Vec<String> {
    let told = |tables: [&str; 4], setting: &str| tables.map(|table| format!("{table} {setting}"));
    let mut all = [told(TICKS, ticks), told(OTHERS, others)].concat();
    all.retain(|line| !line.ends_with(' '));
    all.sort_unstable();
    all
}

#[tokio::test]
async fn policies_follow_the_configuration() {
    let place = servers::timescale().await;
    migrate(&place, |_| {}).await;
    assert_eq!(
        policies(&place, "policy_compression", "compress_after").await,
        of("14 days", "14 days")
    );
    assert_eq!(
        policies(&place, "policy_retention", "drop_after").await,
        of("", ""),
        "nothing is dropped unasked"
    );
    assert_eq!(refreshes(&place).await, ["ohlcv_1d 00:15:00", "ohlcv_1h 00:15:00"]);

    let changed = |tables: &mut Tables| {
        tables.compress_after = period("3 days");
        tables.tick_retention = period("90 days");
        tables.candle_retention = period("400 days");
        tables.refresh_every = period("1 hour");
        tables.tick_chunk = period("6 hours");
    };
    for _ in 0..2 {
        migrate(&place, changed).await;
        assert_eq!(
            policies(&place, "policy_compression", "compress_after").await,
            of("3 days", "3 days")
        );
        assert_eq!(
            policies(&place, "policy_retention", "drop_after").await,
            of("90 days", "400 days")
        );
        assert_eq!(
            refreshes(&place).await,
            ["ohlcv_1d 01:00:00 399 days", "ohlcv_1h 01:00:00 399 days"]
        );
    }
    let chunk = format!(
        "SELECT time_interval::text FROM timescaledb_information.dimensions \
         WHERE hypertable_schema = '{}' AND hypertable_name = 'trades'",
        place.schema
    );
    assert_eq!(place.value::<String>(&chunk).await, "06:00:00");

    let off = |tables: &mut Tables| (tables.compress_after, tables.refresh_every) = (Period::OFF, Period::OFF);
    migrate(&place, off).await;
    assert_eq!(
        policies(&place, "policy_compression", "compress_after").await,
        of("", "")
    );
    assert_eq!(policies(&place, "policy_retention", "drop_after").await, of("", ""));
    assert_eq!(refreshes(&place).await, [""; 0]);
    migrate(&place, |_| {}).await;
    assert_eq!(
        policies(&place, "policy_compression", "compress_after").await,
        of("14 days", "14 days")
    );
}

#[tokio::test]
async fn every_job_succeeds() {
    let place = servers::timescale().await;
    let all = |tables: &mut Tables| {
        (tables.tick_retention, tables.candle_retention) = (period("90 days"), period("400 days"));
    };
    migrate(&place, all).await;
    // Old and new rows, so that there is something to drop, to compress and to refresh.
    place
        .sql(
            "INSERT INTO ohlcv (symbol, exchange, timeframe, timestamp, open, high, low, close, volume, closed, origin, \
             revision, source, quality) SELECT 'A/B', 'x', '1 minute', date_trunc('minute', now()) - age, 1, 2, 1, 2, 3, \
             true, 'rest', 0, 's', 'high' FROM unnest(ARRAY['2 years', '300 days', '20 days', '2 hours']::interval[]) AS age; \
             INSERT INTO trades (symbol, exchange, timestamp, timestamp_ns, price, size, source, quality) \
             SELECT 'A/B', 'x', now() - age, 0, 1, 1, 's', 'high' \
             FROM unnest(ARRAY['100 days', '20 days', '1 hour']::interval[]) AS age",
        )
        .await;
    let jobs = format!(
        "SELECT job_id FROM timescaledb_information.jobs j WHERE hypertable_schema = '{0}' OR EXISTS (\
         SELECT FROM timescaledb_information.continuous_aggregates c WHERE c.view_schema = '{0}' \
         AND c.materialization_hypertable_name = j.hypertable_name) ORDER BY 1",
        place.schema
    );
    let jobs = place.values::<i32>(&jobs).await;
    assert_eq!(jobs.len(), 8 + 8 + 2);
    let health = place.store().health().await.unwrap();
    assert_eq!(health.jobs.len(), jobs.len(), "{health:?}");
    for job in jobs {
        place.sql(&format!("CALL run_job({job})")).await;
    }
    assert_eq!(
        (place.count("ohlcv").await, place.count("trades").await),
        (3, 2),
        "what is too old is dropped"
    );
    assert_eq!(place.value::<i64>("SELECT sum(bars)::bigint FROM ohlcv_1h").await, 3);
    let compressed = format!(
        "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_schema = '{}' AND is_compressed",
        place.schema
    );
    assert!(place.value::<i64>(&compressed).await >= 3);
}

//! Replay of stored data sets: every event once, in the order of time, from every format.

#![cfg(feature = "replay")]

mod lanes;
#[path = "../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use lanes::tables::{csv, formats, jsonl, partitioned};
use lanes::{LIMIT, Stored, decode, drain, drain_from, events, frames};
use one_of_each::one_of_each;
use qicore_data::{
    Content, Data, Decimal, ErrorKind, Event, FromStart, Lane, Position, Source, Timeframe, Timestamp, Trade,
};
use qicore_sources::replay::{Format, Pace, Replay, ReplayConfig};

const MINUTE: i64 = 60_000_000_000;
/// 2026-08-09T23:55:00Z, five minutes before a day ends.
const START: i64 = 1_786_319_700_000_000_000;

fn trade(exchange: &str, at: i64, id: u64) -> Event {
    let line = format!(
        r#"{{"type":"trade","exchange":"{exchange}","symbol":"A/B","timestamp":"2026-01-01T00:00:00Z","source":"x","price":"1","size":"1"}}"#
    );
    let mut event: Event = serde_json::from_str(&line).unwrap();
    event.timestamp = Timestamp::from_nanos(at);
    event.data = Data::Trade(Trade {
        id: Some(id.into()),
        side: None,
        price: Decimal::new(15, 1),
        size: Decimal::ONE,
    });
    event
}

fn candle(at: i64, timeframe: Timeframe) -> Event {
    let mut event = one_of_each()
        .into_iter()
        .find(|event| matches!(event.data, Data::Candle(_)))
        .unwrap();
    let Data::Candle(candle) = &mut event.data else {
        panic!()
    };
    (candle.timeframe, candle.closed) = (timeframe, true);
    event.exchange = trade("x", 0, 0).exchange;
    event.timestamp = Timestamp::from_nanos(at);
    event
}

/// When an event can be known.
fn known(event: &Event) -> Timestamp {
    match &event.data {
        Data::Candle(candle) => candle.timeframe.next(event.timestamp),
        _ => event.timestamp,
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

fn json<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    events
        .into_iter()
        .map(|event| serde_json::to_string(event).unwrap())
        .collect()
}

async fn replayed(config: ReplayConfig) -> Vec<(String, Vec<Event>)> {
    let batches = drain(&mut Replay::with_config(config)).await;
    assert!(
        batches.iter().all(|batch| !batch.lane.as_str().ends_with("damaged")),
        "{batches:?}"
    );
    let strip = |(lane, events): (Lane, Vec<(u64, Event)>)| {
        assert!(events.iter().zip(1..).all(|((offset, _), count)| *offset == count));
        (lane.to_string(), events.into_iter().map(|(_, event)| event).collect())
    };
    events(&batches).into_iter().map(strip).collect()
}

/// Ten minutes of two exchanges over midnight, written by two lanes, not quite in order, with candles.
fn session() -> Vec<Event> {
    let mut all = Vec::new();
    for step in 0..600 {
        let late = if step % 7 == 0 { 3_000_000_000 } else { 0 };
        all.push(trade(
            ["x", "y"][step as usize % 2],
            START + step * 1_000_000_000 - late,
            step as u64,
        ));
    }
    for minute in 0..10 {
        all.push(candle(START + minute * MINUTE, Timeframe::M1));
    }
    all.push(candle(START, Timeframe::M5));
    all.push(candle(START - 55 * MINUTE, Timeframe::H1));
    all
}

#[tokio::test]
async fn every_format_gives_back_what_was_written() {
    for (extension, write) in formats() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("stored");
        partitioned(&root, "lane", extension, write, 10, &one_of_each());
        fs::create_dir_all(root.join("_qicore/staging")).unwrap();
        fs::write(root.join("_qicore/staging").join(format!("x.{extension}")), "half").unwrap();
        let all = replayed(ReplayConfig::new([&root])).await;
        let read = all.iter().flat_map(|(_, events)| events);
        assert_eq!(read.clone().count(), one_of_each().len(), "{extension}");
        for event in one_of_each() {
            assert!(read.clone().any(|read| *read == event), "{extension}: {event:?}");
        }
        for (lane, events) in &all {
            assert!(events.iter().all(|event| *lane == format!("stored/{}", event.exchange)));
        }
    }
}

#[tokio::test]
async fn events_come_when_they_can_be_known() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two): (Vec<_>, Vec<_>) = session()
        .into_iter()
        .partition(|event| event.timestamp.nanos() % 3 == 0);
    partitioned(folder.path(), "lane-one", "jsonl", jsonl, 50, &one);
    partitioned(folder.path(), "lane-two", "jsonl", jsonl, 70, &two);
    let all = replayed(ReplayConfig::new([folder.path()])).await;
    let read: Vec<_> = all.iter().flat_map(|(_, events)| events).collect();
    assert_eq!(sorted(json(read)), sorted(json(&session())));
    for (_, events) in all {
        for pair in events.windows(2) {
            assert!(known(&pair[0]) <= known(&pair[1]), "{pair:?}");
            let candle_last = known(&pair[0]) == known(&pair[1]) && matches!(pair[1].data, Data::Candle(_));
            assert!(
                !candle_last || matches!(pair[0].data, Data::Candle(_)),
                "a candle closes before the next trade"
            );
        }
    }
}

#[tokio::test]
async fn bounds() {
    let folder = tempfile::tempdir().unwrap();
    partitioned(folder.path(), "lane", "csv", csv, 1000, &session());
    let mut config = ReplayConfig::new([folder.path()]);
    config.from = Some(Timestamp::from_nanos(START + MINUTE));
    config.to = Some(Timestamp::from_nanos(START + 7 * MINUTE));
    let within = |event: &&Event| (config.from..config.to).contains(&Some(event.timestamp));
    let expected = json(session().iter().filter(within));
    let read: Vec<_> = replayed(config.clone())
        .await
        .into_iter()
        .flat_map(|(_, events)| events)
        .collect();
    assert_eq!(sorted(json(&read)), sorted(expected));
}

#[tokio::test]
async fn resumes_by_count() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("s");
    partitioned(&root, "lane", "jsonl", jsonl, 100, &session());
    let batches = drain(&mut Replay::new([&root])).await;
    let lane = Lane::new("s/x");
    let all = events(&batches)[&lane].clone();
    let position = batches
        .iter()
        .find(|batch| batch.lane == lane)
        .unwrap()
        .position
        .clone();
    for offset in [0, 1, 99, 100, 101, all.len() as u64 - 1, all.len() as u64] {
        let position = Position {
            offset,
            ..position.clone()
        };
        let resume = Arc::new(Stored::at(&lane, position));
        let batches = drain_from(&mut Replay::new([&root]), resume).await.unwrap();
        let rest = events(&batches).remove(&lane).unwrap_or_default();
        assert_eq!(rest, all[offset as usize..]);
    }
    let more = root.join("type=trade/exchange=x/date=2026-08-09/lane-0000000009.jsonl");
    fs::write(more, jsonl(&[trade("x", START, 1)])).unwrap();
    let error = drain_from(&mut Replay::new([&root]), Arc::new(Stored::at(&lane, position)))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
}

#[tokio::test]
async fn damaged_rows_and_files_cost_nothing_else() {
    for (extension, write) in formats() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("s");
        let good: Vec<_> = (0..20).map(|at| trade("x", START + at, at as u64)).collect();
        partitioned(&root, "lane", extension, write, 10, &good);
        let partition = root.join("type=trade/exchange=x/date=2026-08-09");
        fs::write(partition.join(format!("other-1.{extension}")), b"\xffno\nsuch\nfile").unwrap();
        fs::write(partition.join(format!("other-2.{extension}")), b"").unwrap();
        let mut cut = write(&good[..3]);
        cut.truncate(cut.len() - 12);
        fs::write(partition.join(format!("other-3.{extension}")), cut).unwrap();
        let mut replay = Replay::new([&root]);
        let batches = drain(&mut replay).await;
        let read = &events(&batches)[&Lane::new("s/x")];
        let twice = read.len() - good.len();
        assert!(good.iter().all(|event| read.iter().any(|(_, read)| read == event)));
        assert!(
            twice == if extension == "parquet" { 0 } else { 2 },
            "{extension}: {twice}"
        );
        let damaged = Lane::new("s/x/damaged records");
        let rejected = frames(&batches)[&damaged].clone();
        let (none, told) = decode(&replay, &damaged, &rejected);
        assert!(none.is_empty() && told.len() == rejected.len());
        assert!(
            told.len() >= 2 && told.iter().all(|why| why.contains("other-")),
            "{extension}: {told:?}"
        );
    }
}

#[tokio::test]
async fn single_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let trades: Vec<_> = session()
        .into_iter()
        .filter(|event| matches!(event.data, Data::Trade(_)))
        .collect();
    fs::write(path("a.jsonl"), jsonl(&session())).unwrap();
    fs::write(path("b.jsonl.zst"), zstd::encode_all(&*jsonl(&session()), 3).unwrap()).unwrap();
    fs::write(path("c.csv"), csv(&trades)).unwrap();
    fs::write(path("d.txt"), "hello").unwrap();
    for (name, count) in [("a.jsonl", 612), ("b.jsonl.zst", 612), ("c.csv", 600)] {
        let lanes = replayed(ReplayConfig::new([path(name)])).await;
        let names: Vec<_> = lanes.iter().map(|(lane, _)| lane.as_str()).collect();
        let stem = &name[..1];
        assert_eq!(names, [format!("{stem}/x"), format!("{stem}/y")]);
        assert_eq!(lanes.iter().map(|(_, events)| events.len()).sum::<usize>(), count);
    }
    let error = Replay::new([path("d.txt")])
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("no recording and no stored events"),
        "{error}"
    );
}

/// What is left of a number is a number, too.
#[tokio::test]
async fn a_csv_row_that_is_cut_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.csv");
    let trades: Vec<_> = session()
        .into_iter()
        .filter(|event| matches!(event.data, Data::Trade(_)))
        .collect();
    let whole = csv(&trades);
    for cut in [0, 1, 2, 5] {
        fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let batches = drain(&mut Replay::new([&path])).await;
        let (mut events, mut damaged) = (0, 0);
        for batch in &batches {
            match &batch.content {
                qicore_data::Content::Events(rows, _) => events += rows.len(),
                content => damaged += content.len(),
            }
        }
        let lost = usize::from(cut > 0);
        assert_eq!((events, damaged), (trades.len() - lost, lost), "{cut} bytes are gone");
    }
}

#[tokio::test]
async fn one_format_of_several() {
    let folder = tempfile::tempdir().unwrap();
    partitioned(folder.path(), "lane", "jsonl", jsonl, 1000, &session());
    partitioned(folder.path(), "lane", "csv", csv, 1000, &session());
    let error = Replay::new([folder.path()])
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("set format"), "{error}");
    let mut config = ReplayConfig::new([folder.path()]);
    config.format = Some(Format::Csv);
    let count: usize = replayed(config).await.iter().map(|(_, events)| events.len()).sum();
    assert_eq!(count, session().len());
}

#[tokio::test(start_paused = true)]
async fn recorded_pace() {
    let folder = tempfile::tempdir().unwrap();
    partitioned(folder.path(), "lane", "jsonl", jsonl, 1000, &session());
    let mut replay = Replay::new([folder.path()]).pace(Pace::Times(60.0));
    replay.open(Arc::new(FromStart)).await.unwrap();
    let began = tokio::time::Instant::now();
    let mut first = None;
    while let Some(batch) = replay.next_batch(LIMIT).await.unwrap() {
        let Content::Events(events, _) = &batch.content else {
            continue;
        };
        for event in events {
            let due = known(event).since(*first.get_or_insert(known(event))).div_f64(60.0);
            let late = began.elapsed().checked_sub(due).expect("never early");
            assert!(late <= Duration::from_millis(2), "{late:?}");
        }
    }
    assert!(began.elapsed() >= Duration::from_secs(9));
}

#[cfg(feature = "parquet")]
#[tokio::test]
async fn parquet_of_other_writers() {
    use arrow::compute::cast;
    use arrow::datatypes::{DataType, TimeUnit};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let events = vec![trade("x", START, 7)];
    fs::write(&path, lanes::tables::parquet(&events)).unwrap();
    let batch = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(&path).unwrap())
        .unwrap()
        .build()
        .unwrap();
    let batch = batch.map(Result::unwrap).next().unwrap();
    // As polars and others write it, in another order of columns.
    let columns: Vec<_> = batch
        .schema()
        .fields()
        .iter()
        .zip(batch.columns())
        .rev()
        .map(|(field, column)| {
            let to = match column.data_type() {
                DataType::Utf8 => DataType::LargeUtf8,
                DataType::Timestamp(..) => DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Decimal128(..) => DataType::Decimal128(20, 8),
                other => other.clone(),
            };
            (field.name().clone(), cast(column, &to).unwrap(), true)
        })
        .collect();
    let batch = arrow::array::RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let read = replayed(ReplayConfig::new([&path])).await;
    assert_eq!(json(&read[0].1), json(&events));
}

#[cfg(not(feature = "parquet"))]
#[tokio::test]
async fn parquet_is_a_feature() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("t.parquet"), "PAR1").unwrap();
    let error = Replay::new([folder.path()])
        .open(Arc::new(FromStart))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("enable the cargo feature \"parquet\""),
        "{error}"
    );
}

/// Its rows would else be passed over: what the system does not open is not damaged.
#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error() {
    for (extension, write) in formats() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("s");
        let path = root.join(format!("type=trade/exchange=x/date=2026-08-09/a-1.{extension}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, write(&[trade("x", START, 1)])).unwrap();
        let mut replay = Replay::new([&root]);
        replay.open(Arc::new(FromStart)).await.unwrap();
        fs::remove_file(&path).unwrap();
        let error = replay.next_batch(LIMIT).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{extension}: {error}");
        assert!(error.to_string().contains("a-1"), "{extension}: {error}");
    }
}

/// No sink publishes a file without rows: they have been lost.
#[tokio::test]
async fn a_stored_file_that_is_empty_is_told() {
    for (extension, write) in formats() {
        let folder = tempfile::tempdir().unwrap();
        let partition = folder.path().join("s/type=trade/exchange=x/date=2026-08-09");
        fs::create_dir_all(&partition).unwrap();
        fs::write(
            partition.join(format!("a-1.{extension}")),
            write(&[trade("x", START, 1)]),
        )
        .unwrap();
        fs::write(partition.join(format!("b-1.{extension}")), b"").unwrap();
        let batches = drain(&mut Replay::new([folder.path().join("s")])).await;
        assert_eq!(events(&batches)[&Lane::new("s/x")].len(), 1, "{extension}");
        assert_eq!(
            frames(&batches)[&Lane::new("s/x/damaged records")].len(),
            1,
            "{extension}"
        );
    }
}

#[tokio::test]
async fn an_exchange_may_be_named_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.jsonl");
    let mut lines = jsonl(&[trade("damaged", START, 1)]);
    lines.extend_from_slice(b"no event\n");
    fs::write(&path, lines).unwrap();
    let mut replay = Replay::new([path]);
    let batches = drain(&mut replay).await;
    assert_eq!(events(&batches)[&Lane::new("a/damaged")].len(), 1);
    assert_eq!(frames(&batches)[&Lane::new("a/damaged records")].len(), 1);
}

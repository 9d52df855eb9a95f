//! The file sinks as a pipeline uses them: what is written, where, and when it is published.
#![cfg(all(feature = "jsonl", feature = "csv", feature = "parquet"))]

#[path = "../../qicore-data/tests/one_of_each/mod.rs"]
mod one_of_each;
mod read;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use one_of_each::one_of_each;
use qicore_data::{
    Book, BookKind, Checkpoint, Data, Decimal, Delivery, ErrorKind, Event, EventType, Lane, Level, Levels, Position,
    RetryAdvice, Sink, Timestamp, TradeId, WriterId, decimal,
};
use qicore_sinks::{Compression, Csv, Jsonl, Parquet};
use tempfile::TempDir;

const DAY: i64 = 86_400_000_000_000;
const FORMATS: [&str; 3] = ["jsonl", "csv", "parquet"];

/// The sink of a format; publishes at each checkpoint.
fn sink(format: &str, root: &Path) -> Arc<dyn Sink> {
    match format {
        "jsonl" => Arc::new(Jsonl::new(root).rotate_after(Duration::ZERO)),
        "csv" => Arc::new(Csv::new(root).rotate_after(Duration::ZERO)),
        _ => Arc::new(Parquet::new(root).rotate_after(Duration::ZERO)),
    }
}

fn delivery(lane: &Lane, after: u64, events: Vec<Event>) -> Delivery {
    let offset = after + events.len() as u64;
    let mut delivery = Delivery::of(lane.clone(), after, offset, events);
    delivery.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(offset))));
    delivery
}

fn trade() -> Event {
    one_of_each().remove(0)
}

/// Trades that differ in id and time.
fn trades(count: u64, start: i64, apart: i64) -> Vec<Event> {
    (0..count)
        .map(|id| {
            let mut event = trade();
            event.timestamp = Timestamp::from_nanos(start + id as i64 * apart);
            let Data::Trade(data) = &mut event.data else {
                unreachable!("it is a trade")
            };
            data.id = Some(TradeId::Number(id));
            event
        })
        .collect()
}

fn id(event: &Event) -> u64 {
    match &event.data {
        Data::Trade(trade) => match trade.id {
            Some(TradeId::Number(id)) => id,
            _ => panic!("{event:?}"),
        },
        _ => panic!("{event:?}"),
    }
}

/// By type, as the files are.
fn sorted(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| event.event_type().as_str());
    events
}

#[tokio::test]
async fn every_type_comes_back_from_every_format() {
    for format in FORMATS {
        let root = TempDir::new().unwrap();
        let sink = sink(format, root.path());
        let lane = Lane::new("l");
        sink.open(&WriterId::new("test", "files")).await.unwrap();
        assert_eq!(sink.checkpoint(&lane).await.unwrap(), None);
        let receipt = sink.write(&delivery(&lane, 0, one_of_each())).await.unwrap();
        assert!(!receipt.staged && receipt.rejected.is_empty(), "{format} {receipt:?}");
        assert_eq!(read::files(root.path(), format).len(), EventType::ALL.len());
        assert_eq!(read::events(root.path(), format), sorted(one_of_each()), "{format}");
        let path = format!(
            "type=trade/exchange=kraken/date=2026-08-09/{}-0000000001.{format}",
            lane.file_name()
        );
        assert!(root.path().join(path).exists());
    }
}

#[tokio::test]
async fn a_jsonl_file_is_the_normalised_json() {
    let root = TempDir::new().unwrap();
    let event = trade();
    let sink = sink("jsonl", root.path());
    sink.write(&delivery(&Lane::new("l"), 0, vec![event.clone()]))
        .await
        .map(drop)
        .unwrap();
    let text = std::fs::read_to_string(&read::files(root.path(), "jsonl")[0]).unwrap();
    assert_eq!(text, serde_json::to_string(&event).unwrap() + "\n");
}

#[tokio::test]
async fn texts_that_csv_has_to_quote() {
    let root = TempDir::new().unwrap();
    let mut alert = one_of_each().pop().unwrap();
    let Data::Alert(data) = &mut alert.data else {
        unreachable!("the last is the alert")
    };
    data.message = "a,b \"c\"\r\nd;é".into();
    let sink = sink("csv", root.path());
    sink.write(&delivery(&Lane::new("l"), 0, vec![alert.clone()]))
        .await
        .map(drop)
        .unwrap();
    assert_eq!(read::events(root.path(), "csv"), [alert]);
}

#[tokio::test]
async fn what_csv_cannot_hold_is_rejected_and_the_rest_lands() {
    let root = TempDir::new().unwrap();
    let mut events = trades(3, 0, 1);
    let Data::Trade(data) = &mut events[1].data else {
        unreachable!("it is a trade")
    };
    data.id = Some(TradeId::new(""));
    let sink = sink("csv", root.path());
    let receipt = sink.write(&delivery(&Lane::new("l"), 0, events)).await.unwrap();
    assert!(receipt.staged, "the refused row must be in the dead letters first");
    assert!(read::events(root.path(), "csv").is_empty());
    sink.flush(&Lane::new("l")).await.unwrap();
    assert_eq!(receipt.rejected.len(), 1);
    assert_eq!(receipt.rejected[0].index, 1);
    assert!(receipt.rejected[0].error.to_string().contains("column=id"));
    assert!(read::events(root.path(), "csv").iter().map(id).eq([0, 2]));
}

#[tokio::test]
async fn what_parquet_cannot_hold_is_rejected_and_the_rest_lands() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    let big = |text: &str| decimal::parse(text).unwrap();
    let mut events = trades(4, 0, 1);
    let Data::Trade(data) = &mut events[1].data else {
        unreachable!("it is a trade")
    };
    data.size = big("0.0000000000000000001");
    let Data::Trade(data) = &mut events[2].data else {
        unreachable!("it is a trade")
    };
    data.price = big("1234567890123456789012");
    let mut book = one_of_each().remove(3);
    let levels = Levels::new(
        &[Level::new(Decimal::ONE, Decimal::ONE)],
        &[Level::new(big("1e-19"), Decimal::ONE)],
    );
    book.data = Data::Book(Book {
        kind: BookKind::Snapshot,
        sequence: None,
        levels,
        checksum: None,
    });
    events.insert(1, book);
    let sink = sink("parquet", root.path());
    let receipt = sink.write(&delivery(&lane, 0, events)).await.unwrap();
    assert!(receipt.staged, "the refused rows must be in the dead letters first");
    sink.flush(&lane).await.unwrap();
    let told: Vec<_> = receipt
        .rejected
        .iter()
        .map(|row| (row.index, row.error.to_string()))
        .collect();
    assert_eq!(told.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 3]);
    for (row, column, value) in [
        (0, "asks", "0.0000000000000000001"),
        (1, "size", "0.0000000000000000001"),
        (2, "price", "1234567890123456789012"),
    ] {
        let text = &told[row].1;
        assert!(
            text.contains(&format!("column={column}, value={value}, scale=18")),
            "{text}"
        );
    }
    // The book's file would be empty: it is not there.
    assert!(read::events(root.path(), "parquet").iter().map(id).eq([0, 3]));
    // A larger scale holds what the default does not.
    let wide = Parquet::new(root.path().join("wide"))
        .scale(20)
        .rotate_after(Duration::ZERO);
    let mut event = trade();
    let Data::Trade(data) = &mut event.data else {
        unreachable!("it is a trade")
    };
    data.size = big("0.0000000000000000001");
    assert!(
        wide.write(&delivery(&lane, 0, vec![event.clone()]))
            .await
            .unwrap()
            .rejected
            .is_empty()
    );
    assert_eq!(read::events(&root.path().join("wide"), "parquet"), [event]);
}

#[tokio::test]
async fn a_midnight_between_thousands_of_rows() {
    for format in FORMATS {
        let root = TempDir::new().unwrap();
        let lane = Lane::new("l");
        let sink = sink(format, root.path());
        let events = trades(10_000, DAY - 4_000_000_000, 1_000_000);
        for (at, events) in events.chunks(2_500).enumerate() {
            let mut part = delivery(&lane, at as u64 * 2_500, events.to_vec());
            if at < 3 {
                part.checkpoint = None;
            }
            assert_eq!(sink.write(&part).await.unwrap().staged, at < 3);
        }
        let files = read::files(root.path(), format);
        let dates: Vec<_> = files
            .iter()
            .map(|path| path.parent().unwrap().file_name().unwrap())
            .collect();
        assert_eq!(dates, ["date=1970-01-01", "date=1970-01-02"], "{format}");
        // In the order of the lane.
        assert!(
            read::events(root.path(), format).iter().map(id).eq(0..10_000),
            "{format}"
        );
    }
}

#[tokio::test]
async fn an_empty_delivery_moves_the_checkpoint() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    let sink = Jsonl::new(root.path());
    assert!(sink.write(&delivery(&lane, 0, trades(5, 0, 1))).await.unwrap().staged);
    sink.flush(&lane).await.unwrap();
    let mut nothing = delivery(&lane, 5, Vec::new());
    nothing.offset = 9;
    nothing.checkpoint = Some(Arc::new(Checkpoint::new(lane.clone(), Position::at(9))));
    assert!(sink.write(&nothing).await.unwrap().staged);
    sink.flush(&lane).await.unwrap();
    sink.close().await.unwrap();
    let stored = Jsonl::new(root.path()).checkpoint(&lane).await.unwrap().unwrap();
    assert_eq!(stored, *nothing.checkpoint.unwrap());
    assert_eq!(read::events(root.path(), "jsonl").len(), 5);
}

#[tokio::test]
async fn a_flush_without_a_checkpoint_is_a_defect() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    let sink = Jsonl::new(root.path());
    sink.flush(&lane).await.unwrap();
    let mut rows = delivery(&lane, 0, trades(5, 0, 1));
    rows.checkpoint = None;
    assert!(sink.write(&rows).await.unwrap().staged);
    assert_eq!(sink.flush(&lane).await.unwrap_err().kind(), ErrorKind::Internal);
    let error = sink.close().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Abandoned);
    assert!(error.to_string().contains("5 of lane l"), "{error}");
    assert!(read::files(root.path(), "jsonl").is_empty());
}

#[tokio::test]
async fn files_are_published_by_size_and_number_at_the_next_checkpoint() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    let sink = Jsonl::new(root.path()).rotate_bytes(10_000).max_open_files(3);
    let small = sink.write(&delivery(&lane, 0, trades(10, 0, 1))).await.unwrap();
    let mut large = delivery(&lane, 10, trades(100, 0, 1));
    large.checkpoint = None;
    let large = sink.write(&large).await.unwrap();
    assert!(small.staged && large.staged, "no checkpoint, no publication");
    assert!(!sink.write(&delivery(&lane, 110, Vec::new())).await.unwrap().staged);
    assert_eq!(read::files(root.path(), "jsonl").len(), 1);
    // One row a day: more partitions than files may be open.
    let days = sink.write(&delivery(&lane, 110, trades(20, 0, DAY))).await.unwrap();
    assert!(!days.staged);
    assert_eq!(read::files(root.path(), "jsonl").len(), 21);
    assert_eq!(read::events(root.path(), "jsonl").len(), 130);
}

#[tokio::test]
async fn lanes_with_nasty_names_side_by_side() {
    let root = TempDir::new().unwrap();
    let sink = sink("jsonl", root.path());
    let names = ["../../etc", "a/b", "a:b", "A/B", "", "…", &"x".repeat(400), "nul\0byte"];
    let lanes = names.map(Lane::new);
    let mut writes = tokio::task::JoinSet::new();
    for lane in lanes.clone() {
        let sink = Arc::clone(&sink);
        writes.spawn(async move {
            for at in 0..5 {
                sink.write(&delivery(&lane, at * 10, trades(10, 0, 1)))
                    .await
                    .map(drop)
                    .unwrap();
            }
        });
    }
    writes.join_all().await;
    sink.close().await.unwrap();
    for lane in &lanes {
        assert_eq!(
            sink.checkpoint(lane).await.unwrap().unwrap().position.offset,
            50,
            "{lane}"
        );
    }
    assert_eq!(read::events(root.path(), "jsonl").len(), lanes.len() * 50);
    let entries = std::fs::read_dir(root.path()).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    entries.sort();
    assert_eq!(entries, ["_qicore", "type=trade"]);
}

#[tokio::test]
async fn formats_share_a_root() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    for format in FORMATS {
        let sink = sink(format, root.path());
        assert_eq!(sink.checkpoint(&lane).await.unwrap(), None);
        sink.write(&delivery(&lane, 0, one_of_each())).await.map(drop).unwrap();
        sink.close().await.unwrap();
    }
    for format in FORMATS {
        assert_eq!(read::events(root.path(), format), sorted(one_of_each()));
    }
}

#[tokio::test]
async fn only_some_types() {
    let root = TempDir::new().unwrap();
    let sink = Jsonl::new(root.path())
        .only([EventType::Trade, EventType::Candle])
        .rotate_after(Duration::ZERO);
    let receipt = sink.write(&delivery(&Lane::new("l"), 0, one_of_each())).await.unwrap();
    assert!(receipt.rejected.is_empty());
    let written: Vec<_> = read::events(root.path(), "jsonl")
        .iter()
        .map(Event::event_type)
        .collect();
    assert_eq!(written, [EventType::Candle, EventType::Trade]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("file");
    std::fs::write(&file, "").unwrap();
    for format in FORMATS {
        let error = sink(format, &file.join("out"))
            .open(&WriterId::new("test", "files"))
            .await
            .unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Io, RetryAdvice::Never));
        let told = error.to_string();
        assert!(
            told.contains("path=") && told.contains("advice=a file is where a folder has to be"),
            "{told}"
        );
    }
    assert_eq!(
        Jsonl::new("")
            .open(&WriterId::new("test", "files"))
            .await
            .unwrap_err()
            .kind(),
        ErrorKind::Config
    );
}

#[tokio::test]
async fn a_damaged_manifest() {
    let root = TempDir::new().unwrap();
    let lane = Lane::new("l");
    let sink = sink("jsonl", root.path());
    sink.write(&delivery(&lane, 0, trades(1, 0, 1)))
        .await
        .map(drop)
        .unwrap();
    let manifest = root
        .path()
        .join(format!("_qicore/jsonl/lanes/{}.json", lane.file_name()));
    let text = std::fs::read_to_string(&manifest).unwrap();
    for (broken, told) in [
        (text[..text.len() / 2].to_owned(), "damaged"),
        (text.replace("\"version\":1", "\"version\":2"), "version 2"),
        (text.replace("\"lane\":\"l\"", "\"lane\":\"m\""), "of lane \"m\""),
    ] {
        std::fs::write(&manifest, broken).unwrap();
        let error = sink.checkpoint(&lane).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint);
        assert!(error.to_string().contains(told), "{error}");
    }
    std::fs::write(&manifest, &text).unwrap();
    assert_eq!(sink.checkpoint(&lane).await.unwrap().unwrap().position.offset, 1);
}

#[tokio::test]
async fn parquet_comes_back_from_every_encoding() {
    for compression in [Compression::Zstd, Compression::Snappy, Compression::None] {
        for split in [false, true] {
            let root = TempDir::new().unwrap();
            let sink = Parquet::new(root.path())
                .compression(compression)
                .split_bytes(split)
                .rotate_after(Duration::ZERO);
            sink.write(&delivery(&Lane::new("l"), 0, one_of_each()))
                .await
                .map(drop)
                .unwrap();
            assert_eq!(read::events(root.path(), "parquet"), sorted(one_of_each()));
        }
    }
}

#[tokio::test]
async fn parquet_says_its_scale_and_bounds_its_row_groups() {
    use parquet::file::reader::{FileReader, SerializedFileReader};

    let root = TempDir::new().unwrap();
    let sink = Parquet::new(root.path())
        .scale(12)
        .row_group(1000, 32 << 20)
        .rotate_after(Duration::ZERO);
    sink.write(&delivery(&Lane::new("l"), 0, trades(10_500, 0, 1)))
        .await
        .map(drop)
        .unwrap();
    let file = std::fs::File::open(&read::files(root.path(), "parquet")[0]).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let groups: Vec<_> = reader
        .metadata()
        .row_groups()
        .iter()
        .map(|group| group.num_rows())
        .collect();
    assert_eq!(groups.len(), 11);
    assert!(groups.iter().all(|rows| *rows <= 1000));
    let pairs = reader.metadata().file_metadata().key_value_metadata().unwrap();
    let scale = pairs.iter().find(|pair| pair.key == "qicore.decimal_scale").unwrap();
    assert_eq!(scale.value.as_deref(), Some("12"));
}

//! Reads back what the file sinks publish, with the formats' own readers.

use std::fs;
use std::path::{Path, PathBuf};

use qicore_data::Event;
#[cfg(any(feature = "csv", feature = "parquet"))]
use qicore_data::{EventType, columns};

/// The published files of a format below `root`, by path.
pub(crate) fn files(root: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !name.starts_with('_') {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// All events of a format's files below `root`.
pub(crate) fn events(root: &Path, format: &str) -> Vec<Event> {
    let read: fn(&Path) -> Vec<Event> = match format {
        #[cfg(feature = "csv")]
        "csv" => csv_events,
        #[cfg(feature = "parquet")]
        "parquet" => parquet_events,
        _ => jsonl_events,
    };
    files(root, format).iter().flat_map(|path| read(path)).collect()
}

fn jsonl_events(path: &Path) -> Vec<Event> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'), "half a line in {}", path.display());
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The type that the partition names.
#[cfg(any(feature = "csv", feature = "parquet"))]
fn event_type(path: &Path) -> EventType {
    let part = path.iter().find_map(|part| part.to_str()?.strip_prefix("type="));
    part.unwrap().parse().unwrap()
}

#[cfg(feature = "csv")]
fn csv_events(path: &Path) -> Vec<Event> {
    let event_type = event_type(path);
    let layout = columns::columns(event_type);
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert!(
        reader
            .headers()
            .unwrap()
            .iter()
            .eq(layout.iter().map(|column| column.name))
    );
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        columns::event(event_type, |at| layout[at].kind.parse(&record[at])).unwrap()
    });
    records.collect()
}

#[cfg(feature = "parquet")]
fn parquet_events(path: &Path) -> Vec<Event> {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    let event_type = event_type(path);
    let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap();
    let mut events = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        for row in 0..batch.num_rows() {
            let event = columns::event(event_type, |at| {
                let column = columns::columns(event_type)[at];
                assert_eq!(batch.schema().field(at).name(), column.name);
                Ok(cell(batch.column(at).as_ref(), column.kind, row))
            });
            events.push(event.unwrap());
        }
    }
    events
}

#[cfg(feature = "parquet")]
fn cell(array: &dyn arrow::array::Array, kind: columns::Kind, row: usize) -> columns::Cell<'static> {
    use std::borrow::Cow;

    use arrow::array::{AsArray, Decimal128Array};
    use arrow::datatypes::{Decimal128Type, TimestampNanosecondType, UInt64Type};
    use columns::{Cell, Kind};
    use qicore_data::{Decimal, Level, Timestamp};

    fn decimal(array: &Decimal128Array, row: usize) -> Decimal {
        let (value, scale) = (array.value(row), array.scale() as u32);
        let (mut value, mut scale) = (value, scale);
        while scale > 0 && value % 10 == 0 {
            (value, scale) = (value / 10, scale - 1);
        }
        Decimal::from_i128_with_scale(value, scale)
    }

    if array.is_null(row) {
        return Cell::Absent;
    }
    match kind {
        Kind::Text => Cell::Text(Cow::Owned(array.as_string::<i32>().value(row).to_owned())),
        Kind::Json => Cell::Json(Cow::Owned(
            serde_json::from_str(array.as_string::<i32>().value(row)).unwrap(),
        )),
        Kind::Decimal => Cell::Decimal(decimal(array.as_primitive::<Decimal128Type>(), row)),
        Kind::Time => Cell::Time(Timestamp::from_nanos(
            array.as_primitive::<TimestampNanosecondType>().value(row),
        )),
        Kind::Count => Cell::Count(array.as_primitive::<UInt64Type>().value(row)),
        Kind::Flag => Cell::Flag(array.as_boolean().value(row)),
        Kind::Levels => {
            let levels = array.as_list::<i32>().value(row);
            let levels = levels.as_struct();
            let [prices, sizes] = [0, 1].map(|side| levels.column(side).as_primitive::<Decimal128Type>());
            let level = |at| Level::new(decimal(prices, at), decimal(sizes, at));
            Cell::Levels(Cow::Owned((0..prices.len()).map(level).collect()))
        }
    }
}

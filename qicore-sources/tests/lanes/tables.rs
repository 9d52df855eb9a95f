//! Writes stored data sets as the sinks do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use qicore_data::columns::columns;
use qicore_data::{Event, EventType};

pub(crate) fn jsonl(events: &[Event]) -> Vec<u8> {
    events
        .iter()
        .flat_map(|event| serde_json::to_vec(event).unwrap().into_iter().chain(*b"\n"))
        .collect()
}

/// Events of one type.
pub(crate) fn csv(events: &[Event]) -> Vec<u8> {
    let layout = columns(events[0].event_type());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(layout.iter().map(|column| column.name)).unwrap();
    for event in events {
        let texts = layout.iter().map(|column| {
            let mut text = String::new();
            column.cell(event).push_text(&mut text);
            text
        });
        writer.write_record(texts).unwrap();
    }
    writer.into_inner().unwrap()
}

/// Events of one type.
#[cfg(feature = "parquet")]
pub(crate) fn parquet(events: &[Event]) -> Vec<u8> {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Decimal128Array, Decimal128Builder, ListBuilder, RecordBatch, StringArray,
        StructBuilder, TimestampNanosecondArray, UInt64Array,
    };
    use arrow::datatypes::{DataType, Field, Fields};
    use parquet::arrow::ArrowWriter;
    use qicore_data::Decimal;
    use qicore_data::columns::{Cell, Kind};

    const DECIMAL: DataType = DataType::Decimal128(38, 18);
    fn scaled(value: Decimal) -> i128 {
        value.mantissa() * 10i128.pow(18 - value.scale())
    }
    let array = |column: &qicore_data::columns::Column| -> ArrayRef {
        let cells = || events.iter().map(|event| column.cell(event));
        macro_rules! some {
            ($pattern:pat => $value:expr) => {
                cells().map(|cell| match cell {
                    $pattern => Some($value),
                    _ => None,
                })
            };
        }
        match column.kind {
            Kind::Text | Kind::Json => {
                let texts = cells().map(|cell| {
                    let mut text = String::new();
                    cell.push_text(&mut text);
                    Some(text).filter(|_| cell != Cell::Absent)
                });
                Arc::new(texts.collect::<StringArray>())
            }
            Kind::Decimal => {
                let values = some!(Cell::Decimal(value) => scaled(value));
                Arc::new(values.collect::<Decimal128Array>().with_data_type(DECIMAL))
            }
            Kind::Time => {
                let times = some!(Cell::Time(at) => at.nanos()).collect::<TimestampNanosecondArray>();
                Arc::new(times.with_timezone("UTC"))
            }
            Kind::Count => Arc::new(some!(Cell::Count(count) => count).collect::<UInt64Array>()),
            Kind::Flag => Arc::new(some!(Cell::Flag(flag) => flag).collect::<BooleanArray>()),
            Kind::Levels => {
                let fields: Fields = ["price", "size"]
                    .map(|name| Field::new(name, DECIMAL, true))
                    .to_vec()
                    .into();
                let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, 0));
                for cell in cells() {
                    let Cell::Levels(levels) = cell else { panic!() };
                    for level in levels.iter() {
                        for (at, value) in [level.price, level.size].into_iter().enumerate() {
                            let side = lists.values().field_builder::<Decimal128Builder>(at).unwrap();
                            side.append_value(scaled(value));
                        }
                        lists.values().append(true);
                    }
                    lists.append(true);
                }
                Arc::new(lists.finish())
            }
        }
    };
    let layout = columns(events[0].event_type());
    let batch =
        RecordBatch::try_from_iter_with_nullable(layout.iter().map(|column| (column.name, array(column), true)));
    let batch = batch.unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// How a type's events are written.
pub(crate) type Write = fn(&[Event]) -> Vec<u8>;

/// All formats that are compiled in.
pub(crate) fn formats() -> Vec<(&'static str, Write)> {
    vec![
        ("jsonl", jsonl as Write),
        ("csv", csv),
        #[cfg(feature = "parquet")]
        ("parquet", parquet),
    ]
}

/// Writes events as a lane of a file sink does: partitioned, in files of at most `rows` rows.
pub(crate) fn partitioned(root: &Path, lane: &str, extension: &str, write: Write, rows: usize, events: &[Event]) {
    let mut partitions: BTreeMap<(EventType, PathBuf), Vec<Event>> = BTreeMap::new();
    for event in events {
        let kind = event.event_type();
        let folder = format!(
            "type={kind}/exchange={}/date={}",
            event.exchange,
            event.timestamp.date()
        );
        partitions
            .entry((kind, root.join(folder)))
            .or_default()
            .push(event.clone());
    }
    for ((_, folder), events) in partitions {
        fs::create_dir_all(&folder).unwrap();
        for (number, events) in events.chunks(rows).enumerate() {
            fs::write(folder.join(format!("{lane}-{number:010}.{extension}")), write(events)).unwrap();
        }
    }
}

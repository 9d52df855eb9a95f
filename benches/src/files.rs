//! File sinks against the plain way of writing the same.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use qicore::sinks::{Jsonl, Parquet};
use qicore::{Checkpoint, Delivery, Event, Lane, Position, Sink, WriterId};
use tokio::runtime::Runtime;

use crate::Result;

/// Events of a delivery: what the file sinks ask for.
const DELIVERY: usize = 16_384;

/// Deliveries of one lane; the last one carries a checkpoint.
pub fn deliveries(events: &[Event]) -> Vec<Delivery> {
    let lane = Lane::new("bench/0");
    let mut after = 0;
    let mut deliveries: Vec<_> = events
        .chunks(DELIVERY)
        .map(|events| {
            let from = after;
            after += events.len() as u64;
            Delivery::of(lane.clone(), from, after, events.to_vec())
        })
        .collect();
    if let Some(last) = deliveries.last_mut() {
        last.checkpoint = Some(Arc::new(Checkpoint::new(lane, Position::at(after))));
    }
    deliveries
}

/// The time that a sink needs from opening to closing, with all rows published.
pub fn sink(runtime: &Runtime, sink: &dyn Sink, deliveries: &[Delivery]) -> Result<Duration> {
    let lane = &deliveries.first().ok_or("no deliveries")?.lane;
    let start = Instant::now();
    runtime.block_on(async {
        sink.open(&WriterId::new("test", "files")).await?;
        sink.checkpoint(lane).await?;
        for delivery in deliveries {
            if let Some(row) = sink.write(delivery).await?.rejected.into_iter().next() {
                return Err(row.error);
            }
        }
        sink.flush(lane).await?;
        sink.close().await
    })?;
    Ok(start.elapsed())
}

/// The JSON lines sink, into an empty folder.
pub fn jsonl(runtime: &Runtime, folder: &Path, deliveries: &[Delivery]) -> Result<Duration> {
    fs::remove_dir_all(folder).ok();
    sink(runtime, &Jsonl::new(folder), deliveries)
}

/// The Parquet sink, into an empty folder.
pub fn parquet(runtime: &Runtime, folder: &Path, deliveries: &[Delivery]) -> Result<Duration> {
    fs::remove_dir_all(folder).ok();
    sink(runtime, &Parquet::new(folder), deliveries)
}

/// serde_json, the same events, one file, made durable.
pub fn plain_json(path: &Path, deliveries: &[Delivery]) -> Result<Duration> {
    fs::remove_file(path).ok();
    let start = Instant::now();
    let mut file = BufWriter::new(File::create(path)?);
    for event in deliveries.iter().flat_map(Delivery::iter) {
        serde_json::to_writer(&mut file, event)?;
        file.write_all(b"\n")?;
    }
    file.into_inner().map_err(|error| error.into_error())?.sync_all()?;
    Ok(start.elapsed())
}

/// The only published file below a folder.
pub fn published(folder: &Path) -> Result<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let (path, private) = entry.map(|entry| (entry.path(), entry.file_name().as_encoded_bytes()[0] == b'_'))?;
            match path.is_dir() {
                true if private => {}
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    match <[PathBuf; 1]>::try_from(found) {
        Ok([one]) => Ok(one),
        Err(several) => Err(format!("{} files are published", several.len()).into()),
    }
}

/// The columns of a file that the Parquet sink has published: what arrow's own writer gets, already built.
pub struct Arrays(Vec<RecordBatch>);

impl Arrays {
    /// Rows of a batch: as many as the sink hands to the writer at once.
    const ROWS: usize = 8192;

    /// Reads the published file below `folder`.
    pub fn of(folder: &Path) -> Result<Self> {
        let file = ParquetRecordBatchReaderBuilder::try_new(File::open(published(folder)?)?)?;
        let batches = file.with_batch_size(Self::ROWS).build()?;
        Ok(Self(batches.collect::<std::result::Result<_, _>>()?))
    }

    /// Arrow's writer, one file, made durable.
    pub fn write(&self, path: &Path) -> Result<Duration> {
        let schema = self.0.first().ok_or("no rows")?.schema();
        let properties = properties()?;
        fs::remove_file(path).ok();
        let start = Instant::now();
        let mut writer = ArrowWriter::try_new(BufWriter::new(File::create(path)?), schema, Some(properties))?;
        for batch in &self.0 {
            writer.write(batch)?;
        }
        let file = writer.into_inner()?.into_inner().map_err(|error| error.into_error())?;
        file.sync_all()?;
        Ok(start.elapsed())
    }
}

/// What the Parquet sink tells its writer about files of trades.
fn properties() -> Result<WriterProperties> {
    let times = ["timestamp", "received"].map(ColumnPath::from);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(Some(256 << 10))
        .set_max_row_group_bytes(Some(32 << 20))
        .set_column_dictionary_enabled("id".into(), false);
    let properties = times.into_iter().fold(properties, |properties, time| {
        properties
            .set_column_dictionary_enabled(time.clone(), false)
            .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
    });
    Ok(properties.build())
}

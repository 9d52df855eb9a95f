//! JSON lines: the normalised JSON, one event a line.

use qicore_data::{EventType, Mistakes, RejectedRow, Result, Settings, Sink};
use std::path::PathBuf;
use std::sync::Arc;

use crate::files::{Encoder, FileSink, FilesConfig, Format, Row, defect};

/// Writes the normalised JSON, one event a line, in partitioned files. See [`files`](crate::files) for their layout
/// and guarantees.
///
/// ```
/// use qicore_sinks::Jsonl;
/// let sink = Jsonl::new("out").rotate_bytes(64 << 20);
/// ```
pub type Jsonl = FileSink<JsonLines>;

/// The format of [`Jsonl`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JsonLines;

impl Jsonl {
    /// Files below `path`, with the default settings.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::from_config(FilesConfig::new(path))
    }

    /// From its configuration.
    pub fn from_config(config: FilesConfig) -> Self {
        Self::with_format(config, JsonLines)
    }
}

pub(crate) fn build(settings: &Settings) -> Result<Arc<dyn Sink>, Mistakes> {
    let config: FilesConfig = settings.read()?;
    config.check().map_err(|message| settings.mistake(message))?;
    Ok(Arc::new(Jsonl::from_config(config)))
}

impl Format for JsonLines {
    const NAME: &'static str = "jsonl";
    type Encoder = Lines;

    fn encoder(&self, _event_type: EventType) -> Result<Lines> {
        Ok(Lines)
    }
}

/// Writes lines.
#[derive(Debug)]
pub struct Lines;

impl Encoder for Lines {
    fn append(&mut self, rows: &[Row<'_>], out: &mut Vec<u8>, _rejected: &mut Vec<RejectedRow>) -> Result<()> {
        for row in rows {
            row.event
                .append_json(out)
                .map_err(|error| defect("jsonl.write", error))?;
            out.push(b'\n');
        }
        Ok(())
    }

    fn finish(&mut self, _out: &mut Vec<u8>) -> Result<()> {
        Ok(())
    }
}

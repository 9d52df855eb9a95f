use std::fmt;

use qicore_data::{Error, ErrorKind, Event, EventType, RejectedRow, Result};

/// A file format.
pub trait Format: Clone + fmt::Debug + Send + Sync + 'static {
    /// The plugin's name, which also ends the names of its files.
    const NAME: &'static str;
    /// What writes one file.
    type Encoder: Encoder;

    /// Starts a file for events of one type.
    ///
    /// # Errors
    /// [`Internal`](ErrorKind::Internal) where the format cannot hold the type's columns.
    fn encoder(&self, event_type: EventType) -> Result<Self::Encoder>;
}

/// A row on its way into a file.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Its place in the delivery.
    pub index: usize,
    /// The event.
    pub event: &'a Event,
}

/// Turns the rows of one file into bytes. Does no I/O, so that a write that fails can be tried again with the bytes.
pub trait Encoder: Send + 'static {
    /// Appends rows, all of the file's event type. Bytes that are final go to `out`; rows that the format cannot hold
    /// exactly go to `rejected` and leave nothing in the file.
    ///
    /// # Errors
    /// Only defects: the file is lost.
    fn append(&mut self, rows: &[Row<'_>], out: &mut Vec<u8>, rejected: &mut Vec<RejectedRow>) -> Result<()>;

    /// Ends the file. Called once, last.
    ///
    /// # Errors
    /// Only defects: the file is lost.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<()>;

    /// Bytes that the encoder still holds, about.
    fn held(&self) -> usize {
        0
    }
}

/// The error of an encoder that fails although memory does not.
pub(crate) fn defect(operation: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let source = source.into();
    Error::new(
        ErrorKind::Internal,
        operation,
        format!("the rows cannot be encoded: {source}"),
    )
    .with_source(source)
}

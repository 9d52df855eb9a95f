//! A copy of all that is received, in the format that `replay` reads.

use std::collections::HashSet;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use qicore_data::{Error, Result, Timestamp, settings};
use serde::Deserialize;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};
use tokio::sync::oneshot;
use zstd::stream::write::AutoFinishEncoder;

use crate::net::Answer;

/// Where raw frames are kept: the section `capture` of a source.
///
/// Files are zstd-compressed JSON lines, `EXCHANGE-TIME.jsonl.zst`, a new one whenever one is full. Each begins with the
/// instruments; the snapshot of a book stands only in the file in which its connection began. A file that a killed
/// process leaves behind is good up to its last second. When the disk is too slow, frames are left out: the file then tells
/// of a connection made again, as it would after a real loss.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct CaptureConfig {
    /// The folder, made if it is not there.
    pub path: PathBuf,
    /// A file of so many bytes, before compression, is full.
    #[serde(default = "file_bytes")]
    pub file_bytes: u64,
    /// A file that is so old is full.
    #[serde(default = "file_age", with = "settings::duration")]
    pub file_age: Duration,
}

fn file_bytes() -> u64 {
    1 << 30
}

fn file_age() -> Duration {
    Duration::from_secs(3600)
}

impl CaptureConfig {
    /// Captures into a folder.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            file_bytes: file_bytes(),
            file_age: file_age(),
        }
    }

    /// Sets how large a file may grow, in bytes before compression.
    #[must_use]
    pub fn file_bytes(mut self, bytes: u64) -> Self {
        self.file_bytes = bytes;
        self
    }
}

/// What is recorded.
#[derive(Debug)]
enum Record {
    /// An answer over HTTP. Those about instruments are repeated in each file, since decoders need them.
    Answer(Answer, bool),
    Connect(Arc<str>, Timestamp),
    Sent(Arc<str>, Timestamp, String),
    Received(Arc<str>, Timestamp, Bytes),
    /// Nothing comes any more; told when the file is complete.
    End(oneshot::Sender<()>),
}

impl Record {
    fn bytes(&self) -> usize {
        match self {
            Self::Answer(answer, _) => answer.body.len(),
            Self::Received(_, _, payload) => payload.len(),
            Self::Sent(_, _, text) => text.len(),
            Self::Connect(..) | Self::End(_) => 0,
        }
    }

    fn connection(&self) -> &str {
        match self {
            Self::Answer(..) | Self::End(_) => "http",
            Self::Connect(conn, _) | Self::Sent(conn, ..) | Self::Received(conn, ..) => conn,
        }
    }
}

/// Takes copies; of a source that does not capture, it takes none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tee(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    records: Option<Sender<Record>>,
    /// The bytes of what waits.
    waiting: Arc<AtomicUsize>,
    left_out: Arc<AtomicU64>,
    writer: Option<JoinHandle<()>>,
}

impl Drop for Inner {
    /// The file is complete when the last copy of the tee is gone.
    fn drop(&mut self) {
        self.records = None;
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            tracing::error!("the capture's writer has panicked");
        }
    }
}

/// Records that wait for the disk.
const WAITING: usize = 65_536;
/// Their bytes.
const WAITING_BYTES: usize = 256 << 20;

impl Tee {
    /// Captures a venue's traffic, on a thread of its own that ends with the last copy of this.
    pub(super) fn new(config: &CaptureConfig, exchange: &str) -> Result<Self> {
        let failed = |error| Error::io("capture", &config.path, error);
        std::fs::create_dir_all(&config.path).map_err(failed)?;
        let (records, receiver) = channel(WAITING);
        let (left_out, waiting) = (Arc::<AtomicU64>::default(), Arc::<AtomicUsize>::default());
        let mut writer = Writer {
            again: None,
            config: config.clone(),
            exchange: exchange.to_ascii_uppercase(),
            file: None,
            instruments: Vec::new(),
            left_out: Arc::clone(&left_out),
            waiting: Arc::clone(&waiting),
        };
        let thread = std::thread::Builder::new().name("qicore-capture".to_owned());
        let writer = thread.spawn(move || writer.run(receiver)).map_err(failed)?;
        Ok(Self(Some(Arc::new(Inner {
            records: Some(records),
            waiting,
            left_out,
            writer: Some(writer),
        }))))
    }

    fn take(&self, record: impl FnOnce() -> Record) {
        let Some(inner) = &self.0 else { return };
        let Some(records) = &inner.records else { return };
        let record = record();
        let bytes = record.bytes();
        let before = inner.waiting.fetch_add(bytes, Ordering::Relaxed);
        let taken = if before < WAITING_BYTES {
            records
                .try_send(record)
                .map_err(|error| matches!(error, TrySendError::Full(_)))
        } else {
            Err(true)
        };
        if let Err(full) = taken {
            inner.waiting.fetch_sub(bytes, Ordering::Relaxed);
            inner.left_out.fetch_add(u64::from(full), Ordering::Relaxed);
        }
    }

    /// Completes the file: whoever has closed the source can read it. What comes afterwards, of requests that were under way,
    /// is left out.
    pub(super) async fn finish(&self) {
        let Some(records) = self.0.as_ref().and_then(|inner| inner.records.as_ref()) else {
            return;
        };
        let (done, finished) = oneshot::channel();
        if records.send(Record::End(done)).await.is_ok() {
            let _ = finished.await;
        }
    }

    pub(super) fn answer(&self, answer: &Answer) {
        self.take(|| Record::Answer(answer.clone(), false));
    }

    /// An answer that decoders need before anything else.
    pub(super) fn instruments(&self, answer: &Answer) {
        self.take(|| Record::Answer(answer.clone(), true));
    }

    pub(super) fn connected(&self, connection: &Arc<str>) {
        self.take(|| Record::Connect(Arc::clone(connection), Timestamp::now()));
    }

    pub(super) fn sent(&self, connection: &Arc<str>, text: &str) {
        self.take(|| Record::Sent(Arc::clone(connection), Timestamp::now(), text.to_owned()));
    }

    #[inline]
    pub(super) fn received(&self, connection: &Arc<str>, at: Timestamp, payload: &Bytes) {
        self.take(|| Record::Received(Arc::clone(connection), at, payload.clone()));
    }
}

/// The pause after a failure of the disk.
const AGAIN: Duration = Duration::from_secs(10);

struct Writer {
    /// Nothing is written before this, after a failure.
    again: Option<Instant>,
    config: CaptureConfig,
    exchange: String,
    file: Option<Open>,
    instruments: Vec<Answer>,
    left_out: Arc<AtomicU64>,
    waiting: Arc<AtomicUsize>,
}

struct Open {
    out: AutoFinishEncoder<'static, File>,
    path: PathBuf,
    bytes: u64,
    since: Instant,
    flushed: Instant,
    /// Connections that something is missing of.
    broken: HashSet<Box<str>>,
}

impl Writer {
    fn run(&mut self, mut records: Receiver<Record>) {
        while let Some(record) = records.blocking_recv() {
            if let Record::End(done) = record {
                self.file = None;
                let _ = done.send(());
                return;
            }
            self.waiting.fetch_sub(record.bytes(), Ordering::Relaxed);
            if let Record::Answer(answer, true) = &record {
                self.instruments.push(answer.clone());
            }
            if self.again.is_some_and(|again| Instant::now() < again) {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            match self.write(&record) {
                Ok(()) if self.again.take().is_some() => tracing::info!("frames are captured again, in a new file"),
                Ok(()) => {}
                Err(error) => {
                    if self.again.is_none() {
                        tracing::error!(%error, "frames are missing in the capture: it goes on in a new file when it can");
                    }
                    self.left_out.fetch_add(1, Ordering::Relaxed);
                    (self.file, self.again) = (None, Some(Instant::now() + AGAIN));
                }
            }
        }
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        let lost = self.left_out.swap(0, Ordering::Relaxed);
        let config = self.config.clone();
        let full = |open: &Open| open.bytes >= config.file_bytes || open.since.elapsed() >= config.file_age;
        if self.file.as_ref().is_none_or(full) {
            self.file = None;
            self.file = Some(self.begin()?);
            if matches!(record, Record::Answer(_, true)) {
                return Ok(());
            }
        }
        let Some(open) = &mut self.file else { return Ok(()) };
        if lost > 0 {
            tracing::warn!(frames = lost, "the disk is too slow: frames are missing in the capture");
            open.broken.clear();
            open.broken.insert("*".into());
        }
        open.mark_break(record)?;
        open.line(&line(record))?;
        open.flush_now_and_then()
    }

    /// A new file, with its header and what decoders need.
    fn begin(&self) -> Result<Open> {
        let stamp = Timestamp::now().to_string().replace(':', "-");
        let path = self.config.path.join(format!("{}-{stamp}.jsonl.zst", self.exchange));
        let failed = |error| Error::io("capture", &path, error);
        let file = File::create_new(&path).map_err(failed)?;
        let encoder = zstd::Encoder::new(file, 3).map_err(failed)?.auto_finish();
        let mut open = Open {
            out: encoder,
            path,
            bytes: 0,
            since: Instant::now(),
            flushed: Instant::now(),
            broken: HashSet::new(),
        };
        open.line(&format!(
            "{{\"t\":\"header\",\"format\":2,\"exchange\":\"{}\",\"recorder\":\"qicore {}\"}}",
            self.exchange,
            env!("CARGO_PKG_VERSION")
        ))?;
        for answer in &self.instruments {
            open.line(&line(&Record::Answer(answer.clone(), true)))?;
        }
        Ok(open)
    }
}

impl Open {
    fn line(&mut self, text: &str) -> Result<()> {
        self.bytes += text.len() as u64 + 1;
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| Error::io("capture", &self.path, error))
    }

    /// Something of any connection is missing: each is told once, before its next record.
    fn mark_break(&mut self, record: &Record) -> Result<()> {
        let connection = record.connection();
        let unmarked = self.broken.contains("*") && !self.broken.contains(connection);
        match record {
            Record::Received(conn, at, _) if unmarked => {
                self.broken.insert(connection.into());
                self.line(&line(&Record::Connect(Arc::clone(conn), *at)))
            }
            _ => Ok(()),
        }
    }

    fn flush_now_and_then(&mut self) -> Result<()> {
        if self.flushed.elapsed() < Duration::from_secs(1) {
            return Ok(());
        }
        self.flushed = Instant::now();
        self.out
            .flush()
            .map_err(|error| Error::io("capture", &self.path, error))
    }
}

/// A record's line.
fn line(record: &Record) -> String {
    let conn = quoted(record.connection());
    match record {
        Record::Answer(answer, _) => {
            let (ts, url) = (seconds(answer.received), quoted(&answer.url));
            format!(
                "{{\"t\":\"http\",\"conn\":{conn},\"ts\":{ts},\"url\":{url},{}}}",
                payload(&answer.body)
            )
        }
        Record::End(_) => String::new(),
        Record::Connect(_, at) => format!("{{\"t\":\"connect\",\"conn\":{conn},\"ts\":{}}}", seconds(*at)),
        Record::Sent(_, at, text) => {
            format!(
                "{{\"t\":\"send\",\"conn\":{conn},\"ts\":{},\"data\":{}}}",
                seconds(*at),
                quoted(text)
            )
        }
        Record::Received(_, at, bytes) => {
            format!(
                "{{\"t\":\"recv\",\"conn\":{conn},\"ts\":{},{}}}",
                seconds(*at),
                payload(bytes)
            )
        }
    }
}

fn payload(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => format!("\"data\":{}", quoted(text)),
        Err(_) => format!("\"b64\":\"{}\"", STANDARD.encode(bytes)),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// Seconds since 1970 with nine digits behind the point.
fn seconds(at: Timestamp) -> String {
    let nanos = at.nanos().max(0);
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// Whether a folder can be captured into: told before anything is connected.
pub(super) fn check(config: &CaptureConfig) -> Result<()> {
    match config.path.as_path() {
        path if path == Path::new("") => Err(Error::config("capture", "path is empty: name a folder")),
        path if path.is_file() => {
            Err(Error::config("capture", "path is a file: name a folder").with("path", path.display()))
        }
        _ if config.file_bytes == 0 || config.file_age.is_zero() => {
            Err(Error::config("capture", "file_bytes and file_age must be above 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_nine_digits() {
        assert_eq!(
            seconds(Timestamp::from_nanos(1_618_678_132_000_000_007)),
            "1618678132.000000007"
        );
    }
}

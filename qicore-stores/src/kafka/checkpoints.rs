//! Checkpoints in a compacted topic, written in the transactions that write the rows.
//!
//! A checkpoint is one message, or several where the state of the transforms is large: each a piece of
//! [`Checkpoint::to_json`], under the key `["PIPELINE","SINK","LANE",PIECE]`, with the headers `set` (the same for the
//! pieces of one checkpoint) and `pieces`. All pieces of a lane are in one partition, in order.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use qicore_data::{Checkpoint, Error, ErrorKind, Lane, Result, RetryAdvice, StableHash, WriterId};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::client::Plain;
use super::error::{is_of_group, mapped};
use super::{Connection, Headers, Producer, Record};

/// The topic, where it is not named.
pub const DEFAULT_TOPIC: &str = "qicore-checkpoints";
/// Lanes are spread over so many partitions. More are not used: a lane would be looked for elsewhere than where it is.
pub const PARTITIONS: i32 = 8;
/// Bytes of a piece: well within what brokers take by default.
const PIECE: usize = 512 << 10;
/// So many messages are looked through first, and then ever more: a lane at work is found near the end.
const FIRST_WINDOW: i64 = 64;
const WIDER: i64 = 16;

/// The checkpoints of all lanes of a writer.
#[derive(Clone)]
pub struct CheckpointLog {
    connection: Connection,
    topic: Arc<str>,
    writer: WriterId,
    readers: Arc<Mutex<Option<Readers>>>,
}

impl std::fmt::Debug for CheckpointLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckpointLog")
            .field("topic", &self.topic)
            .field("writer", &self.writer)
            .finish_non_exhaustive()
    }
}

struct Readers {
    committed: BaseConsumer<Plain>,
    /// Sees the end of the topic as it is, with open transactions.
    all: BaseConsumer<Plain>,
}

impl CheckpointLog {
    /// The checkpoints of `writer`. The topic must be there.
    pub fn new(connection: &Connection, topic: &str, writer: &WriterId) -> Self {
        Self {
            connection: connection.clone(),
            topic: topic.into(),
            writer: writer.clone(),
            readers: Arc::default(),
        }
    }

    /// The newest checkpoint of a lane. Blocks; transactions that are open in the partition are waited for.
    ///
    /// # Errors
    /// What the brokers fail with, and [`Checkpoint`](ErrorKind::Checkpoint) where it cannot be read.
    pub fn newest(&self, lane: &Lane) -> Result<Option<Checkpoint>> {
        let mut slot = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let readers = match slot.take() {
            Some(readers) => readers,
            None => self.readers()?,
        };
        let found = self.look_for(&readers, lane).map_err(|error| {
            let error = readers.committed.context().told.explain(error);
            error.with("topic", &self.topic).with("lane", lane)
        })?;
        *slot = Some(readers);
        found.map(|json| Checkpoint::from_json(&json)).transpose()
    }

    fn readers(&self) -> Result<Readers> {
        let reader = |isolation: &str| {
            let mut config = self.connection.client();
            config
                // Never joined: assigned partitions need a name.
                .set("group.id", "qicore-checkpoints")
                .set("enable.auto.commit", "false")
                .set("enable.partition.eof", "true")
                .set("auto.offset.reset", "earliest")
                .set("fetch.wait.max.ms", "20")
                .set("isolation.level", isolation);
            config
                .create_with_context(Plain::default())
                .map_err(|error| mapped("kafka.checkpoint", error))
        };
        Ok(Readers {
            committed: reader("read_committed")?,
            all: reader("read_uncommitted")?,
        })
    }

    fn look_for(&self, readers: &Readers, lane: &Lane) -> Result<Option<String>> {
        let partition = self.partition(lane);
        let (low, end) = self.wait_for_end(readers, partition)?;
        if low >= end {
            return Ok(None);
        }
        let mut window = FIRST_WINDOW;
        loop {
            let from = (end - window).max(low);
            let found = self.scan(&readers.committed, partition, from, lane)?;
            if found.is_some() || from == low {
                return Ok(found);
            }
            window = window.saturating_mul(WIDER);
        }
    }

    /// The first offset of a partition and the one behind its last, once no transaction from before is open there: what it
    /// has written might be ours.
    fn wait_for_end(&self, readers: &Readers, partition: i32) -> Result<(i64, i64)> {
        let timeout = self.connection.timeout;
        let ask = |consumer: &BaseConsumer<Plain>| {
            let marks = consumer.fetch_watermarks(&self.topic, partition, timeout);
            marks.map_err(|error| mapped("kafka.checkpoint", error))
        };
        let (low, end) = ask(&readers.all)?;
        let began = Instant::now();
        while ask(&readers.committed)?.1 < end {
            if began.elapsed() > 2 * timeout {
                let message = "a transaction of another lane is still open: it ends by itself, or by the next run of its pipeline";
                return Err(
                    Error::new(ErrorKind::Timeout, "kafka.checkpoint", message).with_retry(RetryAdvice::Backoff)
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok((low, end))
    }

    /// The newest whole checkpoint of a lane from an offset on.
    fn scan(&self, consumer: &BaseConsumer<Plain>, partition: i32, from: i64, lane: &Lane) -> Result<Option<String>> {
        let failed = |error| mapped("kafka.checkpoint", error);
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.topic, partition, Offset::Offset(from))
            .and_then(|()| consumer.assign(&place))
            .map_err(failed)?;
        let until = Instant::now() + 6 * self.connection.timeout;
        let (mut newest, mut set) = (None, Set::default());
        loop {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    if let Some(piece) = self.piece(&message, lane) {
                        newest = set.add(piece, message.payload()).or(newest);
                    }
                }
                Some(Err(KafkaError::PartitionEOF(_))) => break,
                Some(Err(error)) if is_of_group(&error) => {}
                Some(Err(error)) => return Err(failed(error)),
                None if Instant::now() > until => {
                    let message = "the topic's end was not reached in time";
                    return Err(
                        Error::new(ErrorKind::Timeout, "kafka.checkpoint", message).with_retry(RetryAdvice::Backoff)
                    );
                }
                None => {}
            }
        }
        consumer.unassign().map_err(failed)?;
        Ok(newest)
    }

    /// Which piece of which set a message is, if it is the lane's.
    fn piece(&self, message: &BorrowedMessage<'_>, lane: &Lane) -> Option<Piece> {
        let (pipeline, sink, owner, number): (String, String, String, usize) =
            serde_json::from_slice(message.key()?).ok()?;
        if *pipeline != *self.writer.pipeline || *sink != *self.writer.sink || owner != lane.as_str() {
            return None;
        }
        let headers = message.headers()?;
        let text = |name| {
            let header = headers.iter().find(|header| header.key == name)?;
            std::str::from_utf8(header.value?).ok()
        };
        Some(Piece {
            number,
            of: text("pieces")?.parse().ok()?,
            set: text("set")?.to_owned(),
        })
    }

    fn partition(&self, lane: &Lane) -> i32 {
        let mut hash = StableHash::default();
        for text in [&*self.writer.pipeline, "\n", &*self.writer.sink, "\n", lane.as_str()] {
            hash.write(text.as_bytes());
        }
        (hash.finish() % PARTITIONS as u64) as i32
    }

    /// Sends a checkpoint, as messages that are numbered from `number` on.
    ///
    /// # Errors
    /// What the producer fails with.
    pub fn send(&self, producer: &Producer, checkpoint: &Checkpoint, number: usize) -> Result<()> {
        let (json, lane) = (checkpoint.to_json(), &checkpoint.lane);
        let pieces: Vec<_> = json.as_bytes().chunks(PIECE).collect();
        let set = format!(
            "{}.{:016x}",
            checkpoint.position.offset,
            StableHash::of(json.as_bytes())
        );
        let headers = Headers::new(&[("set", &set), ("pieces", &pieces.len().to_string())]);
        let (pipeline, sink) = (&*self.writer.pipeline, &*self.writer.sink);
        for (at, piece) in pieces.into_iter().enumerate() {
            let key = serde_json::to_vec(&(pipeline, sink, lane.as_str(), at)).unwrap_or_default();
            let record = Record {
                topic: &self.topic,
                partition: Some(self.partition(lane)),
                key: &key,
                payload: piece,
                headers: Some(&headers),
                timestamp: None,
            };
            producer.send(number + at, &record)?;
        }
        Ok(())
    }
}

struct Piece {
    number: usize,
    of: usize,
    set: String,
}

/// The pieces of a checkpoint so far.
#[derive(Default)]
struct Set {
    name: String,
    next: usize,
    bytes: Vec<u8>,
}

impl Set {
    /// The whole, once it is there. Compaction may have taken the first pieces of an older one.
    fn add(&mut self, piece: Piece, payload: Option<&[u8]>) -> Option<String> {
        if piece.number == 0 {
            *self = Self {
                name: piece.set.clone(),
                ..Self::default()
            };
        }
        if piece.number != self.next || piece.set != self.name {
            *self = Self::default();
            return None;
        }
        self.bytes.extend_from_slice(payload.unwrap_or_default());
        self.next += 1;
        let whole = self.next == piece.of;
        whole
            .then(|| String::from_utf8(std::mem::take(&mut self.bytes)).ok())
            .flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(set: &str, number: usize, of: usize) -> Piece {
        Piece {
            number,
            of,
            set: set.into(),
        }
    }

    #[test]
    fn only_whole_sets_count() {
        let mut set = Set::default();
        assert_eq!(
            set.add(piece("a", 1, 2), Some(b"y")),
            None,
            "its beginning was compacted away"
        );
        assert_eq!(set.add(piece("b", 0, 2), Some(b"1")), None);
        assert_eq!(set.add(piece("b", 1, 2), Some(b"2")).as_deref(), Some("12"));
        assert_eq!(set.add(piece("c", 0, 1), Some(b"3")).as_deref(), Some("3"));
        assert_eq!(set.add(piece("d", 0, 3), Some(b"4")), None);
        assert_eq!(set.add(piece("d", 2, 3), Some(b"6")), None, "a piece is missing");
        assert_eq!(set.add(piece("d", 1, 3), Some(b"5")), None);
    }
}

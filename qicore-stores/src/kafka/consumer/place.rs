//! Where a partition begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result, Timestamp};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use super::TopicPartition;
use super::group::Context;
use crate::kafka::error::mapped;

/// Where to begin in a partition of which no position is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Start {
    /// Where the group has committed to; at the beginning where it has not.
    #[default]
    Committed,
    /// At the beginning.
    Earliest,
    /// At the end: what comes from now on. In a group where it has committed to, which it does when it begins: what comes while
    /// nobody reads is not passed over.
    Latest,
    /// At the first message of this time or a later one, by the messages' timestamps. In a group as [latest](Self::Latest).
    Time(Timestamp),
    /// At these offsets, by `TOPIC/PARTITION`; others as [committed](Self::Committed).
    Offsets(BTreeMap<String, u64>),
}

/// Where a partition has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// The offset of the next message, at least.
    pub next: u64,
    /// How many offsets before it were removed unread: at most so many messages, since marks of transactions have offsets too.
    pub missed: u64,
    /// The partition's end, when it was asked for.
    pub end: u64,
}

type Reader = BaseConsumer<Context>;

pub(super) fn begin(
    reader: &Reader,
    timeout: Duration,
    grouped: bool,
    place: &TopicPartition,
    stored: Option<u64>,
    start: &Start,
) -> Result<Begun> {
    let failed = |error| mapped("kafka.begin", error);
    let marks = reader.fetch_watermarks(&place.topic, place.partition, timeout);
    let (low, end) = marks.map_err(failed)?;
    let (low, end) = (low.max(0) as u64, end.max(0) as u64);
    let ask = Ask {
        reader,
        timeout,
        grouped,
        place,
    };
    let wanted = match stored {
        Some(next) => Some(next),
        None => ask.by(start, end)?,
    };
    let wanted = wanted.unwrap_or(low);
    if wanted > end {
        let message = format!("the partition ends at {end}, before the position {wanted} to go on from");
        let advice = "was the topic deleted and made anew? Then give the pipeline and its group new names";
        return Err(Error::new(ErrorKind::Checkpoint, "kafka.begin", message).with("advice", advice));
    }
    let next = wanted.max(low);
    let from = ask.list(Offset::Offset(next as i64))?;
    seek(reader, &from, timeout)?;
    reader.resume(&from).map_err(failed)?;
    Ok(Begun {
        next,
        missed: next - wanted,
        end,
    })
}

/// Begins to fetch at another offset. A partition that was assigned a moment ago cannot be told before the driver's threads
/// know of it; one whose messages were removed is not fetched any more, and has to be taken up again.
fn seek(reader: &Reader, to: &TopicPartitionList, timeout: Duration) -> Result<()> {
    let (soon, until) = (Instant::now() + SOON, Instant::now() + timeout);
    loop {
        let moved = match Instant::now() < soon {
            true => sought(reader, to, timeout),
            false => reader
                .incremental_unassign(to)
                .and_then(|()| reader.incremental_assign(to)),
        };
        match moved {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > until => return Err(mapped("kafka.seek", error)),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The driver's threads know of an assignment within milliseconds.
const SOON: Duration = Duration::from_millis(300);

fn sought(reader: &Reader, to: &TopicPartitionList, timeout: Duration) -> KafkaResult<()> {
    let done = reader.seek_partitions(to.clone(), timeout)?;
    done.elements().iter().try_for_each(|element| element.error())
}

struct Ask<'a> {
    reader: &'a Reader,
    timeout: Duration,
    grouped: bool,
    place: &'a TopicPartition,
}

impl Ask<'_> {
    fn list(&self, offset: Offset) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.place.topic, self.place.partition, offset);
        added.map_err(|error| mapped("kafka.begin", error))?;
        Ok(list)
    }

    /// Where to begin; `None` for the beginning.
    fn by(&self, start: &Start, end: u64) -> Result<Option<u64>> {
        match start {
            Start::Earliest => Ok(None),
            Start::Latest => self.once(|| Ok(end)),
            Start::Time(time) => self.once(|| {
                let millis = time.nanos().div_euclid(1_000_000);
                let times = self.list(Offset::Offset(millis))?;
                let found = self.reader.offsets_for_times(times, self.timeout);
                let found = found.map_err(|error| mapped("kafka.begin", error))?;
                Ok(first(&found).unwrap_or(end))
            }),
            Start::Offsets(offsets) => match offsets.get(&self.place.to_string()) {
                Some(offset) => Ok(Some(*offset)),
                None => self.committed(),
            },
            Start::Committed => self.committed(),
        }
    }

    /// What the group has committed to; where it has not, `find` says where to begin, and the group is told.
    fn once(&self, find: impl FnOnce() -> Result<u64>) -> Result<Option<u64>> {
        if let Some(committed) = self.committed()? {
            return Ok(Some(committed));
        }
        let next = find()?;
        if self.grouped {
            let place = self.list(Offset::Offset(next as i64))?;
            let committed = self.reader.commit(&place, CommitMode::Sync);
            committed.map_err(|error| mapped("kafka.begin", error))?;
        }
        Ok(Some(next))
    }

    fn committed(&self) -> Result<Option<u64>> {
        if !self.grouped {
            return Ok(None);
        }
        let asked = self.list(Offset::Invalid)?;
        let found = self.reader.committed_offsets(asked, self.timeout);
        Ok(first(&found.map_err(|error| mapped("kafka.begin", error))?))
    }
}

fn first(list: &TopicPartitionList) -> Option<u64> {
    match list.elements().first()?.offset() {
        Offset::Offset(offset) => offset.try_into().ok(),
        _ => None,
    }
}

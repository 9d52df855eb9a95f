//! Where a partition begins.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qicore_data::{Error, ErrorKind, Result, Timestamp};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult};
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
    /// At the end: what comes from now on. A group that begins notes where, for all partitions: what comes while nobody reads is
    /// not passed over, and a partition that is added later is read from its beginning.
    Latest,
    /// At the first message of this time or a later one, by the messages' timestamps. A group notes it as for
    /// [latest](Self::Latest).
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

/// A position that was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// The offset of the next message.
    pub next: u64,
    /// Whether the message before it is to come too, if it is still there: to see whether it is the one that was read.
    pub with_last: bool,
}

type Reader = BaseConsumer<Context>;

pub(super) fn begin(
    reader: &Reader,
    timeout: Duration,
    grouped: bool,
    place: &TopicPartition,
    stored: Option<Stored>,
    start: &Start,
) -> Result<Begun> {
    let ask = Ask {
        reader,
        timeout,
        grouped,
        place,
    };
    let wanted = match stored {
        Some(stored) => Some(stored.next),
        None => ask.by(start)?,
    };
    // Asked for last: an end that is older than what is wanted would seem to lie before it.
    let marks = reader.fetch_watermarks(&place.topic, place.partition, timeout);
    let (low, end) = marks.map_err(failed)?;
    let (low, end) = (low.max(0) as u64, end.max(0) as u64);
    let wanted = wanted.unwrap_or(low);
    if wanted > end {
        let message = format!("the partition ends at {end}, before the position {wanted} to go on from");
        let advice = "was the topic deleted and made anew? Then give the pipeline and its group new names";
        return Err(Error::new(ErrorKind::Checkpoint, "kafka.begin", message).with("advice", advice));
    }
    let next = wanted.max(low);
    let before = u64::from(stored.is_some_and(|stored| stored.with_last));
    let from = ask.list(Offset::Offset(next.saturating_sub(before).max(low) as i64))?;
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
        self.list_of([(self.place.partition, offset)])
    }

    fn list_of(&self, partitions: impl IntoIterator<Item = (i32, Offset)>) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in partitions {
            let added = list.add_partition_offset(&self.place.topic, partition, offset);
            added.map_err(failed)?;
        }
        Ok(list)
    }

    /// Where to begin; `None` for the beginning.
    fn by(&self, start: &Start) -> Result<Option<u64>> {
        match start {
            Start::Earliest => Ok(None),
            Start::Latest => self.once(|partition| self.end(partition)),
            Start::Time(time) => self.once(|partition| self.at(partition, *time)),
            Start::Offsets(offsets) => match offsets.get(&self.place.to_string()) {
                Some(offset) => Ok(Some(*offset)),
                None => self.committed(),
            },
            Start::Committed => self.committed(),
        }
    }

    fn end(&self, partition: i32) -> Result<u64> {
        let marks = self.reader.fetch_watermarks(&self.place.topic, partition, self.timeout);
        Ok(marks.map_err(failed)?.1.max(0) as u64)
    }

    /// The first message of a time; the end if there is none.
    fn at(&self, partition: i32, time: Timestamp) -> Result<u64> {
        let times = self.list_of([(partition, Offset::Offset(time.nanos().div_euclid(1_000_000)))])?;
        let found = self.reader.offsets_for_times(times, self.timeout).map_err(failed)?;
        first(&found).map_or_else(|| self.end(partition), Ok)
    }

    /// Where the group has committed to. Where it has committed nothing of the topic it begins where `find` says, and that is
    /// noted for all partitions; what has been added since is read from its beginning.
    fn once(&self, find: impl Fn(i32) -> Result<u64>) -> Result<Option<u64>> {
        let own = self.place.partition;
        if !self.grouped {
            return find(own).map(Some);
        }
        let _one_at_a_time = self.reader.context().beginning();
        let partitions = self.partitions()?;
        if !self.known(&partitions)?.is_empty() {
            return self.committed();
        }
        let begin = partitions.iter().map(|partition| Ok((*partition, find(*partition)?)));
        let begin: BTreeMap<i32, u64> = begin.collect::<Result<_>>()?;
        // Another member may have begun meanwhile.
        let known = self.known(&partitions)?;
        let new = begin.iter().filter(|(partition, _)| !known.contains_key(partition));
        let new = self.list_of(new.map(|(partition, next)| (*partition, Offset::Offset(*next as i64))))?;
        if new.count() > 0 {
            self.reader.commit(&new, CommitMode::Sync).map_err(failed)?;
        }
        Ok(known.get(&own).or_else(|| begin.get(&own)).copied())
    }

    /// What the group has committed of these partitions.
    fn known(&self, partitions: &[i32]) -> Result<BTreeMap<i32, u64>> {
        let asked = self.list_of(partitions.iter().map(|partition| (*partition, Offset::Invalid)))?;
        let found = self.reader.committed_offsets(asked, self.timeout).map_err(failed)?;
        let known = found
            .elements()
            .into_iter()
            .filter_map(|element| match element.offset() {
                Offset::Offset(offset) => Some((element.partition(), offset.try_into().ok()?)),
                _ => None,
            });
        Ok(known.collect())
    }

    fn partitions(&self) -> Result<Vec<i32>> {
        let metadata = self
            .reader
            .fetch_metadata(Some(&self.place.topic), self.timeout)
            .map_err(failed)?;
        let of_topic = metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(of_topic.map(|partition| partition.id()).collect())
    }

    fn committed(&self) -> Result<Option<u64>> {
        if !self.grouped {
            return Ok(None);
        }
        let asked = self.list(Offset::Invalid)?;
        let found = self.reader.committed_offsets(asked, self.timeout);
        Ok(first(&found.map_err(failed)?))
    }
}

fn failed(error: KafkaError) -> Error {
    mapped("kafka.begin", error)
}

fn first(list: &TopicPartitionList) -> Option<u64> {
    match list.elements().first()?.offset() {
        Offset::Offset(offset) => offset.try_into().ok(),
        _ => None,
    }
}

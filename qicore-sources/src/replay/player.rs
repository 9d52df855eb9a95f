//! Plays what readers read: in turn at full speed, or by time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use qicore_data::{Batch, BatchLimit, FromStart, Result, Resume, Timestamp};
use tokio::time::{Instant, sleep_until};

use super::config::Pace;
use super::stream::Stream;

/// So many files are read at a time at full speed: enough for all cores, and few open files.
const MOST_READERS: usize = 16;

/// A longer pause is none between two messages but between two recordings, made in different years perhaps.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Starts a reader.
pub(crate) type Start = Box<dyn FnOnce() -> Result<Stream> + Send>;

/// The batches of many readers.
pub(crate) struct Player {
    pace: Pace,
    waiting: VecDeque<Start>,
    streams: Vec<Stream>,
    /// The stream that is asked first for the next batch.
    turn: usize,
    ends: VecDeque<Batch>,
    /// When playing began, and the recorded time it began with; begun anew after a pause that is passed over.
    clock: Option<(Instant, Timestamp)>,
    /// The recorded time that playing has come to.
    played: Option<Timestamp>,
    resume: Arc<dyn Resume>,
}

impl Player {
    /// A player of nothing.
    pub(crate) fn idle() -> Self {
        Self::new(Pace::Full, Arc::new(FromStart), [])
    }

    pub(crate) fn new(pace: Pace, resume: Arc<dyn Resume>, readers: impl IntoIterator<Item = Start>) -> Self {
        Self {
            pace,
            waiting: readers.into_iter().collect(),
            streams: Vec::new(),
            turn: 0,
            ends: VecDeque::new(),
            clock: None,
            played: None,
            resume,
        }
    }

    /// The next batch. Cancel-safe: what is taken off a stream is returned without another await.
    pub(crate) async fn next(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        loop {
            if let Some(end) = self.ends.pop_front() {
                return Ok(Some(end));
            }
            // By time, all have to be at hand: any may hold what comes next.
            while self.pace != Pace::Full || self.streams.len() < MOST_READERS {
                let Some(start) = self.waiting.pop_front() else { break };
                self.streams.push(start()?);
            }
            if self.streams.is_empty() {
                return Ok(None);
            }
            let batch = match self.pace {
                Pace::Full => self.in_turn(limit).await?,
                Pace::Times(factor) => self.by_time(factor, limit).await?,
            };
            if batch.is_some() {
                return Ok(batch);
            }
        }
    }

    /// A batch of the next stream that has something.
    async fn in_turn(&mut self, limit: BatchLimit) -> Result<Option<Batch>> {
        let (streams, turn) = (&mut self.streams, self.turn);
        let at = std::future::poll_fn(|cx| {
            let count = streams.len();
            for at in (turn..turn + count).map(|at| at % count) {
                if let Poll::Ready(arrived) = streams[at].poll_arrival(cx) {
                    return Poll::Ready(arrived.map(|()| at));
                }
            }
            Poll::Pending
        })
        .await?;
        let stream = &mut self.streams[at];
        stream.take_up(&*self.resume).await?;
        self.turn = at + 1;
        let batch = stream.take(limit, Timestamp::MAX);
        if batch.is_none() && stream.has_ended() {
            self.finish(at);
        }
        Ok(batch)
    }

    /// A batch of the stream whose turn it is by the recorded times.
    async fn by_time(&mut self, factor: f64, limit: BatchLimit) -> Result<Option<Batch>> {
        let mut at = 0;
        while at < self.streams.len() {
            if self.streams[at].fill(&*self.resume).await? {
                at += 1;
            } else {
                self.finish(at);
            }
        }
        let next = self.streams.iter_mut().min_by_key(|stream| stream.due());
        let Some(stream) = next.filter(|_| self.ends.is_empty()) else {
            return Ok(None);
        };
        let Some(due) = stream.due() else {
            return Ok(stream.take(limit, Timestamp::from_nanos(i64::MIN)));
        };
        if self
            .played
            .is_some_and(|played| Pace::scaled(factor, due.since(played)) > LONGEST_PAUSE)
        {
            self.clock = None;
        }
        self.played = Some(due);
        let (began, first) = *self.clock.get_or_insert_with(|| (Instant::now(), due));
        if let Some(rest) = Pace::scaled(factor, due.since(first)).checked_sub(began.elapsed()) {
            sleep_until(Instant::now() + rest).await;
        }
        let played = began.elapsed().as_secs_f64() * factor;
        let played = Duration::try_from_secs_f64(played).unwrap_or(Duration::MAX);
        Ok(stream.take(limit, first.saturating_add(played).max(due)))
    }

    /// Takes a stream out that has no more.
    fn finish(&mut self, at: usize) {
        let stream = self.streams.remove(at);
        self.ends.extend(stream.ends());
    }
}

//! A lane's producer, and what is known to be written.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use qicore_data::{Checkpoint, Delivery, Error, ErrorKind, Event, Lane, Result, RetryAdvice};
use qicore_stores::kafka::{CheckpointLog, Connection, Producer, ProducerConfig};

use super::rows::{Routes, Sending};

/// What all lanes share while the sink is open.
pub(super) struct Shared {
    pub(super) connection: Connection,
    pub(super) routes: Routes,
    pub(super) producer: ProducerConfig,
    /// Where checkpoints go; `None` without transactions.
    pub(super) log: Option<CheckpointLog>,
    /// What transactional ids begin with.
    pub(super) prefix: String,
}

/// A delivery, and the places of its rows that are not to be written.
#[derive(Clone)]
pub(super) struct Staged {
    pub(super) delivery: Delivery,
    pub(super) refused: BTreeSet<usize>,
}

/// With so little a batch is hardly more than one message.
const SMALLEST_BATCH: usize = 1 << 10;

/// Rows by their number in all deliveries that are written together.
type Refused = BTreeMap<usize, Error>;

/// The blocking part of a lane's writer. A call that nobody waits for any more goes on to its end, and leaves here what
/// came of it.
pub(super) struct Session {
    shared: Arc<Shared>,
    lane: Lane,
    producer: Option<Producer>,
    /// Most bytes of a batch; less than what topics took when the sink was opened, if one of them takes less now.
    batch_bytes: usize,
    /// What the log holds, as far as this writer knows.
    held: Option<Checkpoint>,
    /// The delivery that was written last without a transaction, and what of it was refused: whoever did not wait for the
    /// answer asks again.
    written: Option<(String, Places)>,
    /// Rows that are looked for, in what is to be written.
    search: Option<Search>,
    /// A delivery of which only some rows were written without a transaction, and the numbers of the others.
    unwritten: Option<(String, Vec<usize>)>,
}

/// Rows of a delivery that were refused, by their places, and why.
pub(super) type Places = Vec<(usize, String)>;

impl Session {
    pub(super) fn new(shared: Arc<Shared>, lane: Lane) -> Self {
        Self {
            batch_bytes: shared.producer.batch_bytes,
            shared,
            lane,
            producer: None,
            held: None,
            written: None,
            search: None,
            unwritten: None,
        }
    }

    /// Connects, and takes the lane from whoever has written it: that one's transaction is ended.
    pub(super) fn take_up(&mut self) -> Result<Option<Checkpoint>> {
        self.producer = None;
        let producer = self.open(Batches::Full)?;
        self.held = match &self.shared.log {
            Some(log) => log.newest(&self.lane)?,
            None => None,
        };
        self.producer = Some(producer);
        Ok(self.held.clone())
    }

    fn open(&self, batches: Batches) -> Result<Producer> {
        let mut config = self.shared.producer.clone();
        config.batch_bytes = self.batch_bytes;
        if batches == Batches::Single {
            config.batch_messages = 1;
        }
        if self.shared.log.is_some() {
            config.transactional_id = Some(format!("{}/{}", self.shared.prefix, self.lane));
        }
        let producer = Producer::open(&self.shared.connection, &config)?;
        producer.find(&self.shared.routes.destinations())?;
        Ok(producer)
    }

    /// Writes rows without a transaction, and tells those that a broker refuses.
    pub(super) fn write(&mut self, rows: &Staged) -> Result<Refused> {
        let token = rows.delivery.token();
        if let Some((last, refused)) = &self.written
            && *last == token
        {
            return Ok(told(refused));
        }
        let producer = match self.producer.take() {
            Some(producer) => producer,
            None => self.open(Batches::Full)?,
        };
        let rows = std::slice::from_ref(rows);
        let failed = match &self.unwritten {
            Some((last, numbers)) if *last == token => {
                send(&self.shared.routes, &producer, of_those(rows, numbers), None)?
            }
            _ => send(&self.shared.routes, &producer, numbered(rows), None)?,
        };
        self.unwritten = None;
        let numbers: Vec<_> = failed.keys().copied().collect();
        let mut refused = Refused::new();
        if numbers.is_empty() {
            self.producer = Some(producer);
        } else {
            self.unwritten = Some((token.clone(), numbers.clone()));
            rejected(failed)?;
            // Not two producers at a time: what this one has left unsent is failed already.
            drop(producer);
            let producer = self.open(Batches::Single)?;
            refused = send(&self.shared.routes, &producer, of_those(rows, &numbers), None)?;
            self.unwritten = Some((token.clone(), refused.keys().copied().collect()));
            only_rejected(&refused)?;
            self.unwritten = None;
        }
        let places = refused.iter().map(|(at, error)| (*at, error.message().to_owned()));
        self.written = Some((token, places.collect()));
        Ok(refused)
    }

    /// Writes rows and the checkpoint that covers them in one transaction. Where a broker refuses some of them nothing is
    /// written, and they are told.
    pub(super) fn transact(&mut self, rows: &[Staged], checkpoint: &Checkpoint) -> Result<Refused> {
        if self.held.as_ref() == Some(checkpoint) {
            return Ok(Refused::new());
        }
        let Some(producer) = self.ready(checkpoint)? else {
            return Ok(Refused::new());
        };
        let mut search = match self.search.take() {
            // Nobody has waited for its end.
            Some(search) if search.is_in(rows) => search,
            // A producer that fails is given up. The next try opens another one, and finds out what is written: by this try, or
            // by somebody who has taken the lane.
            _ => match self.attempt(&producer, rows, checkpoint).map_err(for_next_try)? {
                Outcome::Committed => {
                    self.held = Some(checkpoint.clone());
                    self.producer = Some(producer);
                    return Ok(Refused::new());
                }
                Outcome::Refused(suspects) => Search::new(rows, suspects),
            },
        };
        drop(producer);
        let searched = self.look_for(rows, &mut search);
        let refused = search.refused();
        let over = search.suspects.is_empty();
        if !refused.is_empty() || !over {
            self.search = Some(search);
        }
        searched.map_err(for_next_try)?;
        if refused.is_empty() {
            self.batch_bytes = (self.batch_bytes / 4).max(SMALLEST_BATCH);
            let message = "a topic takes less at a time than it did: smaller batches are tried";
            return Err(Error::new(ErrorKind::Unavailable, "kafka.write", message).with_retry(RetryAdvice::Backoff));
        }
        Ok(refused)
    }

    /// The producer; `None` where the checkpoint turns out to be written.
    fn ready(&mut self, checkpoint: &Checkpoint) -> Result<Option<Producer>> {
        if let Some(producer) = self.producer.take() {
            return Ok(Some(producer));
        }
        let producer = self.open(Batches::Full)?;
        let found = match &self.shared.log {
            Some(log) => log.newest(&self.lane)?,
            None => None,
        };
        if found == self.held {
            return Ok(Some(producer));
        }
        self.producer = Some(producer);
        if found.as_ref() == Some(checkpoint) {
            self.held = found;
            return Ok(None);
        }
        let message = "another process has taken the lane, and writes it";
        let error = Error::new(ErrorKind::Fenced, "kafka.write", message).with("lane", &self.lane);
        Err(error.with(
            "stored",
            found.map_or("none".to_owned(), |found| found.position.offset.to_string()),
        ))
    }

    /// Commits rows and checkpoint, or gives them up.
    fn attempt(&self, producer: &Producer, rows: &[Staged], checkpoint: &Checkpoint) -> Result<Outcome> {
        let covering = self.shared.log.as_ref().map(|log| (log, checkpoint));
        producer.begin()?;
        let mut failed = match send(&self.shared.routes, producer, numbered(rows), covering) {
            Ok(failed) if failed.is_empty() => {
                producer.commit()?;
                return Ok(Outcome::Committed);
            }
            Ok(failed) => failed,
            Err(error) => {
                producer.abort()?;
                return Err(error);
            }
        };
        let is_rejected = |error: &Error| error.kind() == ErrorKind::Rejected;
        // Messages that were not sent do not say why.
        let cause = match failed.values().any(is_rejected) {
            true => None,
            false => producer.failure(),
        };
        let aborted = producer.abort();
        if let Some(cause) = cause.filter(|cause| cause.retry() == RetryAdvice::Never) {
            return Err(cause);
        }
        aborted?;
        let mut of_checkpoint = failed.split_off(&CHECKPOINT);
        if let Some((_, error)) = of_checkpoint.extract_if(.., |_, error| is_rejected(error)).next() {
            return Err(error.with("refused", "the checkpoint"));
        }
        let numbers = failed.keys().copied().collect();
        failed.append(&mut of_checkpoint);
        rejected(failed).map(|()| Outcome::Refused(numbers))
    }

    /// Finds the rows that a broker refuses, by transactions that are all given up, with every message a batch of its own. Each
    /// takes messages until the first is refused; those that were delivered before it are sound. Each has a producer of its
    /// own: one that goes on after a refusal skips sequence numbers now and then, and fails for that.
    fn look_for(&self, rows: &[Staged], search: &mut Search) -> Result<()> {
        while !search.suspects.is_empty() {
            let producer = self.open(Batches::Single)?;
            producer.begin()?;
            let failed = send(&self.shared.routes, &producer, of_those(rows, &search.suspects), None);
            producer.abort()?;
            let (refused, unclear): (Refused, Refused) = failed?
                .into_iter()
                .partition(|(_, error)| error.kind() == ErrorKind::Rejected);
            if refused.is_empty() {
                lasting(unclear)?;
                search.suspects.clear();
                break;
            }
            let told = refused
                .into_iter()
                .map(|(number, error)| (number, error.message().to_owned()));
            search.found.extend(told);
            search.suspects = unclear.into_keys().collect();
        }
        Ok(())
    }
}

/// Rows that a broker has refused, among some that it may have refused. Kept until they are told: a search may take longer than
/// anybody waits for it.
struct Search {
    token: String,
    /// How many rows were known to be refused when it began.
    known: usize,
    suspects: Vec<usize>,
    found: Places,
}

impl Search {
    fn new(rows: &[Staged], suspects: Vec<usize>) -> Self {
        Self {
            token: token(rows),
            known: known(rows),
            suspects,
            found: Places::new(),
        }
    }

    fn is_in(&self, rows: &[Staged]) -> bool {
        self.token == token(rows) && self.known == known(rows)
    }

    fn refused(&self) -> Refused {
        told(&self.found)
    }
}

fn token(rows: &[Staged]) -> String {
    rows.last().map(|last| last.delivery.token()).unwrap_or_default()
}

fn known(rows: &[Staged]) -> usize {
    rows.iter().map(|staged| staged.refused.len()).sum()
}

fn told(places: &Places) -> Refused {
    let error = |(at, reason): &(usize, String)| (*at, Error::new(ErrorKind::Rejected, "kafka.write", reason));
    places.iter().map(error).collect()
}

/// What has become of a transaction.
enum Outcome {
    Committed,
    /// A broker has refused some of these rows.
    Refused(Vec<usize>),
}

/// How messages are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Batches {
    Full,
    /// One by one, each with an answer of its own.
    Single,
}

/// Who finds itself fenced looks up who has the lane before it gives up.
fn for_next_try(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Fenced => error.with_retry(RetryAdvice::Backoff),
        _ => error,
    }
}

/// The rows that are to be written, numbered through all deliveries.
pub(super) fn numbered(rows: &[Staged]) -> impl Iterator<Item = (usize, &Event)> {
    let mut before = 0;
    rows.iter().flat_map(move |staged| {
        let first = before;
        before += staged.delivery.len();
        let events = staged.delivery.iter().enumerate();
        let wanted = events.filter(|(at, _)| !staged.refused.contains(at));
        wanted.map(move |(at, event)| (first + at, event))
    })
}

/// Some of the rows; their numbers are sorted.
fn of_those<'a>(rows: &'a [Staged], numbers: &[usize]) -> impl Iterator<Item = (usize, &'a Event)> {
    numbered(rows).filter(|(number, _)| numbers.binary_search(number).is_ok())
}

/// Sends the checkpoint and the rows, and waits for what becomes of them. The checkpoint goes first: its partition is added to
/// the transaction while rows are encoded.
fn send<'a>(
    routes: &Routes,
    producer: &Producer,
    rows: impl Iterator<Item = (usize, &'a Event)>,
    covering: Option<(&CheckpointLog, &Checkpoint)>,
) -> Result<Refused> {
    if let Some((log, checkpoint)) = covering {
        log.send(producer, checkpoint, CHECKPOINT)?;
    }
    let mut sending = Sending::new(routes, producer);
    for (number, event) in rows {
        sending.row(number, event)?;
    }
    producer.deliver()
}

/// The number of a checkpoint's first message: beyond all rows.
const CHECKPOINT: usize = usize::MAX / 2;

/// Whether a broker has refused some of the messages that failed for what they are; others may have failed with them.
///
/// # Errors
/// Where it has not.
fn rejected(failed: Refused) -> Result<()> {
    match failed.values().any(|error| error.kind() == ErrorKind::Rejected) {
        true => Ok(()),
        false => lasting(failed),
    }
}

/// # Errors
/// The failure that another try does not help against, else the first.
fn lasting(mut failed: Refused) -> Result<()> {
    let never = failed.iter().find(|(_, error)| error.retry() == RetryAdvice::Never);
    let told = never.or(failed.first_key_value()).map(|(number, _)| *number);
    told.and_then(|number| failed.remove(&number)).map_or(Ok(()), Err)
}

/// # Errors
/// The first failure that is not for the row.
fn only_rejected(failed: &Refused) -> Result<()> {
    match failed.values().find(|error| error.kind() != ErrorKind::Rejected) {
        Some(error) => Err(Error::new(error.kind(), error.operation(), error.message()).with_retry(error.retry())),
        None => Ok(()),
    }
}

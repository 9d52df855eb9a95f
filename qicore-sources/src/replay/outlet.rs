//! A reader thread's end of the channel to the source.
//!
//! Readers are threads and not tasks of the runtime: decompressing and parsing would hold up its workers, and they may
//! block for as long as the pipeline does not ask for more.

use std::collections::HashMap;
use std::thread;

use qicore_data::{Content, Error, ErrorKind, Event, Frame, Lane, Offsets, Result};
use tokio::sync::mpsc;

/// A lane's run is handed over at so many items or bytes.
const RUN_ITEMS: usize = 2048;
const RUN_BYTES: usize = 1 << 20;
/// All lanes' runs are handed over when they come to so many bytes together.
const ALL_BYTES: usize = 4 << 20;
/// Runs that a reader may be ahead.
const AHEAD: usize = 4;

/// Consecutive frames or events of one lane.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) lane: Lane,
    pub(crate) content: Content,
    /// The offset of the last one.
    pub(crate) last: u64,
}

impl Run {
    /// The offset of the first one.
    pub(crate) fn first(&self) -> u64 {
        match &self.content {
            Content::Frames(frames) => frames.first().map_or(self.last, |frame| frame.offset),
            Content::Events(_, Offsets::Each(offsets)) => offsets.first().copied().unwrap_or(self.last),
            content => (self.last + 1).saturating_sub(content.len() as u64),
        }
    }
}

/// What a reader sends. A channel that closes without `End` tells of a reader that died.
pub(crate) enum Message {
    Run(Run),
    End,
}

/// Why a reader stops early.
pub(crate) enum Stop {
    /// Nobody is listening any more.
    Closed,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

pub(crate) type Messages = mpsc::Receiver<Result<Message>>;

/// Gathers what a reader reads into runs, by lane.
pub(crate) struct Outlet {
    sender: mpsc::Sender<Result<Message>>,
    lanes: Vec<Gathered>,
    by_key: HashMap<Box<str>, usize>,
    /// The lane of the last record: most often also that of the next.
    latest: usize,
    bytes: usize,
}

struct Gathered {
    key: Box<str>,
    lane: Lane,
    frames: Vec<Frame>,
    events: Vec<Event>,
    /// The events' offsets, where they are not counted.
    offsets: Vec<u64>,
    last: u64,
    bytes: usize,
}

/// Starts a reader.
pub(crate) fn start(read: impl FnOnce(&mut Outlet) -> Result<(), Stop> + Send + 'static) -> Result<Messages> {
    let (sender, messages) = mpsc::channel(AHEAD);
    let mut outlet = Outlet {
        sender,
        lanes: Vec::new(),
        by_key: HashMap::new(),
        latest: 0,
        bytes: 0,
    };
    let work = move || {
        let read = read(&mut outlet).and_then(|()| outlet.send_all());
        let last = match read {
            Ok(()) => Ok(Message::End),
            Err(Stop::Failed(error)) => Err(error),
            Err(Stop::Closed) => return,
        };
        // Nobody is left to be told if this fails.
        let _ = outlet.sender.blocking_send(last);
    };
    let thread = thread::Builder::new().name("qicore-replay".to_owned());
    thread.spawn(work).map_err(|error| {
        let message = "no thread can be started to read with";
        Error::new(ErrorKind::Unavailable, "replay.open", message).with_source(error)
    })?;
    Ok(messages)
}

impl Outlet {
    /// The place of the lane that belongs to `key`.
    pub(crate) fn lane(&mut self, key: &str, lane: impl FnOnce() -> Lane) -> usize {
        if self.lanes.get(self.latest).is_some_and(|latest| *latest.key == *key) {
            return self.latest;
        }
        self.latest = match self.by_key.get(key) {
            Some(at) => *at,
            None => {
                self.by_key.insert(key.into(), self.lanes.len());
                self.lanes.push(Gathered {
                    key: key.into(),
                    lane: lane(),
                    frames: Vec::new(),
                    events: Vec::new(),
                    offsets: Vec::new(),
                    last: 0,
                    bytes: 0,
                });
                self.lanes.len() - 1
            }
        };
        self.latest
    }

    /// Adds a frame to a lane of frames.
    pub(crate) fn frame(&mut self, at: usize, frame: Frame) -> Result<(), Stop> {
        let lane = &mut self.lanes[at];
        let bytes = frame.weight();
        lane.last = frame.offset;
        lane.frames.push(frame);
        self.added(at, bytes)
    }

    /// Adds an event to a lane of events; its offset is the number of events before it, plus one.
    pub(crate) fn event(&mut self, at: usize, event: Event) -> Result<(), Stop> {
        let lane = &mut self.lanes[at];
        let bytes = event.weight();
        lane.last += 1;
        lane.events.push(event);
        self.added(at, bytes)
    }

    /// Adds an event to a lane of events whose offsets are told.
    pub(crate) fn event_at(&mut self, at: usize, event: Event, offset: u64) -> Result<(), Stop> {
        let lane = &mut self.lanes[at];
        let bytes = event.weight();
        lane.last = offset;
        lane.events.push(event);
        lane.offsets.push(offset);
        self.added(at, bytes)
    }

    fn added(&mut self, at: usize, bytes: usize) -> Result<(), Stop> {
        let lane = &mut self.lanes[at];
        lane.bytes += bytes;
        self.bytes += bytes;
        if self.bytes >= ALL_BYTES {
            return self.send_all();
        }
        if lane.bytes >= RUN_BYTES || lane.frames.len().max(lane.events.len()) >= RUN_ITEMS {
            return self.send(at);
        }
        Ok(())
    }

    fn send_all(&mut self) -> Result<(), Stop> {
        (0..self.lanes.len()).try_for_each(|at| self.send(at))
    }

    fn send(&mut self, at: usize) -> Result<(), Stop> {
        let lane = &mut self.lanes[at];
        self.bytes -= std::mem::take(&mut lane.bytes);
        let content = match (lane.frames.is_empty(), lane.events.is_empty()) {
            (true, true) => return Ok(()),
            (false, _) => Content::Frames(std::mem::take(&mut lane.frames)),
            (true, false) => {
                let offsets = match std::mem::take(&mut lane.offsets) {
                    offsets if offsets.is_empty() => Offsets::Counted,
                    offsets => Offsets::Each(offsets),
                };
                Content::Events(std::mem::take(&mut lane.events), offsets)
            }
        };
        let (lane, last) = (lane.lane.clone(), lane.last);
        let run = Run { lane, content, last };
        self.sender
            .blocking_send(Ok(Message::Run(run)))
            .map_err(|_| Stop::Closed)
    }
}

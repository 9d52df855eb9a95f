//! What connections tell the source, in bounds.

use std::sync::Arc;

use qicore_data::{Error, Event, Frame, Symbol, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::venue::Stream;

/// What a connection tells the source.
#[derive(Debug)]
pub(super) enum Report {
    /// All streams are subscribed to, but for those that the venue does not give.
    Up {
        slot: usize,
        refused: Vec<(Stream, String)>,
    },
    /// What was decoded.
    Events { slot: usize, events: Vec<Event> },
    /// A message that cannot be decoded.
    Rejected { frame: Frame, error: Error },
    /// Another connection has taken the place of the one before; changes of these books have come on it.
    TakenOver { books: Vec<Symbol> },
    /// The venue does not give these streams any more.
    Refused { streams: Vec<(Stream, String)> },
    /// The connection is lost; another one is being made.
    Down {
        slot: usize,
        heard: Timestamp,
        error: Error,
    },
}

/// A report, and the room that it takes while it waits.
#[derive(Debug)]
pub(super) struct Posted {
    pub(super) report: Report,
    _room: Option<OwnedSemaphorePermit>,
}

impl From<Report> for Posted {
    /// One that takes no room.
    fn from(report: Report) -> Self {
        Self { report, _room: None }
    }
}

/// Where reports go.
#[derive(Debug, Clone)]
pub(super) struct Reports {
    sender: mpsc::Sender<Posted>,
    /// For the messages that waiting reports are made of, in KiB.
    room: Arc<Semaphore>,
}

/// Reports that wait for the pipeline; each holds what came together on a connection.
const WAITING: usize = 512;
/// The messages that they are made of, in KiB.
const WAITING_KIB: usize = 64 << 10;

impl Reports {
    /// With where they come out.
    pub(super) fn new() -> (Self, mpsc::Receiver<Posted>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let room = Arc::new(Semaphore::new(WAITING_KIB));
        (Self { sender, room }, receiver)
    }

    /// Tells what no message is kept for. False when nobody listens any more.
    pub(super) async fn send(&self, report: Report) -> bool {
        self.sender.send(report.into()).await.is_ok()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// A place for a report that so many bytes of messages have led to; `None` when nobody listens any more.
    pub(super) async fn reserve(&self, bytes: usize) -> Option<Place<'_>> {
        let kib = (bytes >> 10).clamp(1, WAITING_KIB) as u32;
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.ok()?;
        let place = self.sender.reserve().await.ok()?;
        Some(Place { place, room })
    }
}

/// A place that is kept for a report.
#[derive(Debug)]
#[must_use = "others wait for it"]
pub(super) struct Place<'a> {
    place: mpsc::Permit<'a, Posted>,
    room: OwnedSemaphorePermit,
}

impl Place<'_> {
    pub(super) fn send(self, report: Report) {
        self.place.send(Posted {
            report,
            _room: Some(self.room),
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_waits_for_the_pipeline_is_bounded_in_bytes() {
        let (reports, mut told) = Reports::new();
        let report = || Report::TakenOver { books: Vec::new() };
        let all = WAITING_KIB << 10;
        for bytes in [all, 2 * all] {
            // Larger than all the room, it waits for all of it.
            reports.reserve(bytes).await.unwrap().send(report());
            assert!(reports.reserve(1).now_or_never().is_none());
            drop(told.recv().await.unwrap());
        }
        assert!(reports.reserve(1).now_or_never().is_some());
    }
}

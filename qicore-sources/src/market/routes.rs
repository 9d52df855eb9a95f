//! Which stream is on which connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Error, ErrorKind, GapReason, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::connection::{Command, Shared};
use super::seam::{Plan, Seam};
use super::{MarketConfig, keeper};
use crate::venue::{Stream, in_groups};

/// The longest time between two attempts to wake up a silent subscription.
const STALE_AT_MOST: Duration = Duration::from_secs(3600);

/// What is known of a stream.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) stream: Stream,
    /// The place of its connection.
    pub(super) slot: usize,
    /// What is made of it, by its number in the seam; nothing, of what no venue keeps.
    pub(super) seams: Vec<usize>,
    pub(super) heard: Instant,
    pub(super) stale_after: Duration,
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) routes: Vec<usize>,
    pub(super) commands: mpsc::Sender<Command>,
    /// It has been there once.
    pub(super) was_up: bool,
    /// How often it could not be made since it was there.
    pub(super) attempts: u64,
    /// When it was lost, by the last message, and why.
    pub(super) down: Option<(Timestamp, GapReason)>,
}

impl Route {
    /// Something has come of it.
    #[inline]
    pub(super) fn heard(&mut self, now: Instant, config: &MarketConfig) {
        (self.heard, self.stale_after) = (now, config.stale_after);
    }

    /// Whether it has been silent for so long that it is to be subscribed to again; the next time is later.
    pub(super) fn is_stale(&mut self) -> bool {
        if self.heard.elapsed() < self.stale_after {
            return false;
        }
        self.heard = Instant::now();
        self.stale_after = (self.stale_after * 2).min(STALE_AT_MOST);
        true
    }
}

/// The streams of a live market, and their connections.
#[derive(Debug, Default)]
pub(super) struct Routes {
    pub(super) all: Vec<Route>,
    pub(super) slots: Vec<Slot>,
    /// The tasks that keep the connections, for as long as this is there.
    keepers: JoinSet<()>,
    by_stream: HashMap<Stream, usize, rustc_hash::FxBuildHasher>,
}

impl Routes {
    /// Spreads streams over connections, and has those made.
    pub(super) fn connect(
        plans: &[Plan],
        seam: &Seam,
        config: &MarketConfig,
        shared: Shared,
        lost: Option<(Timestamp, GapReason)>,
    ) -> Self {
        let mut sent: Vec<_> = plans.iter().filter(|plan| plan.sent).map(|plan| plan.of).collect();
        sent.sort_unstable();
        sent.dedup();
        let most = config.streams_per_connection.unwrap_or(usize::MAX);
        let groups = in_groups(&sent, shared.feed.per_connection.min(most).max(1));
        let (shared, mut routes) = (Arc::new(shared), Self::default());
        for (slot, streams) in groups.into_iter().enumerate() {
            let first = routes.all.len();
            routes.all.extend(streams.iter().map(|stream| Route {
                stream: *stream,
                slot,
                seams: seam.numbers(*stream),
                heard: Instant::now(),
                stale_after: config.stale_after,
            }));
            let (commands, receiver) = mpsc::channel(1024);
            routes.slots.push(Slot {
                routes: (first..routes.all.len()).collect(),
                commands,
                was_up: false,
                attempts: 0,
                down: lost,
            });
            let kept = keeper::keep(Arc::clone(&shared), slot, streams, receiver);
            routes.keepers.spawn(kept);
        }
        let numbers = routes.all.iter().enumerate();
        routes.by_stream = numbers.map(|(at, route)| (route.stream, at)).collect();
        routes
    }

    /// A connection that nobody keeps any more: a defect. Cancel-safe; waits for ever while all is well.
    pub(super) async fn broken(&mut self) -> Error {
        match self.keepers.join_next().await {
            Some(ended) => {
                let why = ended.err().map_or_else(String::new, |error| format!(": {error}"));
                let message = format!("the task that keeps a connection has ended{why}");
                Error::new(ErrorKind::Internal, "market.keeper", message)
            }
            None => std::future::pending().await,
        }
    }

    /// The number of a stream.
    #[inline]
    pub(super) fn number(&self, stream: &Stream) -> Option<usize> {
        self.by_stream.get(stream).copied()
    }
}

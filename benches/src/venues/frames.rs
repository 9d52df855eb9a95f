//! Frames of a feed: from the socket into events at a pipeline's sink, against the bare loop.

use std::ops::Range;

use qicore::sources::Channel;
use tokio::runtime::Runtime;

use super::stretch::{Taken, of_pipeline};
use super::{Server, Venue, bare};
use crate::Result;
use crate::pipelines::cores;
use crate::ratio::{Ratio, measure};

/// Frames that a connection is sent.
const FRAMES: u64 = 500_000;
/// Those that are timed. The last are left out: they may wait for others in the sink's queue.
const TIMED: Range<u64> = 50_000..450_000;
const ROUNDS: usize = 5;

/// A venue that sends each connection its frames as fast as they are taken.
#[derive(Debug)]
pub struct Feed {
    venue: Venue,
    server: Server,
    runtime: Runtime,
}

impl Feed {
    /// Starts the venue.
    pub fn new(venue: Venue) -> Result<Self> {
        let burst = FRAMES.to_string();
        Ok(Self {
            venue,
            server: Server::start(venue, &["--burst-frames", &burst, "--trade-interval", "1s"])?,
            runtime: cores(2)?,
        })
    }

    /// The ratio, and the line of frames of a core.
    pub fn measured(&self) -> Result<(Ratio, String)> {
        let name = format!("venues/frames-{}", self.venue.name());
        let work = (TIMED.end - TIMED.start) as f64;
        let (mut ours, mut reference) = (Taken::default(), Taken::default());
        let ratio = measure(
            &name,
            "frames/s",
            ROUNDS,
            (work, work),
            &mut || {
                let source = self.venue.source(&self.server, [Channel::Trades])?;
                let taken = of_pipeline(&self.runtime, source, TIMED)?;
                ours.add(taken);
                Ok(taken.time_of(work))
            },
            &mut || {
                let taken = bare::run(&self.runtime, self.venue, &self.server, TIMED)?;
                reference.add(taken);
                Ok(taken.time_of(work))
            },
        )?;
        self.server.well_behaved()?;
        Ok((ratio, core(&name, ours.of_a_core(), reference.of_a_core())))
    }
}

/// The line of what a core does: all processors' time counts, the kernel's too.
pub fn core(name: &str, ours: f64, reference: f64) -> String {
    format!("CORE {name} {ours:.0} frames/s of a core (reference {reference:.0})")
}

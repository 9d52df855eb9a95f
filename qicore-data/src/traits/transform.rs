//! Transforms.

use crate::error::Result;
use crate::event::Event;
use crate::tables::Tables;

/// An event that a transform refuses.
#[derive(Debug, Clone)]
pub struct RejectedEvent {
    /// The event.
    pub event: Event,
    /// The rule's name.
    pub rule: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// What a transform makes of a batch.
#[derive(Debug, Default)]
pub struct Output {
    /// Events for the next stage.
    pub events: Vec<Event>,
    /// Events for the dead letters.
    pub rejected: Vec<RejectedEvent>,
}

impl Output {
    /// Passes a whole batch on. Costs nothing while nothing else has been put out.
    pub fn forward(&mut self, mut events: Vec<Event>) {
        if self.events.is_empty() {
            self.events = events;
        } else {
            self.events.append(&mut events);
        }
    }

    /// Refuses an event.
    pub fn reject(&mut self, event: Event, rule: &'static str, message: impl Into<String>) {
        self.rejected.push(RejectedEvent {
            event,
            rule,
            message: message.into(),
        });
    }
}

/// Changes the events of one lane: filters, checks, aggregates, enriches. CPU only: no I/O, no clock, no awaiting.
///
/// Each lane has a copy of its own. Given the same state and the same events it must put out the same events, since
/// that is what a restart from a checkpoint relies on. What it looks up in a [table](Transform::tables) is state from
/// outside: it may be newer after a restart.
pub trait Transform: Send {
    /// The stage's name; its state is stored under it.
    fn name(&self) -> &str;

    /// Hands over the pipeline's tables, once for each copy and before anything else. Also called when a pipeline is
    /// put together, while the tables are still empty: a transform that looks things up in a table that is not there
    /// must say so now, with the name of its setting as the context `setting`.
    fn tables(&mut self, tables: &Tables) -> Result<()> {
        let _ = tables;
        Ok(())
    }

    /// Takes a batch and puts out what becomes of it.
    fn apply(&mut self, events: Vec<Event>, out: &mut Output) -> Result<()>;

    /// The source has ended: puts out what is still held.
    fn flush(&mut self, out: &mut Output) -> Result<()> {
        let _ = out;
        Ok(())
    }

    /// The state to go on from, at a batch boundary.
    fn snapshot(&self) -> Result<Option<Box<str>>> {
        Ok(None)
    }

    /// Takes up a state that [`snapshot`](Transform::snapshot) gave.
    fn restore(&mut self, state: &str) -> Result<()> {
        let _ = state;
        Ok(())
    }

    /// Whether it makes something of many events together (candles), so that single events sent through again would
    /// make something false. A replay of dead letters leaves it out.
    fn needs_whole_stream(&self) -> bool {
        false
    }
}

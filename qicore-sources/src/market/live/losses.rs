//! What a live market loses: who is told, and what begins anew.

use qicore_data::{Data, Error, ErrorKind, Event, Gap, GapReason, Result, RetryAdvice, Symbol, Timestamp};
use tokio::time::Instant;

use super::Live;
use crate::market::connection::{Command, OVERFLOW};
use crate::market::protocol::BookRepair;
use crate::venue::{Channel, Stream};

impl Live {
    /// What belongs to no channel: a break that the decoder has found in the connection's messages.
    pub(super) fn beside(&mut self, slot: usize, event: Event) {
        if !matches!(event.data, Data::Gap(_)) {
            self.out.events.push(event);
            return;
        }
        let other = self.client.protocol.asked_as(event.symbol);
        for symbol in other.into_iter().chain([event.symbol]) {
            let mut told = false;
            for at in &self.routes.slots[slot].routes {
                let route = &self.routes.all[*at];
                if route.stream.symbol == symbol {
                    told |= route.seams.is_empty();
                    route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
                }
            }
            if told {
                self.out.events.push(Event {
                    symbol,
                    ..event.clone()
                });
                self.renew_book(symbol, None);
            }
        }
    }

    /// Something of a symbol was missed.
    pub(super) fn missed(&mut self, symbol: Symbol, (from, to): (Timestamp, Timestamp), reason: GapReason) {
        let gap = Gap {
            from: from.min(to),
            to,
            reason,
            missed: None,
        };
        let context = self.client.protocol.context();
        let mut event = Event::new(context.exchange, symbol, to, context.source, gap);
        event.received = Some(to);
        self.out.events.push(event);
    }

    /// A gap of a symbol has been told: whoever keeps its book has given it up, so it begins anew. On a connection that is made
    /// anew, `but_on`, it does so by itself.
    fn renew_book(&mut self, symbol: Symbol, but_on: Option<usize>) {
        let stream = Stream::new(symbol, Channel::Book);
        let Some(at) = self.routes.number(&stream) else { return };
        let slot = self.routes.all[at].slot;
        if but_on == Some(slot) {
            return;
        }
        self.books.broken(symbol);
        if self.client.protocol.book_repair() == BookRepair::Resubscribe {
            let _ = self.routes.slots[slot].commands.try_send(Command::Resubscribe(stream));
        }
    }

    pub(super) fn up(&mut self, at: usize) {
        let slot = &mut self.routes.slots[at];
        slot.was_up = true;
        slot.attempts = 0;
        // What the seam asked for while the connection was away does not reach up to here.
        for seam in slot.routes.iter().flat_map(|at| &self.routes.all[*at].seams) {
            self.seam.disrupted(*seam);
        }
        let Some((lost, reason)) = slot.down.take() else { return };
        tracing::info!(lane = %self.lane, "the connection is there again");
        let back = Timestamp::now();
        let mut told: Vec<Symbol> = Vec::new();
        for number in &slot.routes {
            let route = &mut self.routes.all[*number];
            route.heard = Instant::now();
            if route.seams.is_empty() && !told.contains(&route.stream.symbol) {
                told.push(route.stream.symbol);
            }
        }
        for symbol in told {
            self.missed(symbol, (lost, back), reason);
            self.renew_book(symbol, Some(at));
        }
    }

    pub(super) fn down(&mut self, at: usize, heard: Timestamp, error: Error) -> Result<()> {
        let slot = &mut self.routes.slots[at];
        let hopeless = !matches!(error.retry(), RetryAdvice::Backoff | RetryAdvice::After(_));
        let reason = match error.operation() {
            OVERFLOW => GapReason::Overflow,
            _ if hopeless && !slot.was_up => return Err(error),
            _ => GapReason::Disconnect,
        };
        slot.attempts += 1;
        if !slot.was_up || slot.down.is_some() {
            // An outage of hours is not told by thousands of lines.
            if slot.attempts.is_power_of_two() {
                tracing::warn!(lane = %self.lane, connection = at, attempts = slot.attempts, %error, "no connection can be made");
            }
            return Ok(());
        }
        tracing::warn!(lane = %self.lane, connection = at, %error, "the connection is lost");
        slot.down = Some((heard, reason));
        for route in &slot.routes {
            let route = &self.routes.all[*route];
            route.seams.iter().for_each(|seam| self.seam.disrupted(*seam));
            if route.stream.channel == Channel::Book {
                self.books.broken(route.stream.symbol);
            }
        }
        Ok(())
    }

    /// What the venue refuses before it has given anything is a mistake in the configuration.
    pub(super) fn refused_at_first(&self, slot: usize, streams: &[(Stream, String)]) -> Result<()> {
        if self.routes.slots[slot].was_up || streams.is_empty() {
            return Ok(());
        }
        let mistakes: Vec<_> = streams.iter().map(|(stream, why)| format!("{stream}: {why}")).collect();
        let message = format!("the venue refuses {}", mistakes.join("; "));
        Err(Error::new(ErrorKind::Config, "market.subscribe", message))
    }

    /// What it refuses later was taken off, or is refused for a while: it is asked for again as a stream that is silent, less
    /// and less often.
    pub(super) fn refused(&mut self, streams: &[(Stream, String)]) {
        for (stream, why) in streams {
            tracing::error!(%stream, why, "the venue refuses this stream: it is asked for again later, and all others go on");
            if let Some(at) = self.routes.number(stream) {
                let seams = &self.routes.all[at].seams;
                seams.iter().for_each(|seam| self.seam.disrupted(*seam));
            }
            if stream.channel == Channel::Book {
                self.books.broken(stream.symbol);
            }
            if !stream.channel.is_kept() {
                self.missed(stream.symbol, (self.seam.at(), Timestamp::now()), GapReason::Provider);
            }
        }
    }
}

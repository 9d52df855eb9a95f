//! What happens to messages on their way to the socket.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::session::Item;
use crate::Faults;

/// Messages in the order they will be sent, each with the time from which it may be.
#[derive(Debug, Default)]
pub(super) struct Sender {
    queue: VecDeque<(Instant, Message)>,
    /// Waits for the message it changes places with.
    held: Option<Utf8Bytes>,
    /// Data messages handed to the socket.
    pub(super) sent: u64,
}

impl Sender {
    /// Takes a text item through the faults. Closing and violations are the caller's.
    pub(super) fn push(&mut self, item: &Item, faults: &Faults, now: Instant) {
        match item {
            Item::Control(text) => self.enqueue(Duration::ZERO, Message::text(text.as_str()), now),
            Item::Ahead(text) => {
                self.enqueue(Duration::ZERO, Message::text(text.as_str()), now);
                self.sent += 1;
            }
            Item::Data { symbol, channel, text } => {
                let fate = faults.fate(symbol, channel);
                if fate.dropped {
                    return;
                }
                let text = Utf8Bytes::from(text.as_str());
                if fate.swapped && self.held.is_none() {
                    self.held = Some(text);
                    return;
                }
                for _ in 0..=usize::from(fate.twice) {
                    self.enqueue(fate.delay, Message::Text(text.clone()), now);
                    self.sent += 1;
                }
                if let Some(held) = self.held.take() {
                    self.enqueue(fate.delay, Message::Text(held), now);
                    self.sent += 1;
                }
            }
            Item::Close(..) | Item::Violation(_) => {}
        }
    }

    /// A message as it is.
    pub(super) fn raw(&mut self, message: Message, now: Instant) {
        self.enqueue(Duration::ZERO, message, now);
    }

    fn enqueue(&mut self, delay: Duration, message: Message, now: Instant) {
        let last = self.queue.back().map_or(now, |(due, _)| *due);
        self.queue.push_back(((now + delay).max(last), message));
    }

    /// The next message whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Option<Message> {
        if self.queue.front()?.0 > now {
            return None;
        }
        self.queue.pop_front().map(|(_, message)| message)
    }
}

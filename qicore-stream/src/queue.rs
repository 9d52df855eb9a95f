//! A queue between two tasks, bounded in items and in bytes.
//!
//! Tokio's channels are bounded in messages only; a batch may hold one event or five megabytes of order book.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// What may wait in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Events or frames.
    pub(crate) items: usize,
    /// Bytes.
    pub(crate) bytes: usize,
}

/// What one message takes of the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

struct State<T> {
    messages: VecDeque<(T, Cost)>,
    used: Cost,
    sender_gone: bool,
    receiver_gone: bool,
}

struct Shared<T> {
    bounds: Bounds,
    state: Mutex<State<T>>,
    arrived: Notify,
    left: Notify,
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) struct Sender<T>(Arc<Shared<T>>);

pub(crate) struct Receiver<T>(Arc<Shared<T>>);

pub(crate) fn bounded<T>(bounds: Bounds) -> (Sender<T>, Receiver<T>) {
    let state = State {
        messages: VecDeque::new(),
        used: Cost::default(),
        sender_gone: false,
        receiver_gone: false,
    };
    let shared = Arc::new(Shared {
        bounds,
        state: Mutex::new(state),
        arrived: Notify::new(),
        left: Notify::new(),
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl<T> Sender<T> {
    /// Waits until the message fits, or until the queue is empty (a message may be larger than the bounds). Gives the
    /// message back if the receiver is gone. Cancel-safe only in that a cancelled message is dropped whole.
    pub(crate) async fn send(&self, message: T, cost: Cost) -> Result<(), T> {
        loop {
            {
                let mut state = self.0.state();
                if state.receiver_gone {
                    return Err(message);
                }
                let fits = state.used.items + cost.items <= self.0.bounds.items
                    && state.used.bytes + cost.bytes <= self.0.bounds.bytes;
                if fits || state.messages.is_empty() {
                    state.used.items += cost.items;
                    state.used.bytes += cost.bytes;
                    state.messages.push_back((message, cost));
                    break;
                }
            }
            self.0.left.notified().await;
            // Woken by the receiver, this task is next on the receiver's own worker, where no other can steal it. Behind
            // the work that is queued there it can be stolen: else one worker reads, and the others wait for it.
            tokio::task::yield_now().await;
        }
        self.0.arrived.notify_one();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.state().sender_gone = true;
        self.0.arrived.notify_one();
    }
}

impl<T> Receiver<T> {
    /// The next message; `None` when the sender is gone and the queue is empty. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        loop {
            {
                let mut state = self.0.state();
                if let Some((message, cost)) = state.messages.pop_front() {
                    state.used.items -= cost.items;
                    state.used.bytes -= cost.bytes;
                    drop(state);
                    self.0.left.notify_one();
                    return Some(message);
                }
                if state.sender_gone {
                    return None;
                }
            }
            self.0.arrived.notified().await;
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.receiver_gone = true;
        // Whatever waited is lost with the receiver: its lineages count as abandoned. Dropped outside the lock, since
        // settling runs code of its own.
        let waiting = std::mem::take(&mut state.messages);
        drop(state);
        drop(waiting);
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn cost(items: usize, bytes: usize) -> Cost {
        Cost { items, bytes }
    }

    const SOON: Duration = Duration::from_millis(20);

    #[tokio::test(start_paused = true)]
    async fn items_and_bytes_bound_it() {
        for (bounds, message) in [((2, 1000), cost(1, 1)), ((1000, 10), cost(1, 5))] {
            let (sender, mut receiver) = bounded(Bounds {
                items: bounds.0,
                bytes: bounds.1,
            });
            sender.send('a', message).await.unwrap();
            sender.send('b', message).await.unwrap();
            assert!(
                timeout(SOON, sender.send('c', message)).await.is_err(),
                "the third does not fit"
            );
            assert_eq!(receiver.recv().await, Some('a'));
            timeout(SOON, sender.send('d', message)).await.unwrap().unwrap();
            drop(sender);
            assert_eq!(
                (receiver.recv().await, receiver.recv().await, receiver.recv().await),
                (Some('b'), Some('d'), None)
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_oversized_message_passes_alone() {
        let (sender, mut receiver) = bounded(Bounds { items: 1, bytes: 10 });
        sender.send(1, cost(5000, 1 << 30)).await.unwrap();
        assert!(timeout(SOON, sender.send(2, cost(1, 1))).await.is_err());
        assert_eq!(receiver.recv().await, Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_sender_learns_that_the_receiver_is_gone() {
        let (sender, receiver) = bounded(Bounds { items: 1, bytes: 10 });
        sender.send(1, cost(1, 1)).await.unwrap();
        let (sent, ()) = tokio::join!(sender.send(2, cost(1, 1)), async { drop(receiver) });
        assert_eq!(sent, Err(2));
    }
}

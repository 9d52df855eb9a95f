//! What is asked of a venue beside its stream, each on a task of its own.

use qicore_data::{Data, Error, ErrorKind, Event, Symbol, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Client;
use super::pages::Pages;
use crate::venue::Range;

/// What came of it.
#[derive(Debug)]
pub(super) enum Fetched {
    /// A page of a range.
    Page { range: Range, events: Vec<Event> },
    /// The range is told.
    Told(Range),
    /// The range could not be had.
    Failed(Range, Error),
    /// An order book.
    Book(Symbol, Result<Event, Error>),
    /// A task that has panicked: what it was to ask for is not known.
    Broken(Error),
}

/// Requests under way, and their results in the order in which they come.
#[derive(Debug)]
pub(super) struct Fetches {
    client: Client,
    parallel: usize,
    results: mpsc::Receiver<Fetched>,
    sender: mpsc::Sender<Fetched>,
    tasks: JoinSet<()>,
}

impl Fetches {
    pub(super) fn new(client: Client, parallel: usize) -> Self {
        // Few pages wait: those who ask slow down with the pipeline.
        let (sender, results) = mpsc::channel(8);
        Self {
            client,
            parallel,
            results,
            sender,
            tasks: JoinSet::new(),
        }
    }

    /// Reads a range.
    pub(super) fn range(&mut self, range: Range) {
        let mut pages = Pages::new(self.client.clone(), range, self.parallel);
        let results = self.sender.clone();
        self.tasks.spawn(async move {
            loop {
                let result = match pages.next().await {
                    Ok(Some(events)) => Fetched::Page { range, events },
                    Ok(None) => Fetched::Told(range),
                    Err(error) => Fetched::Failed(range, error),
                };
                let over = !matches!(result, Fetched::Page { .. });
                if results.send(result).await.is_err() || over {
                    return;
                }
            }
        });
    }

    /// Reads an order book.
    pub(super) fn book(&mut self, symbol: Symbol) {
        let Some(ask) = self.client.protocol.book(symbol) else {
            return;
        };
        let (client, results) = (self.client.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            let book = client.ask(&ask).await.and_then(|(events, _)| {
                let book = events.into_iter().find(|event| matches!(event.data, Data::Book(_)));
                book.ok_or_else(|| Error::decode("market.book", "the venue's answer holds no order book"))
            });
            let _ = results.send(Fetched::Book(symbol, book)).await;
        });
    }

    /// The next result. Cancel-safe; waits for ever while nothing is under way.
    pub(super) async fn next(&mut self) -> Fetched {
        loop {
            tokio::select! {
                biased;
                Some(result) = self.results.recv() => return result,
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended {
                        return Fetched::Broken(Error::new(ErrorKind::Internal, "market.fetch", error.to_string()));
                    }
                }
            }
        }
    }
}

/// When to try again what has failed.
pub(super) fn again(now: Timestamp) -> Timestamp {
    now.saturating_add(std::time::Duration::from_secs(5))
}

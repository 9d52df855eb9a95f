//! Stored rows on their way to who asked for them.

use std::sync::Arc;

use qicore_data::{Error, Event, Result};
use tokio::sync::mpsc;

/// A place among the rows of a table, behind one of them: reading can begin there again in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(Arc<str>);

impl Cursor {
    /// Takes up the text of another one.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text to keep.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some rows, and the place behind them.
#[derive(Debug)]
pub struct Page {
    /// The rows, in the order of their times; of one time, in the order of arrival or of their keys.
    pub events: Vec<Event>,
    /// A row that is no event; it comes alone.
    pub foreign: Option<Foreign>,
    /// Behind the last row.
    pub cursor: Cursor,
}

/// A row that another program has stored, and that is no event.
#[derive(Debug)]
#[non_exhaustive]
pub struct Foreign {
    /// Which row it is: its table and what it is ordered by, as a JSON object.
    pub row: String,
    /// What is wrong with it.
    pub reason: Error,
}

/// Rows on their way from the database. What has not been asked for waits in the server, but for two pages.
#[derive(Debug)]
pub struct Reading {
    pages: mpsc::Receiver<Result<Page>>,
    task: tokio::task::JoinHandle<()>,
}

/// Where the rows of a [`Reading`] are put.
pub(crate) type Pages = mpsc::Sender<Result<Page>>;

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reading {
    /// Begins to read on a task of its own. What `read` fails with is told by [`next`](Self::next).
    pub(crate) fn begin<F>(read: impl FnOnce(Pages) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (give, pages) = mpsc::channel(2);
        let reading = read(give.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = reading.await {
                // Who no longer listens does not want to know.
                let _ = give.send(Err(error)).await;
            }
        });
        Self { pages, task }
    }

    /// The next rows; `None` at the end. Cancel-safe.
    ///
    /// # Errors
    /// What the database fails with.
    pub async fn next(&mut self) -> Result<Option<Page>> {
        self.pages.recv().await.transpose()
    }

    /// All rows that are left, for ranges that are known to be small.
    ///
    /// # Errors
    /// As [`next`](Self::next), and [`Decode`](qicore_data::ErrorKind::Decode) for a row that is [no event](Foreign).
    pub async fn all(mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        while let Some(page) = self.next().await? {
            events.extend(page.events);
            if let Some(Foreign { row, reason }) = page.foreign {
                return Err(reason.with("row", row));
            }
        }
        Ok(events)
    }
}

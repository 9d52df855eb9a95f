//! The task that keeps a connection: another one takes its place whenever it ends, or before it would.

use std::sync::Arc;
use std::time::Duration;

use qicore_data::{Error, Result, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::{Command, Connection, Shared, failed};
use super::reports::Report;
use crate::net::Pauses;
use crate::venue::{Channel, Stream};

/// How long two connections are read when one takes the other's place: messages that sum up a time, as those of books do, are
/// not of the same times on both, and the first of the new one must reach back to the last of the old one.
const OVERLAP: Duration = Duration::from_millis(1_200);

/// Keeps a connection with these streams, for ever.
pub(super) async fn keep(
    shared: Arc<Shared>,
    slot: usize,
    streams: Vec<Stream>,
    mut commands: mpsc::Receiver<Command>,
) {
    let mut pauses = Pauses::endless(shared.retry);
    loop {
        let mut connection = loop {
            match Connection::open(Arc::clone(&shared), slot, &streams).await {
                Ok(connection) => break connection,
                Err(error) => {
                    let pause = pauses.after(&error).unwrap_or(shared.retry.longest_pause);
                    let (heard, error) = (Timestamp::now(), error.with("again_in", format!("{pause:.1?}")));
                    if !shared.reports.send(Report::Down { slot, heard, error }).await {
                        return;
                    }
                    sleep(pause).await;
                }
            }
        };
        let refused = std::mem::take(&mut connection.refused);
        if !shared.reports.send(Report::Up { slot, refused }).await {
            return;
        }
        let began = Instant::now();
        let (heard, error) = hold(&shared, &mut connection, slot, &streams, &mut commands).await;
        let reports = &shared.reports;
        if reports.is_closed() || !reports.send(Report::Down { slot, heard, error }).await {
            return;
        }
        // One that is lost at once, again and again, is not to be made again at once.
        if began.elapsed() > shared.retry.longest_pause {
            pauses.reset();
        }
        sleep(pauses.after(&failed("lost")).unwrap_or(shared.retry.longest_pause)).await;
    }
}

/// Runs a connection, and has another one take its place before the venue ends it. Returns when one is lost.
async fn hold(
    shared: &Arc<Shared>,
    connection: &mut Connection,
    slot: usize,
    streams: &[Stream],
    commands: &mut mpsc::Receiver<Command>,
) -> (Timestamp, Error) {
    let mut pauses = Pauses::endless(shared.retry);
    let mut at = connection.hand_over_at();
    loop {
        let leaving = Arc::clone(&connection.leaving);
        let next = async {
            match at {
                Some(at) => tokio::select! {
                    () = sleep_until(at) => {}
                    () = leaving.notified() => {}
                },
                None => leaving.notified().await,
            }
            let mut next = Connection::open(Arc::clone(shared), slot, streams).await?;
            next.listen(OVERLAP).await?;
            Ok(next)
        };
        let next: Result<Connection> = tokio::select! {
            biased;
            error = connection.run(commands) => return (connection.given, error),
            next = next => next,
        };
        match next {
            Ok(mut next) => {
                // What the old one has sent comes first; what both have sent is told apart by who keeps it.
                connection.finish().await;
                if let Err(error) = connection.hand_over().await {
                    return (connection.given, error);
                }
                let heard = connection.heard;
                if heard < next.opened && !next.events.is_empty() {
                    // It was dead already: the two have no time in common.
                    return (
                        heard,
                        failed("the connection was silent when another one took its place"),
                    );
                }
                next.events.retain(|event| {
                    let of = Channel::of(&event.data);
                    of.is_none_or(|channel| channel.is_repeatable()) || event.received > Some(heard)
                });
                let books = next.books();
                if !shared.reports.send(Report::TakenOver { books }).await {
                    return (heard, failed("the source is gone"));
                }
                at = next.hand_over_at();
                *connection = next;
            }
            Err(error) => {
                tracing::warn!(slot, %error, "the next connection could not be made yet");
                at = Some(Instant::now() + pauses.after(&error).unwrap_or(shared.retry.longest_pause));
            }
        }
    }
}

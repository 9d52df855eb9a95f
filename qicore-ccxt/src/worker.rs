//! The task that owns the exchange: CCXT's methods take `&mut self`, one request at a time.

use ccxt::TypedExchange;
use qicore_data::{Result, RetryAdvice, RetryPolicy, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};

use crate::error;
use crate::page::Page;
use crate::stream::{Again, Stream};

/// A page of the stream of this number, or what ended the work.
pub(crate) type Told = Result<(usize, Page)>;

/// Asks for one stream after the other until all are done, something fails for good or nobody listens.
pub(crate) async fn run(
    mut exchange: Box<dyn TypedExchange>,
    streams: Vec<Stream>,
    (every, retry): (Duration, RetryPolicy),
    told: mpsc::Sender<Told>,
) {
    let begin = Instant::now();
    let mut failures = 0;
    let mut waiting: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(at, stream)| (begin, at, stream))
        .collect();
    while let Some(first) = (0..waiting.len()).min_by_key(|at| (waiting[*at].0, waiting[*at].1)) {
        let (due, at, stream) = &mut waiting[first];
        sleep_until(*due).await;
        let (page, again) = match ask(exchange.as_mut(), stream).await {
            Ok(taken) => taken,
            Err(error) if error.retry() == RetryAdvice::Backoff && failures < retry.retries => {
                let pause = retry.first_pause.saturating_mul(1 << failures.min(16));
                let pause = pause.min(retry.longest_pause);
                tracing::warn!(%error, ?pause, "asking again");
                failures += 1;
                *due = Instant::now() + pause;
                continue;
            }
            Err(error) => {
                let error = match error.retry() {
                    RetryAdvice::Backoff => error.with("tries", failures + 1).exhausted(),
                    _ => error,
                };
                // Whether anybody listens makes no difference any more.
                let _ = told.send(Err(error)).await;
                return;
            }
        };
        failures = 0;
        *due = match again {
            Again::Now => Instant::now(),
            Again::Later => Instant::now() + every,
        };
        let (at, done) = (*at, page.done);
        if (done || !page.rows.is_empty()) && told.send(Ok((at, page))).await.is_err() {
            return;
        }
        if done {
            waiting.swap_remove(first);
        }
    }
}

async fn ask(exchange: &mut dyn TypedExchange, stream: &mut Stream) -> Result<(Page, Again)> {
    let call = stream.call();
    let answer = exchange.call_raw(call.method, call.arguments).await;
    let answer = answer.map_err(|error| error::of(&error, call.method).with("lane", &stream.lane))?;
    stream.take(&answer, Timestamp::now())
}

//! What is told, and what is not.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qicore_data::{Error, Sink};
use qicore_stream::Pipeline;

use super::market;

/// What is logged.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything down to the driver's own lines.
    pub(crate) fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone());
        tracing::subscriber::set_default(subscriber.finish())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// A pipeline with the sink's own patience, which would try for ever what may pass. Gives its error, in which and in the
/// log there must be no password.
pub(crate) async fn refused(sink: impl Sink + std::fmt::Debug + 'static, password: &str) -> Error {
    let log = Log::default();
    let listening = log.listen();
    let told = format!("{sink:?} {:?}", sink.capabilities());
    let (source, _) = market(1, 100);
    let run = Pipeline::builder("p").source(source).sink(sink).build().unwrap().run();
    let ended = tokio::time::timeout(Duration::from_secs(20), run).await;
    let error = ended
        .unwrap_or_else(|_| panic!("tried for ever: {}", log.text()))
        .unwrap_err();
    drop(listening);
    let mut all = format!("{told} {error} {error:?} {}", log.text());
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        all.push_str(&format!("{error} {error:?}"));
        cause = error.source();
    }
    assert!(!all.contains(password), "{all}");
    error
}

//! What is logged on this thread: a test's runtime has no other.

use std::cell::RefCell;
use std::fmt::{self, Write as _};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

thread_local! {
    static TEXT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Everything that is logged while it is there, of every level.
///
/// There is one subscriber for the whole process: with one for each thread, what is logged at a place that another thread
/// has passed first is lost now and then.
pub(crate) struct Logs(());

impl Logs {
    pub(crate) fn gather() -> Self {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| tracing::subscriber::set_global_default(Gatherer).unwrap());
        TEXT.set(Some(String::new()));
        Self(())
    }

    pub(crate) fn text(&self) -> String {
        TEXT.with_borrow(|text| text.clone().unwrap_or_default())
    }

    /// What people are told.
    pub(crate) fn told(&self) -> String {
        let text = self.text();
        let lines = text
            .lines()
            .filter(|line| ["WARN", "ERROR", "INFO"].iter().any(|level| line.starts_with(level)));
        lines.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn contain(&self, part: &str) -> bool {
        TEXT.with_borrow(|text| text.as_ref().is_some_and(|text| text.contains(part)))
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        TEXT.set(None);
    }
}

struct Gatherer;

/// A line for the test of this thread, if it wants any.
fn keep(line: impl FnOnce() -> String) {
    TEXT.with_borrow_mut(|text| {
        if let Some(text) = text {
            text.push_str(&line());
            text.push('\n');
        }
    });
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Gatherer {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line(span.metadata().name().to_owned());
        keep(|| {
            span.record(&mut line);
            line.0
        });
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line(String::new());
        keep(|| {
            values.record(&mut line);
            line.0
        });
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        keep(|| {
            event.record(&mut line);
            line.0
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

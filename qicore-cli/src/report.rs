//! What the program shows: tables on standard output, everything else on standard error.
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use comfy_table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use qicore::{Error, Mistakes, Result, Stats};

/// A line on standard error. That nobody reads it changes nothing of what is done.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

pub(crate) fn error(error: &Error) {
    let mut said = error.to_string();
    line(&format!("error: {said}"));
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // Many messages quote their cause.
        if !said.contains(&error.to_string()) {
            said = error.to_string();
            line(&format!("  caused by: {said}"));
        }
        cause = error.source();
    }
}

pub(crate) fn is_closed_pipe(error: &Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<std::io::Error>());
    source.is_some_and(|source| source.kind() == std::io::ErrorKind::BrokenPipe)
}

pub(crate) fn mistakes(path: &Path, mistakes: &Mistakes) -> ExitCode {
    for mistake in &mistakes.0 {
        line(&format!("{}:{}: {}", path.display(), mistake.line, mistake.message));
    }
    ExitCode::FAILURE
}

/// A line on standard output; a closed pipe is an error, not a panic.
pub(crate) fn output(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Error::io("output", "standard output", error))
}

pub(crate) fn table<const N: usize>(head: &[&str; N], rows: Vec<[String; N]>) -> Result<()> {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::UTF8_FULL_CONDENSED)
        .set_header(head)
        .add_rows(rows);
    output(&table.to_string())
}

/// One line that says how far a run is, where standard error is a terminal. A bar, where the source knows how much there is.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    measured: bool,
}

const UNMEASURED: &str = "{spinner} {elapsed} {msg}";
const MEASURED: &str = "{elapsed} [{bar:24}] {percent} % of {human_len} {prefix}, {eta} left: {msg}";

impl Progress {
    pub(crate) fn new(show: bool) -> Self {
        let bar = show.then(ProgressBar::new_spinner);
        let progress = Self { bar, measured: false };
        progress.style(UNMEASURED);
        progress
    }

    fn style(&self, template: &str) {
        if let (Some(bar), Ok(style)) = (&self.bar, ProgressStyle::with_template(template)) {
            bar.set_style(style);
        }
    }

    pub(crate) fn show(&mut self, stats: &Stats, stopping: bool) {
        self.measure(stats);
        let Some(bar) = &self.bar else { return };
        let total = stats.total();
        let rows: u64 = stats.sinks.iter().map(|sink| sink.rows).sum();
        let rate = total.messages as f64 / stats.elapsed.as_secs_f64().max(0.001);
        bar.set_message(format!(
            "{}{} messages, {rate:.0}/s, {} events, {rows} rows written, {} rejected{}",
            if stopping { "stopping: " } else { "" },
            total.messages,
            total.events(),
            total.rejected,
            behind(total.lag).unwrap_or_default(),
        ));
        bar.tick();
    }

    /// Where there is an end. Of a source that goes on, what is left is what it is behind.
    fn measure(&mut self, stats: &Stats) {
        let progress = stats.progress.filter(|_| stats.total().lag.is_none());
        let Some((progress, total)) = progress.and_then(|progress| Some((progress, progress.total?))) else {
            return;
        };
        let Some(bar) = &self.bar else { return };
        bar.set_length(total);
        bar.set_position(progress.done.min(total));
        if !self.measured {
            // What an earlier run has done says nothing of how fast this one is.
            bar.reset_eta();
            bar.set_prefix(progress.unit);
            self.measured = true;
            self.style(MEASURED);
        }
    }

    pub(crate) fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn behind(lag: Option<u64>) -> Option<String> {
    lag.map(|messages| format!(", {messages} messages behind"))
}

pub(crate) fn summary(stats: &Stats) {
    let total = stats.total();
    let seconds = stats.elapsed.as_secs_f64().max(0.001);
    line(&format!(
        "{} messages ({} control) in {seconds:.2} s: {} events, {} rejected, {} lanes, {} commits{}",
        total.messages,
        total.control,
        total.events(),
        total.rejected,
        stats.lanes.len(),
        stats.commits,
        behind(total.lag).unwrap_or_default(),
    ));
    if total.checksums_ok + total.checksums_failed > 0 {
        line(&format!(
            "book checksums: {} ok, {} failed",
            total.checksums_ok, total.checksums_failed
        ));
    }
    for (kind, count) in &total.written {
        line(&format!("  {kind}: {count}"));
    }
    for table in &stats.tables {
        let extra = match (table.rejected, table.failures) {
            (0, 0) => String::new(),
            (rejected, failures) => format!(" ({rejected} rejected, {failures} failed tries)"),
        };
        line(&format!(
            "table {}: {} instruments of {} descriptions{extra}",
            table.name, table.instruments, table.updates
        ));
    }
    for stage in &stats.stages {
        line(&format!(
            "transform {}: {} in, {} out, {} rejected",
            stage.name, stage.taken, stage.given, stage.rejected
        ));
    }
    if stats.finished_before > 0 {
        line(&format!(
            "{} lanes were finished by an earlier run, and are not read again; for a new run from the start, give the \
             sinks another place",
            stats.finished_before
        ));
    }
    for sink in &stats.sinks {
        let extra = match (sink.rejected, sink.skipped, sink.failures) {
            (0, 0, 0) => String::new(),
            (rejected, skipped, failures) => {
                format!(" ({rejected} refused, {skipped} already there, {failures} failed tries)")
            }
        };
        line(&format!(
            "sink {}: {} rows in {} deliveries{extra}",
            sink.name, sink.rows, sink.deliveries
        ));
    }
}

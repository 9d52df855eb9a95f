//! What the commands do: arguments in, library calls, results out.

use std::collections::BTreeMap;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use qicore::sources::decode::{DecodeOutput, FileDecoder};
use qicore::sources::{Venue, VenueContext, dead_letters};
use qicore::{Error, Event, Handle, Mistakes, Pipeline, Plugin, Result, Summary, registry};

use crate::args::{Check, DeadLetter, Decode, Kind, List, ReplayLetters, Run, Show};
use crate::report;

pub(crate) fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
}

fn build(path: &Path) -> Result<Result<Pipeline, Mistakes>> {
    Ok(Pipeline::from_toml(&read(path)?, &registry()))
}

pub(crate) async fn run(args: &Run) -> Result<ExitCode> {
    match build(&args.file)? {
        Ok(pipeline) => follow(pipeline, args.quiet).await,
        Err(mistakes) => Ok(report::mistakes(&args.file, &mistakes)),
    }
}

/// Runs a pipeline to its end, with progress, and with Ctrl-C as a wish to stop.
async fn follow(pipeline: Pipeline, quiet: bool) -> Result<ExitCode> {
    let mut signals = StopSignals::listen()?;
    let mut handle = pipeline.start();
    let mut progress = report::Progress::new(!quiet && std::io::stderr().is_terminal());
    let mut ticks = tokio::time::interval(Duration::from_millis(200));
    let mut stopping = false;
    let summary = loop {
        tokio::select! {
            summary = handle.finished() => break summary,
            () = signals.next() => {
                interrupt(&handle, stopping);
                stopping = true;
            }
            _ = ticks.tick() => progress.show(&handle.stats(), stopping),
        }
    };
    progress.clear();
    let Summary { stats, .. } = summary?;
    if !quiet {
        report::summary(&stats);
    }
    Ok(ExitCode::SUCCESS)
}

fn interrupt(handle: &Handle, again: bool) {
    if again {
        handle.abort();
    } else {
        handle.stop();
        report::line("stopping: writing and committing what has been read (Ctrl-C again aborts)");
    }
}

/// Ctrl-C, or a service manager's wish. Listens from the start to the end: a signal between two waits is not missed.
#[cfg(unix)]
struct StopSignals([tokio::signal::unix::Signal; 2]);

#[cfg(unix)]
impl StopSignals {
    fn listen() -> Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| signal(kind).map_err(|error| Error::io("run.signals", "signal handler", error));
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    fn listen() -> Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

pub(crate) async fn check(args: &Check) -> Result<ExitCode> {
    let pipeline = match build(&args.file)? {
        Ok(pipeline) => pipeline,
        Err(mistakes) => return Ok(report::mistakes(&args.file, &mistakes)),
    };
    let name = pipeline.name().to_owned();
    if args.connect {
        pipeline.connect().await?;
        report::line(&format!(
            "{}: {name} is sound, and its source and sinks open",
            args.file.display()
        ));
    } else {
        report::line(&format!("{}: {name} is sound", args.file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Events to standard output, rejects to standard error.
struct Lines<W>(W, Vec<u8>);

impl<W: Write> DecodeOutput for Lines<W> {
    fn events(&mut self, events: &[Event]) -> Result<()> {
        let Self(out, line) = self;
        for event in events {
            line.clear();
            let written = event.append_json(line).map_err(std::io::Error::from);
            line.push(b'\n');
            written
                .and_then(|()| out.write_all(line))
                .map_err(|error| Error::io("decode", "standard output", error))?;
        }
        Ok(())
    }

    fn rejected(&mut self, place: &str, error: &Error) -> Result<()> {
        report::line(&format!("{place}: {error}"));
        Ok(())
    }
}

pub(crate) async fn decode(args: &Decode) -> Result<ExitCode> {
    let venue = match &args.source {
        None => None,
        Some(name) => {
            let (venue, exchange) = Venue::serving(name)?;
            let context =
                VenueContext::new(exchange, venue.name).map_err(|error| Error::config("decode", error.to_string()))?;
            let context = context
                .channel(args.channel.as_deref())
                .symbol(args.symbol)
                .timeframe(args.timeframe);
            Some((venue, context))
        }
    };
    let mut output = Lines(BufWriter::new(std::io::stdout().lock()), Vec::new());
    let mut decoder = FileDecoder::new(venue, &mut output);
    for file in &args.files {
        decoder.file(file).await?;
    }
    let counts = decoder.counts();
    output
        .0
        .flush()
        .map_err(|error| Error::io("decode", "standard output", error))?;
    report::line(&format!(
        "messages={} events={} control={} rejected={}",
        counts.messages, counts.events, counts.control, counts.rejected
    ));
    Ok(if counts.rejected == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

pub(crate) fn list(args: &List) -> Result<ExitCode> {
    fn rows<T>(plugins: &[Plugin<T>]) -> Vec<[String; 3]> {
        let state = |plugin: &Plugin<T>| match (plugin.build.is_some(), plugin.feature) {
            (true, _) => "on".to_owned(),
            (false, feature) => format!("off: enable the cargo feature {feature}"),
        };
        plugins
            .iter()
            .map(|plugin| [plugin.name.to_owned(), plugin.about.to_owned(), state(plugin)])
            .collect()
    }
    let registry = registry();
    let kinds = [
        (Kind::Sources, "source", rows(&registry.sources)),
        (Kind::Transforms, "transform", rows(&registry.transforms)),
        (Kind::Sinks, "sink", rows(&registry.sinks)),
        (Kind::DeadLetters, "dead letters", rows(&registry.dead_letters)),
    ];
    for (_, name, rows) in kinds
        .into_iter()
        .filter(|(kind, ..)| args.kind.is_none_or(|wanted| wanted == *kind))
    {
        report::table(&[name, "what it is", "in this build"], rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn dead_letter(command: &DeadLetter) -> Result<ExitCode> {
    match command {
        DeadLetter::Show(args) => show(args),
        DeadLetter::Replay(args) => replay(args).await,
    }
}

fn show(args: &Show) -> Result<ExitCode> {
    let mut counts: BTreeMap<[String; 3], u64> = BTreeMap::new();
    let mut damaged = 0;
    dead_letters::scan(&args.file, |letter, line| {
        let Some(letter) = letter else {
            damaged += 1;
            return Ok(());
        };
        if args.stage.as_ref().is_some_and(|stage| *stage != letter.stage) {
            return Ok(());
        }
        if args.full {
            report::output(&String::from_utf8_lossy(line))?;
        }
        *counts
            .entry([letter.stage, letter.reason, letter.lane.to_string()])
            .or_default() += 1;
        Ok(())
    })?;
    if !args.full {
        let rows = counts
            .into_iter()
            .map(|([stage, reason, lane], count)| [count.to_string(), stage, reason, lane]);
        report::table(&["letters", "stage", "reason", "lane"], rows.collect())?;
    }
    if damaged > 0 {
        report::line(&format!("{damaged} lines are no dead letters"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: &ReplayLetters) -> Result<ExitCode> {
    let pipeline = match build(&args.pipeline)? {
        Ok(pipeline) => pipeline,
        Err(mistakes) => return Ok(report::mistakes(&args.pipeline, &mistakes)),
    };
    let stages = dead_letters::stages(&args.file)?;
    let stage = match (&args.stage, stages.len()) {
        (Some(stage), _) => stage.clone(),
        (None, 1) => stages.into_iter().next().unwrap_or_default(),
        (None, 0) => {
            let message = "the file holds no dead letters";
            return Err(Error::config("dead-letter", message).with("path", args.file.display()));
        }
        (None, _) => {
            let stages: Vec<_> = stages.into_iter().collect();
            let message =
                "the letters are of several stages, which go different ways: send one after the other with --stage";
            return Err(Error::config("dead-letter", message).with("stages", stages.join(", ")));
        }
    };
    let letters = dead_letters::DeadLetters::new(&args.file).stage(&stage);
    let again = args.file.with_added_extension("again");
    report::line(&format!(
        "sending the letters of {stage} through {}; those that are refused again go to {}",
        args.pipeline.display(),
        again.display()
    ));
    follow(pipeline.replaying(letters, &stage, again)?, false).await
}

//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use qicore::{Symbol, Timeframe};

use crate::topics::Topics;

/// Market data from exchanges to stores: exact, validated, deduplicated, nothing lost and nothing doubled.
#[derive(Debug, Parser)]
#[command(name = "qicore", version, max_term_width = 110)]
#[command(after_help = "Examples:
  qicore decode examples/data/KRAKEN.jsonl.zst | head      recorded frames as normalised JSON lines
  qicore decode --source binance trades.jsonl              bare payloads of one venue
  qicore check pipeline.toml                               every mistake with its line, without connecting
  qicore run pipeline.toml                                 Ctrl-C writes and commits what has been read
  qicore schema timescale | less                           the tables of TimescaleDB and PostgreSQL
  qicore schema clickhouse | less                          the tables of ClickHouse
  qicore schema json trade                                 the JSON Schema of a message
  qicore topics apply pipeline.toml                        the topics of Kafka that a pipeline needs
  qicore list                                              the plugins of this build

QICORE_LOG sets the log filter (e.g. QICORE_LOG=qicore_stream=debug).")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Log what goes on, not only what goes wrong.
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pipeline that a file describes.
    Run(Run),
    /// Read a pipeline file and name every mistake with its line.
    Check(Check),
    /// Decode recorded payloads into normalised JSON lines.
    Decode(Decode),
    /// List the plugins that pipeline files can name.
    List(List),
    /// Print the schema of a store as a script, for reading or for running it under another role, or of messages.
    #[command(subcommand)]
    Schema(Schema),
    /// Compare topics of Kafka with what they are to be, or make them.
    ///
    /// With pipeline files: the topics that their kafka sources, tables and sinks read and write, on the brokers that they
    /// name. Without: the topics that the file of --spec names, or all default topics (ohlcv-raw, ohlcv-validated, trades,
    /// quotes, tickers, books, prices, series, gaps, alerts, analytics-requests, market-metadata, TOPIC-dead-letter of
    /// each, and qicore-checkpoints), on the brokers of --brokers, or else of QICORE_KAFKA_BROKERS.
    #[command(subcommand)]
    Topics(Topics),
    /// Look at dead letters, or send them through a pipeline again.
    #[command(subcommand)]
    DeadLetter(DeadLetter),
}

/// Runs until the source ends. Ctrl-C stops reading, writes what has been read and commits; a second Ctrl-C aborts,
/// and what was not committed is read again at the next start.
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// No progress line and no summary.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Connects to nothing, unless asked to. Exit status 1 if there are mistakes.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The pipeline file.
    pub(crate) file: PathBuf,
    /// Also open the source and the sinks, and close them again.
    #[arg(long)]
    pub(crate) connect: bool,
}

/// Events go to standard output, one a line, in the form that Kafka and JSONL files have too; a summary goes to
/// standard error. Exit status 1 if a message was rejected.
///
/// A FILE is a recording (.jsonl or .jsonl.zst, known by its header line, which names the venue), one payload (.json) or
/// one payload a line (.jsonl; receive times are taken from NAME.recv beside it, if that is there).
#[derive(Debug, clap::Args)]
pub(crate) struct Decode {
    /// The venue of bare payloads: binance, binance_us, coinbase or kraken.
    #[arg(long, value_name = "S")]
    pub(crate) source: Option<String>,
    /// The endpoint or channel of payloads that do not say (ws_trade, rest_depth, …).
    #[arg(long, value_name = "C")]
    pub(crate) channel: Option<String>,
    /// The symbol of payloads that do not say.
    #[arg(long, value_name = "BASE/QUOTE")]
    pub(crate) symbol: Option<Symbol>,
    /// The timeframe of payloads that do not say.
    #[arg(long, value_name = "T")]
    pub(crate) timeframe: Option<Timeframe>,
    /// What to decode.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
}

/// Plugins whose cargo feature is off are listed with the feature to enable.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only this kind.
    pub(crate) kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sources,
    Transforms,
    Sinks,
    DeadLetters,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schema {
    /// ClickHouse, for `clickhouse-client`.
    Clickhouse(ClickhouseSchema),
    /// TimescaleDB and PostgreSQL, for `psql`.
    Timescale(TimescaleSchema),
    /// Messages in JSON, as JSON Schema (draft 2020-12).
    Json(JsonSchema),
}

/// Without a TYPE, the schemas of all messages in one object, by their names.
#[derive(Debug, clap::Args)]
pub(crate) struct JsonSchema {
    /// A type of events (trade, candle, …), or dead-letter.
    #[arg(value_name = "TYPE")]
    pub(crate) message: Option<String>,
}

/// The sink applies the same by itself when it opens, unless `tables.migrate = false`. Run by hand:
///
///   qicore schema clickhouse --pipeline pipeline.toml | clickhouse-client --multiquery
#[derive(Debug, clap::Args)]
pub(crate) struct ClickhouseSchema {
    /// Take the database, decimals, replication, shards and retention from the clickhouse sink of this pipeline file.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Only what is missing in a schema of this version.
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    pub(crate) from: u16,
    /// Print the script that makes the roles of a writer, a reader and a migrator instead.
    #[arg(long)]
    pub(crate) roles: bool,
}

/// The sink applies the same by itself when it opens, unless `tables.migrate = false`. Run by hand:
///
///   qicore schema timescale --pipeline pipeline.toml | psql -v ON_ERROR_STOP=1 "$URL"
#[derive(Debug, clap::Args)]
pub(crate) struct TimescaleSchema {
    /// Take the schema's name, chunks and policies from the timescale sink of this pipeline file.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) pipeline: Option<PathBuf>,
    /// What the database is; TimescaleDB's Apache edition has views instead of continuous aggregates.
    #[arg(long, value_enum, default_value = "timescale")]
    pub(crate) mode: SchemaMode,
    /// Only what is missing in a schema of this version.
    #[arg(long, value_name = "VERSION", default_value_t = 0)]
    pub(crate) from: u16,
    /// Print the script that makes the roles of a writer, a reader and a migrator instead.
    #[arg(long)]
    pub(crate) roles: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaMode {
    Timescale,
    TimescaleApache,
    Plain,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetter {
    /// Count the letters of a file by stage and reason.
    Show(Show),
    /// Send the letters of a file through a pipeline again, in place of its source.
    Replay(ReplayLetters),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// The dead-letter file.
    pub(crate) file: PathBuf,
    /// Only letters of this stage (decode, validate, sink:parquet, …).
    #[arg(long)]
    pub(crate) stage: Option<String>,
    /// Print the letters themselves.
    #[arg(long)]
    pub(crate) full: bool,
}

/// What a sink refused goes to that sink alone. Frames are decoded again, and what a transform refused passes the
/// transforms again, but for candles, which need the whole stream. Letters that are refused again go to FILE.again, never
/// to FILE, which stays as it is. An interrupted replay goes on when it is started again. A file that
/// has grown is another file, of which all letters are sent: move a file away once its letters are through.
#[derive(Debug, clap::Args)]
pub(crate) struct ReplayLetters {
    /// The dead-letter file.
    pub(crate) file: PathBuf,
    /// The pipeline to send them through; its own source is left out.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) pipeline: PathBuf,
    /// Only letters of this stage; to be given where the file has several.
    #[arg(long)]
    pub(crate) stage: Option<String>,
}

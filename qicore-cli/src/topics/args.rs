//! The command line of `qicore topics`.

use std::path::PathBuf;

use clap::Subcommand;

// clap takes a command's text from the variant, not from the struct that it holds.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Topics {
    /// Compare topics with what they are to be, and change nothing.
    ///
    /// Exit status: 0 where all is as it should be, 2 where a topic is missing or differs, 1 where that could not be found out.
    Plan(Plan),
    /// Make the topics that are missing.
    ///
    /// What is there and differs is told and left alone, unless it is asked for. May be run again, and by several at once.
    ///
    /// Exit status: 0 where nothing is missing any more, 1 where something that was to be done has failed.
    Apply(Apply),
}

const EXAMPLES: &str = "Examples:
  qicore topics apply pipeline.toml                        what a pipeline needs is there
  qicore topics plan pipelines/*.toml || echo drift        is it all as it should be?
  qicore topics apply --brokers localhost:9092             all default topics
  qicore topics apply --spec topics.toml pipelines/*.toml  with numbers and times of your own
  qicore topics apply --retention 7d --change-settings pipeline.toml

A file for --spec; nothing in it is needed:
  partitions = 12                 # of topics of events and instruments; 4 where one is made
  replication = 3                 # of all topics: the cluster's default
  retention = \"30d\"               # of topics of events: the brokers' default; or \"forever\"

  [connection]                    # in place of the pipelines' own: an administrator's
  brokers = \"kafka.example.com:9092\"

  [topics.ohlcv-raw]              # what differs for one topic
  partitions = 24
  retention = \"7d\"
  compaction = false              # of instruments true: only the newest message of each key is kept
  settings = { \"min.insync.replicas\" = 2 }

Topics of events are never compacted, those of instruments are, and dead letters are not removed.
Kafka counts retention from the messages' timestamps: the event times, and of old events, which
would be removed at once, the time of writing.";

#[derive(Debug, clap::Args)]
pub(crate) struct Which {
    /// Pipeline files.
    #[arg(value_name = "FILE.toml")]
    pub(crate) files: Vec<PathBuf>,
    /// The brokers, where no pipeline names them.
    #[arg(long, value_name = "HOST:PORT,…", conflicts_with = "files")]
    pub(crate) brokers: Option<String>,
    /// What topics are to be, where that is not the default: see `qicore topics --help`.
    #[arg(long, value_name = "TOPICS.toml")]
    pub(crate) spec: Option<PathBuf>,
    /// Partitions of topics of events and of instruments. Without, 4 where one is made, and any number where one is there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub(crate) partitions: Option<i32>,
    /// Copies of each partition. Without, the cluster's default, and any number where a topic is there.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=32767))]
    pub(crate) replication: Option<i32>,
    /// How long topics of events keep them: 12h, 7d, forever. Without, it is the brokers' business.
    #[arg(long, value_name = "TIME")]
    pub(crate) retention: Option<String>,
    /// No table and no advice, but failures and the exit status.
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) which: Which,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Add partitions where there are too few. It moves keys to other partitions, so that a symbol's events are no longer
    /// in order, and cannot be undone.
    #[arg(long)]
    pub(crate) add_partitions: bool,
    /// Change settings that differ. A shorter retention or compaction removes what is there.
    #[arg(long)]
    pub(crate) change_settings: bool,
}

//! Planning, applying, and what is shown of it.

use std::process::ExitCode;

use qicore::Result;
use qicore::stores::kafka::admin::{self, Allowed, Applied, Change, Planned, TopicSpec};

use super::args::{Apply, Plan, Topics};
use super::wanted::{Wanted, wanted};
use crate::report;

/// What `plan` exits with where there is something to do: as `terraform plan -detailed-exitcode` does.
const DIFFERS: u8 = 2;
const HEAD: [&str; 4] = ["topic", "state", "partitions × copies", "is → is to be"];

pub(crate) async fn run(command: &Topics) -> Result<ExitCode> {
    match command {
        Topics::Plan(args) => plan(args).await,
        Topics::Apply(args) => apply(args).await,
    }
}

async fn plan(args: &Plan) -> Result<ExitCode> {
    let wanted = match wanted(&args.which)? {
        Ok(wanted) => wanted,
        Err(mistaken) => return Ok(mistaken),
    };
    let mut left = Left::default();
    for cluster in &wanted {
        let planned = admin::plan(&cluster.connection, &cluster.topics).await?;
        planned.iter().for_each(|topic| left.count(topic));
        if !args.which.quiet {
            show(&wanted, cluster, planned.iter().map(row_of_plan).collect())?;
        }
    }
    if !args.which.quiet {
        left.tell();
    }
    Ok(match left.any() {
        true => ExitCode::from(DIFFERS),
        false => ExitCode::SUCCESS,
    })
}

async fn apply(args: &Apply) -> Result<ExitCode> {
    let wanted = match wanted(&args.which)? {
        Ok(wanted) => wanted,
        Err(mistaken) => return Ok(mistaken),
    };
    let mut allowed = Allowed::default();
    (allowed.partitions, allowed.settings) = (args.add_partitions, args.change_settings);
    let (mut left, mut failed) = (Left::default(), false);
    for cluster in &wanted {
        let applied = admin::apply(&cluster.connection, &cluster.topics, allowed).await?;
        if !args.which.quiet {
            show(&wanted, cluster, applied.iter().map(row_of_apply).collect())?;
        }
        for topic in &applied {
            if let Some(error) = &topic.failed {
                report::error(error);
                failed = true;
            } else {
                left.count(&topic.now);
            }
        }
    }
    if !args.which.quiet {
        left.tell();
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// A table for each cluster, under its brokers where there are several.
fn show(wanted: &[Wanted], cluster: &Wanted, rows: Vec<[String; 4]>) -> Result<()> {
    if wanted.len() > 1 {
        report::output(cluster.connection.addresses())?;
    }
    report::table(&HEAD, rows)
}

fn row(topic: &Planned, state: &str, changes: String) -> [String; 4] {
    let found = topic.found.as_ref().map(ToString::to_string);
    [
        topic.spec.name.clone(),
        state.to_owned(),
        found.unwrap_or_default(),
        changes,
    ]
}

fn row_of_plan(topic: &Planned) -> [String; 4] {
    match (topic.is_missing(), topic.changes.is_empty()) {
        (true, _) => row(topic, "missing", described(&topic.spec)),
        (false, true) => row(topic, "same", String::new()),
        (false, false) => row(topic, "differs", lines(&topic.changes)),
    }
}

fn row_of_apply(topic: &Applied) -> [String; 4] {
    let now = &topic.now;
    if topic.failed.is_some() {
        return row(now, "failed", lines(&now.changes));
    }
    let state = match (&topic.done[..], &now.changes[..]) {
        ([Change::Missing], _) => return row(now, "made", described(&now.spec)),
        ([], []) => "same",
        ([], _) => "differs",
        _ => "changed",
    };
    let done = topic.done.iter().map(|change| format!("done: {change}"));
    let left = now.changes.iter().map(|change| match state {
        "changed" => format!("left: {change}"),
        _ => change.to_string(),
    });
    row(now, state, done.chain(left).collect::<Vec<_>>().join("\n"))
}

fn lines(changes: &[Change]) -> String {
    let lines: Vec<_> = changes.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// What a topic is made as.
fn described(spec: &TopicSpec) -> String {
    let partitions = spec.partitions.at_first();
    let copies = spec.replication.map(|copies| format!("{copies} copies"));
    let settings = spec.settings.iter().map(|(name, value)| format!("{name}={value}"));
    let partitions = format!("{partitions} partition{}", if partitions == 1 { "" } else { "s" });
    let parts: Vec<_> = std::iter::once(partitions).chain(copies).chain(settings).collect();
    parts.join(", ")
}

/// What is left to do, and how.
#[derive(Default)]
struct Left {
    missing: usize,
    partitions: usize,
    settings: usize,
    unknown: usize,
    fixed: usize,
}

impl Left {
    fn count(&mut self, topic: &Planned) {
        for change in &topic.changes {
            *match change {
                Change::Missing => &mut self.missing,
                Change::MorePartitions { .. } => &mut self.partitions,
                Change::Setting { is: Some(_), .. } => &mut self.settings,
                Change::Setting { is: None, .. } => &mut self.unknown,
                _ => &mut self.fixed,
            } += 1;
        }
    }

    fn any(&self) -> bool {
        self.missing + self.partitions + self.settings + self.unknown + self.fixed > 0
    }

    fn tell(&self) {
        let advice = [
            (
                self.missing,
                "topics missing: `qicore topics apply` with the same arguments makes them",
            ),
            (
                self.partitions,
                "topics with too few partitions: `apply --add-partitions` adds them, and moves keys to other partitions",
            ),
            (
                self.settings,
                "settings differ: `apply --change-settings` changes them, or let the file of --spec say what is meant",
            ),
            (
                self.unknown,
                "settings are not known to the brokers: correct their names in the file of --spec",
            ),
            (
                self.fixed,
                "differences that cannot be changed in place: see kafka-reassign-partitions.sh for copies; fewer partitions \
                 take another topic",
            ),
        ];
        for (number, advice) in advice.iter().filter(|(number, _)| *number > 0) {
            report::line(&format!("{number} {advice}"));
        }
    }
}

//! The `qicore` program: a thin shell over the library.

mod args;
mod commands;
mod report;
mod schema;
mod topics;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::args::{Args, Command};

/// How long what nobody waits for any more may take at the end: a call of a driver that cannot be broken off.
const LEFT_OVER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            report::line(&format!("error: the threads cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run());
    runtime.shutdown_timeout(LEFT_OVER);
    code
}

async fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(told) => {
            let _ = told.print();
            // Not clap's 2: that is what `topics plan` finds.
            return if told.use_stderr() {
                ExitCode::FAILURE
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let filter = tracing_subscriber::EnvFilter::try_from_env("QICORE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if args.verbose { "info" } else { "warn" }));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()))
        .init();
    let result = match args.command {
        Command::Run(run) => commands::run(&run).await,
        Command::Check(check) => commands::check(&check).await,
        Command::Decode(decode) => commands::decode(&decode).await,
        Command::List(list) => commands::list(&list),
        Command::Schema(store) => schema::print(&store),
        Command::Topics(command) => topics::run(&command).await,
        Command::DeadLetter(command) => commands::dead_letter(&command).await,
    };
    result.unwrap_or_else(|error| {
        // Whoever reads our output has enough: `qicore decode … | head` is no failure to tell.
        if !report::is_closed_pipe(&error) {
            report::error(&error);
        }
        ExitCode::FAILURE
    })
}

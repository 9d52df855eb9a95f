//! Blocks on their way into a table, each taken once however often it is sent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clickhouse::error::Error as DriverError;

use super::Store;
use super::connect::Server;
use super::encode::Block;
use super::error::{self, Failure};
use super::tables::Table;

/// A block is handed to the connection in pieces of this size, each compressed on its own.
const PIECE: usize = 1 << 20;

/// What tells a batch from all others, however often it is sent.
///
/// The server remembers the tokens of the last batches and passes over one that it has: so a batch whose answer was lost
/// is not doubled. But it notes a token **before** it takes the rows in, and one that was killed in between would pass
/// over rows that it does not have. Of tables that are not replicated a token is therefore sent again only to a server
/// that has run all the time since it was first sent; else the batch gets another token, and rows that were taken already
/// are replaced by their key.
#[derive(Debug)]
pub struct Token {
    text: String,
    sent: Mutex<Sent>,
}

#[derive(Debug, Default)]
struct Sent {
    /// When it was first sent, if rows may be there under it. By both clocks: one stands still while this machine sleeps,
    /// the other may be set back.
    first: Option<(Instant, SystemTime)>,
    /// How often it was given up.
    renewed: u32,
}

impl Token {
    /// A batch's token.
    pub fn new(text: String) -> Self {
        Self {
            text,
            sent: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, Sent> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text to send, which counts as sent from now on.
    fn sent(&self) -> String {
        let mut sent = self.state();
        sent.first.get_or_insert_with(|| (Instant::now(), SystemTime::now()));
        match sent.renewed {
            0 => self.text.clone(),
            times => format!("{}~{times}", self.text),
        }
    }

    /// The batch was refused as a whole, and nothing is noted under its text.
    fn refused(&self) {
        self.state().first = None;
    }

    /// It is not known what is there under its text: another one is sent from now on.
    fn renew(&self) {
        let mut sent = self.state();
        (sent.first, sent.renewed) = (None, sent.renewed + 1);
    }
}

impl Store {
    /// Writes a block. `Ok` says that the server has taken it, now or when it was sent before. Under the same token always
    /// the same block is to be sent.
    ///
    /// # Errors
    /// What the server fails with, and what that says about the rows.
    pub async fn insert(&self, table: &'static Table, block: &Block, token: &Token) -> Result<(), Failure> {
        let sql = self.insert_statement(table);
        let inserted = self.servers.each_within(None, |server| async {
            self.settle(server, token).await;
            let text = token.sent();
            let sent = self.send(server, &sql, block, text).await;
            if sent.as_ref().is_err_and(|told| !error::is_uncertain(told)) {
                // Of a table that is not replicated, a batch may be noted that was not taken.
                if self.tables.replicated {
                    token.refused()
                } else {
                    token.renew()
                }
            }
            sent
        });
        inserted.await.map_err(|(told, server)| {
            error::failure("clickhouse.insert", told, |error| {
                error.with("table", table.name).with("server", server.name())
            })
        })
    }

    /// Gives a token up that the server may have noted without having the rows.
    async fn settle(&self, server: &Server, token: &Token) {
        let first = token.state().first.filter(|_| !self.tables.replicated);
        let Some(first) = first else { return };
        if self.tables.sharded {
            // Which of the shards' servers has run all the time is not known.
            token.renew();
            return;
        }
        let up = self.servers.uptime(server).await;
        let since = first.0.elapsed().max(first.1.elapsed().unwrap_or(Duration::MAX));
        // Seconds are counted whole.
        if up.is_none_or(|up| up <= since.saturating_add(Duration::from_secs(2))) {
            token.renew();
        }
    }

    async fn send(&self, server: &Server, sql: &str, block: &Block, token: String) -> Result<(), DriverError> {
        let asynchronous = if self.asynchronous { "1" } else { "0" };
        let mut insert = self
            .servers
            .insert(server, sql)
            .with_setting("insert_deduplicate", "1")
            .with_setting("insert_deduplication_token", token)
            .with_setting("async_insert", asynchronous)
            .with_setting("wait_for_async_insert", "1")
            // A column of another type would be converted, and round.
            .with_setting("input_format_native_allow_types_conversion", "0")
            // A history may span more months than the default lets a block have.
            .with_setting("max_partitions_per_insert_block", "0")
            // Rows of one key within a block are for the merges: to look for them here costs a tenth.
            .with_setting("optimize_on_insert", "0");
        if self.tables.sharded {
            insert = insert.with_setting("distributed_foreground_insert", "1");
        }
        for part in &block.parts {
            for start in (0..part.len()).step_by(PIECE) {
                insert.send(part.slice(start..part.len().min(start + PIECE))).await?;
            }
        }
        insert.end().await
    }

    fn insert_statement(&self, table: &Table) -> String {
        let columns: Vec<&str> = table.column_names().collect();
        format!(
            "INSERT INTO {} ({}) FORMAT Native",
            self.qualified(table.name),
            columns.join(", ")
        )
    }
}

//! A local venue in a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::Venue;
use crate::Result;

/// A running venue. Dropping it ends it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    http: String,
    ws: String,
}

/// What a venue has seen of its clients.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// Requests answered 429 or 418.
    pub limited: usize,
    /// Connections that it has ended because it was told to.
    pub faults: usize,
    /// Rules of the venue that were broken.
    pub violations: Vec<String>,
}

impl Server {
    /// Starts the program that lies beside this one.
    pub fn start(venue: Venue, options: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("qicore-localvenue");
        let mut child = Command::new(&program)
            .args(["--venue", venue.name(), "--symbols", &venue.symbols().join(",")])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let mut urls = line.split_whitespace().filter_map(|url| url.split_once('='));
        let mut url = || urls.next().map(|(_, url)| url.to_owned());
        match (url(), url()) {
            (Some(http), Some(ws)) => Ok(Self { child, http, ws }),
            _ => Err(format!("the local venue says {line:?}").into()),
        }
    }

    /// Where its HTTP interface is.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// Where its WebSocket is.
    pub fn ws(&self) -> &str {
        &self.ws
    }

    /// What it has seen so far.
    pub fn seen(&self) -> Result<Seen> {
        let host = self.http.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host)?;
        write!(
            stream,
            "GET /_truth/log HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a body")?;
        Ok(serde_json::from_str(body.trim())?)
    }

    /// A client that broke a rule has measured something that no venue would have served.
    pub fn well_behaved(&self) -> Result<Seen> {
        let seen = self.seen()?;
        match seen.violations.first() {
            None if seen.limited == 0 => Ok(seen),
            first => Err(format!("{} requests over the limit, {first:?}", seen.limited).into()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The program as its users call it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/data");

fn qicore(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qicore"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn decodes_a_recording_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let output = qicore(folder.path(), &["decode", &format!("{DATA}/BINANCE.jsonl.zst")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let summary = text(&output.stderr).lines().last().unwrap();
    let lines = text(&output.stdout).lines().count();
    assert!(
        summary.starts_with("messages=270 ") && summary.ends_with(" rejected=0"),
        "{summary}"
    );
    assert!(
        summary.contains(&format!(" events={lines} ")),
        "{summary}, {lines} lines"
    );
    assert!(
        text(&output.stdout)
            .lines()
            .all(|line| serde_json::from_str::<qicore::Event>(line).is_ok())
    );
}

#[test]
fn decodes_bare_payloads_and_tells_what_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let trade = r#"[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USD"]"#;
    fs::write(
        folder.path().join("payloads.jsonl"),
        format!("{trade}\n{{\"event\":\"heartbeat\"}}\nnonsense\n{trade}\n"),
    )
    .unwrap();
    fs::write(folder.path().join("payloads.recv"), "1534614057.5\n1534614058\n").unwrap();
    let output = qicore(folder.path(), &["decode", "--source", "kraken", "payloads.jsonl"]);
    assert_eq!(output.status.code(), Some(1));
    let first = text(&output.stdout).lines().next().unwrap();
    let expected = r#"{"type":"trade","exchange":"kraken","symbol":"BTC/USD","timestamp":"2018-08-18T17:40:57.321597Z","received":"2018-08-18T17:40:57.5Z","source":"kraken","side":"sell","price":"5541.20000","size":"0.15850568"}"#;
    assert_eq!(first, expected);
    assert!(
        text(&output.stderr).contains("payloads.jsonl:3: "),
        "{}",
        text(&output.stderr)
    );
    assert!(
        text(&output.stderr).ends_with("messages=4 events=2 control=1 rejected=1\n"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn a_bare_payload_needs_its_venue() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("x.json"), "{}").unwrap();
    let output = qicore(folder.path(), &["decode", "x.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("--source"), "{}", text(&output.stderr));
    let output = qicore(folder.path(), &["decode", "--source", "gdax", "x.json"]);
    assert!(
        text(&output.stderr).contains("binance, coinbase, kraken"),
        "{}",
        text(&output.stderr)
    );
}

const PIPELINE: &str = r#"
name = "sessions"
dead_letters = "letters.jsonl"

[source]
type = "replay"
paths = ["RECORDING"]

[[transform]]
type = "filter"
keep = { types = ["trade"] }

[[sink]]
type = "jsonl"
path = "out"
"#;

#[test]
fn checks_runs_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    fs::write(
        &file,
        PIPELINE.replace("RECORDING", &format!("{DATA}/COINBASE.jsonl.zst")),
    )
    .unwrap();
    let checked = qicore(folder.path(), &["check", "p.toml"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    assert!(!folder.path().join("out").exists(), "check has connected");
    let checked = qicore(folder.path(), &["check", "--connect", "p.toml"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));

    let first = qicore(folder.path(), &["run", "p.toml"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    let rows = text(&first.stderr)
        .lines()
        .find(|line| line.starts_with("sink jsonl: "))
        .unwrap()
        .to_owned();
    assert!(!rows.starts_with("sink jsonl: 0 rows"), "{rows}");
    let again = qicore(folder.path(), &["run", "p.toml"]);
    assert!(
        text(&again.stderr).contains("sink jsonl: 0 rows"),
        "{}",
        text(&again.stderr)
    );
}

#[test]
fn check_names_the_file_and_the_line() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("p.toml"),
        PIPELINE.replace("type = \"jsonl\"", "type = \"json\""),
    )
    .unwrap();
    let output = qicore(folder.path(), &["check", "p.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("p.toml:14: unknown sink \"json\"; known: "),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn lists_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let all = qicore(folder.path(), &["list"]);
    for name in [
        "replay",
        "generator",
        "dead-letters",
        "validate",
        "dedupe",
        "candles",
        "filter",
        "jsonl",
        "csv",
        "parquet",
    ] {
        assert!(text(&all.stdout).contains(name), "{name} is not listed");
    }
    let sinks = qicore(folder.path(), &["list", "sinks"]);
    assert!(!text(&sinks.stdout).contains("validate"));
}

/// A recording with a damaged frame: it goes to the dead letters, is mended there and sent through again.
#[cfg(all(feature = "clickhouse", feature = "timescale"))]
#[test]
fn the_schema_is_printed_with_a_pipelines_settings() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "name = \"p\"\n[source]\ntype = \"generator\"\n[[sink]]\ntype = \"clickhouse\"\n\
                    connection.password = { env = \"QICORE_NOT_SET\" }\ntables.database = \"desk\"\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let printed = qicore(folder.path(), &["schema", "clickhouse", "--pipeline", "p.toml"]);
    assert!(printed.status.success(), "{}", text(&printed.stderr));
    assert!(text(&printed.stdout).contains("CREATE TABLE IF NOT EXISTS `desk`.trades"));
    for store in ["clickhouse", "timescale"] {
        let ahead = qicore(folder.path(), &["schema", store, "--from", "99"]);
        assert!(!ahead.status.success() && ahead.stdout.is_empty(), "{store}");
        assert!(
            text(&ahead.stderr).contains("the last version of the schema is"),
            "{store}"
        );
    }
}

#[test]
fn dead_letters_are_shown_and_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let frame = |data: &str, ts: u32| {
        let data = serde_json::to_string(data).unwrap();
        format!("{{\"t\":\"recv\",\"conn\":\"KRAKEN.ws.1\",\"ts\":{ts}.5,\"data\":{data}}}\n")
    };
    let trade = r#"[0,[["5541.20000","0.15850568","1534614057.321597","s","l",""]],"trade","XBT/USD"]"#;
    let recording = [
        "{\"t\":\"header\",\"format\":2,\"exchange\":\"KRAKEN\",\"config\":{}}\n".to_owned(),
        frame(trade, 1),
        frame(&trade.replace("5541.20000", "5541,20000"), 2),
        frame(trade, 3),
    ];
    fs::write(folder.path().join("session.jsonl"), recording.concat()).unwrap();
    fs::write(
        folder.path().join("p.toml"),
        PIPELINE.replace("RECORDING", "session.jsonl"),
    )
    .unwrap();
    let run = qicore(folder.path(), &["run", "p.toml"]);
    assert!(
        run.status.success() && text(&run.stderr).contains("1 rejected"),
        "{}",
        text(&run.stderr)
    );
    let shown = qicore(folder.path(), &["dead-letter", "show", "letters.jsonl"]);
    assert!(
        text(&shown.stdout).contains("decode") && text(&shown.stdout).contains("session"),
        "{}",
        text(&shown.stdout)
    );

    let letters = folder.path().join("letters.jsonl");
    let again = qicore(
        folder.path(),
        &["dead-letter", "replay", "letters.jsonl", "--pipeline", "p.toml"],
    );
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert_eq!(
        fs::read_to_string(folder.path().join("letters.jsonl.again"))
            .unwrap()
            .lines()
            .count(),
        1,
        "refused again"
    );

    fs::write(
        &letters,
        fs::read_to_string(&letters)
            .unwrap()
            .replace("5541,20000", "5541.20000"),
    )
    .unwrap();
    fs::rename(&letters, folder.path().join("mended.jsonl")).unwrap();
    let mended = qicore(
        folder.path(),
        &["dead-letter", "replay", "mended.jsonl", "--pipeline", "p.toml"],
    );
    assert!(
        text(&mended.stderr).contains("sink jsonl: 1 rows"),
        "{}",
        text(&mended.stderr)
    );
}

#[test]
fn letters_are_shown_from_compressed_and_damaged_files() {
    let folder = tempfile::tempdir().unwrap();
    let letter = r#"{"id":"1","at":"2026-01-01T00:00:00Z","stage":"decode","reason":"decode","error":"e","pipeline":"p","source":"kraken","lane":"a/b","offset":1,"raw":"x"}"#;
    let mut lines = [letter, "\n", letter, "\n"].concat().into_bytes();
    lines.extend_from_slice(b"\xff\xfe no letter\n");
    fs::write(folder.path().join("l.jsonl.zst"), zstd::encode_all(&*lines, 1).unwrap()).unwrap();
    let shown = qicore(folder.path(), &["dead-letter", "show", "l.jsonl.zst"]);
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    let row = text(&shown.stdout)
        .lines()
        .find(|line| line.contains("a/b"))
        .unwrap_or_default();
    assert!(row.contains('2') && row.contains("decode"), "{}", text(&shown.stdout));
    assert!(
        text(&shown.stderr).contains("1 lines are no dead letters"),
        "{}",
        text(&shown.stderr)
    );
}

#[test]
#[cfg(unix)]
fn a_pipe_as_input_is_refused_and_does_not_hang() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.path().join("f.jsonl"))
        .status()
        .unwrap();
    assert!(made.success());
    let pipeline = "name = \"x\"\n[source]\ntype = \"replay\"\npaths = [\"f.jsonl\"]\n[[sink]]\ntype = \"discard\"\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    for arguments in [
        &["run", "p.toml"][..],
        &["decode", "f.jsonl"],
        &["dead-letter", "show", "f.jsonl"],
    ] {
        let refused = qicore(folder.path(), arguments);
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(
            text(&refused.stderr).contains("no regular file"),
            "{}",
            text(&refused.stderr)
        );
    }
}

/// `qicore run … 2>&1 | tee log`, and Ctrl-C ends tee too.
#[test]
#[cfg(unix)]
fn nobody_listening_on_standard_error_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline =
        "name = \"x\"\n[source]\ntype = \"generator\"\nevents = 3000\n[[sink]]\ntype = \"jsonl\"\npath = \"out\"\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = Command::new(env!("CARGO_BIN_EXE_qicore"))
        .args(["run", "p.toml"])
        .current_dir(folder.path())
        .stderr(writer)
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(0), "the summary that nobody reads is no failure");
    let rest = qicore(folder.path(), &["run", "p.toml"]);
    assert!(
        text(&rest.stderr).contains("1 lanes were finished"),
        "{}",
        text(&rest.stderr)
    );
}

#[test]
#[cfg(feature = "messages")]
fn prints_the_schemas_of_messages() {
    let schema = |args: &[&str]| qicore(Path::new("."), &[&["schema", "json"], args].concat());
    let json = |output: &Output| serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
    let all = json(&schema(&[]));
    assert_eq!(all["trade"]["properties"]["type"]["const"], "trade");
    for name in ["candle", "dead-letter"] {
        assert_eq!(json(&schema(&[name])), all[name]);
    }
    let unknown = schema(&["bar"]);
    assert!(!unknown.status.success());
    assert!(text(&unknown.stderr).contains("candle"), "{}", text(&unknown.stderr));
}

#[test]
fn a_file_without_letters_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("l.jsonl"), "").unwrap();
    let pipeline = "name = \"x\"\n[source]\ntype = \"generator\"\n[[sink]]\ntype = \"discard\"\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let replay = qicore(
        folder.path(),
        &["dead-letter", "replay", "l.jsonl", "--pipeline", "p.toml"],
    );
    assert!(!replay.status.success());
    assert!(
        text(&replay.stderr).contains("holds no dead letters"),
        "{}",
        text(&replay.stderr)
    );
}

#[test]
#[cfg(unix)]
fn an_interrupted_run_commits_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = "name = \"endless\"\n[source]\ntype = \"generator\"\nevents = 40000\nrate = 20000\n[[sink]]\ntype = \"jsonl\"\npath = \"out\"\n";
    fs::write(folder.path().join("p.toml"), pipeline).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_qicore"))
        .args(["run", "p.toml"])
        .current_dir(folder.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Once the sink's folder is there, signals are listened to and events flow.
    while !folder.path().join("out/_qicore").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::thread::sleep(std::time::Duration::from_millis(300));
    let stopped = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(stopped.success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = |stderr: &[u8]| {
        let line = text(stderr)
            .lines()
            .find(|line| line.starts_with("sink jsonl: "))
            .unwrap()
            .to_owned();
        line["sink jsonl: ".len()..]
            .split(' ')
            .next()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    let first = rows(&output.stderr);
    assert!(first > 0 && first < 40_000, "{first} rows before the interrupt");
    let rest = qicore(folder.path(), &["run", "p.toml"]);
    assert_eq!(first + rows(&rest.stderr), 40_000);
}

/// The shipped files that need no more than what is compiled in by default.
#[test]
fn the_shipped_files_of_venues_are_sound() {
    for name in ["binance", "coinbase", "kraken", "live-candles", "history"] {
        let folder = tempfile::tempdir().unwrap();
        let file = format!("{}/../pipelines/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let output = qicore(folder.path(), &["check", &file]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(text(&output.stderr).ends_with(&format!("{name} is sound\n")));
    }
}

#[test]
fn mistakes_in_sections_of_venues_are_told_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    let check = |symbols: &str, channels: &str, rest: &str| {
        let source = format!("[source]\ntype = \"kraken\"\nsymbols = {symbols}\nchannels = {channels}\n{rest}\n");
        let file = format!("name = \"p\"\n[[sink]]\ntype = \"discard\"\n{source}");
        fs::write(folder.path().join("p.toml"), file).unwrap();
        let output = qicore(folder.path(), &["check", "p.toml"]);
        (output.status.success(), text(&output.stderr).to_owned())
    };
    let (symbols, channels) = (r#"["BTC/USD"]"#, r#"["trades"]"#);
    let (sound, told) = check(symbols, channels, "");
    assert!(sound, "{told}");

    let range = "from = \"2026-01-01T00:00:00Z\"\nto = \"2026-01-02T00:00:00Z\"";
    for (told, symbols, channels, rest) in [
        ("p.toml:6: \"BTCUSD\" is not a symbol", r#"["BTCUSD"]"#, channels, ""),
        ("p.toml:6: symbols is empty", "[]", channels, ""),
        ("p.toml:7: unknown channel \"trade\"", symbols, r#"["trade"]"#, ""),
        ("p.toml:7: unknown timeframe \"7m\"", symbols, r#"["candles:7m"]"#, ""),
        ("p.toml:7: channels is empty", symbols, "[]", ""),
        (
            "p.toml:7: no venue keeps a history of quotes",
            symbols,
            r#"["quotes"]"#,
            range,
        ),
        (
            "p.toml:8: to is the end of a history",
            symbols,
            channels,
            "to = \"2026-01-02T00:00:00Z\"",
        ),
        (
            "p.toml:8: from must be before to",
            symbols,
            channels,
            "from = \"2026-01-02T00:00:00Z\"\nto = \"2026-01-02T00:00:00Z\"",
        ),
        (
            "p.toml:8: unknown field `form`",
            symbols,
            channels,
            "form = \"2026-01-01T00:00:00Z\"",
        ),
        ("p.toml:8: book_depth is 7", symbols, channels, "book_depth = 7"),
        ("p.toml:8: waiting must be above 0", symbols, channels, "waiting = 0"),
        (
            "p.toml:8: net.max_bytes must be above 0",
            symbols,
            channels,
            "net = { max_bytes = 0 }",
        ),
        (
            "p.toml:8: rest_url: the URL is malformed",
            symbols,
            channels,
            "rest_url = \"api.kraken.com\"",
        ),
        (
            "p.toml:8: ws_url: the URL must begin with ws:// or wss://HOST",
            symbols,
            channels,
            "ws_url = \"https://ws.kraken.com\"",
        ),
    ] {
        let (sound, found) = check(symbols, channels, rest);
        assert!(!sound && found.contains(told), "{told}\n{found}");
    }
    let (_, told) = check(r#"["BTCUSD"]"#, r#"["trade"]"#, "form = 1");
    assert_eq!(told.lines().count(), 3, "{told}");
}

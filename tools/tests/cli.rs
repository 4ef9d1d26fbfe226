//! The built binary against a broker of its own: what people and scripts type, and what they get.
//!
//! Each test starts `tidemark dev --ephemeral --port 0` and kills only that. The same walk through the verbs can be done
//! against any other Kafka: tests/cli/run.sh does so against Apache Kafka.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_tidemark");

/// A broker that lives as long as this.
struct Broker {
    child: Child,
    server: String,
    data: PathBuf,
    events: BufReader<std::process::ChildStdout>,
}

impl Broker {
    fn start(args: &[&str]) -> Broker {
        let mut child = Command::new(BINARY)
            .args(args)
            .env_remove("TIDEMARK_SERVER")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut events = BufReader::new(child.stdout.take().expect("piped"));
        let mut ready = String::new();
        events.read_line(&mut ready).expect("a line");
        assert!(
            ready.starts_with(&format!("tidemark {} ready kafka=", env!("CARGO_PKG_VERSION"))),
            "{ready:?}"
        );
        let field = |name: &str| {
            let field = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
            field.unwrap_or_else(|| panic!("{name} in {ready:?}")).to_owned()
        };
        assert_eq!(field("pid="), child.id().to_string());
        Broker { server: field("kafka="), data: PathBuf::from(field("data=")), child, events }
    }

    fn ephemeral() -> Broker {
        Broker::start(&["dev", "--ephemeral", "--port", "0"])
    }

    /// Runs a command and returns all of it.
    fn output(&self, args: &[&str], input: &str) -> Output {
        let mut child = Command::new(BINARY)
            .args(args)
            .env("TIDEMARK_SERVER", &self.server)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("taken");
        child.wait_with_output().expect("it ends")
    }

    /// Runs a command that must succeed and returns what it prints.
    fn run(&self, args: &[&str], input: &str) -> String {
        let output = self.output(args, input);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {} {stderr}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, args: &[&str]) -> Value {
        let text = self.run(args, "");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// The exit code of a command that must fail, with what it says.
    fn fail(&self, args: &[&str]) -> (i32, String) {
        let output = self.output(args, "");
        let code = output.status.code().expect("no signal");
        assert_ne!(code, 0, "{args:?}");
        (code, String::from_utf8(output.stderr).expect("text"))
    }

    fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill runs");
        assert!(killed.success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Gone already when the test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_message_takes_two_commands() {
    let broker = Broker::ephemeral();
    broker.run(&["produce", "hello"], "hi\n");
    assert_eq!(broker.run(&["consume", "hello", "-n", "1"], ""), "hi\n");
}

#[test]
fn records_come_back_as_they_went_in() {
    let broker = Broker::ephemeral();
    broker.run(&["topic", "create", "t", "-p", "3"], "");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let input = format!("{codec}-1\tone\n{codec}-2\ttwo\n{codec}-3\t\n");
        broker.run(&["produce", "t", "-f", "%k\\t%v\\n", "-H", "codec=x", "-Z", "-z", codec], &input);
    }
    let text = broker.run(&["consume", "t", "-e", "-f", "%k|%v|%h|%S\\n"], "");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 15);
    assert_eq!(lines[0], "gzip-1|one|codec=x|3");
    assert_eq!(lines[2], "gzip-3||codec=x|-1");
    let filtered = broker.run(&["consume", "t", "-e", "-G", "k:^zstd", "-G", "v:!two", "-f", "%k\\n"], "");
    assert_eq!(BTreeSet::from_iter(filtered.lines()), BTreeSet::from(["zstd-1", "zstd-3"]));
    let json = broker.run(&["consume", "t", "-e", "--json", "-G", "k:^lz4-1"], "");
    let record: Value = serde_json::from_str(&json).expect("json");
    assert_eq!((&record["key"], &record["value"]), (&"lz4-1".into(), &"one".into()));
    let copied = broker.run(&["produce", "copy", "-f", "json"], &json);
    assert!(copied.contains("copy"), "{copied}");
    let again: Value =
        serde_json::from_str(&broker.run(&["consume", "copy", "-e", "--json"], "")).expect("json");
    assert_eq!((&again["timestamp"], &again["headers"]), (&record["timestamp"], &record["headers"]));
}

#[test]
fn reading_starts_and_ends_where_asked() {
    let broker = Broker::ephemeral();
    broker.run(&["topic", "create", "t", "-p", "1"], "");
    let numbers: String = (0..100).map(|n| format!("{n}\n")).collect();
    broker.run(&["produce", "t"], &numbers);
    let read = |offset: &str, more: &[&str]| {
        let args = [&["consume", "t", "-o", offset], more].concat();
        broker.run(&args, "").lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(read("-3", &["-e"]), ["97", "98", "99"]);
    assert_eq!(read("+98", &["-e"]), ["98", "99"]);
    assert_eq!(read("40:42", &[]), ["40", "41"]);
    assert_eq!(read("95", &["-n", "2"]), ["95", "96"]);
    assert_eq!(read("@-1h", &["-e"]).len(), 100);
    assert!(read("end", &["-e"]).is_empty());
    let (code, message) = broker.fail(&["consume", "t", "-o", "1000", "-n", "1"]);
    assert_eq!(code, 6, "{message}");
}

#[test]
fn topics_live_from_creation_to_deletion() {
    let broker = Broker::ephemeral();
    let dry = broker.run(&["topic", "create", "t", "-p", "2", "--dry-run"], "");
    assert!(dry.contains("would be created"), "{dry}");
    assert_eq!(broker.json(&["topic", "list", "--json"])["data"]["topics"], Value::Array(Vec::new()));
    broker.run(&["topic", "create", "t", "-p", "2", "-c", "retention.ms=12h"], "");
    assert_eq!(broker.fail(&["topic", "create", "t"]).0, 6);
    broker.run(&["topic", "create", "t", "--if-not-exists"], "");
    broker.run(&["topic", "alter", "t", "--set", "segment.bytes=8MiB"], "");
    assert_eq!(broker.fail(&["topic", "alter", "t", "--set", "retention.msx=1"]).0, 6);
    let described = broker.json(&["topic", "describe", "t", "--json"]);
    assert_eq!(described["kind"], "tidemark.topic.describe/v1");
    let configs = described["data"]["topics"][0]["configs"].as_array().expect("configs").clone();
    let config = |name: &str| configs.iter().find(|c| c["name"] == name).expect("there")["value"].clone();
    assert_eq!((config("retention.ms"), config("segment.bytes")), ("43200000".into(), "8388608".into()));
    broker.run(&["topic", "add-partitions", "t", "--to", "5", "-y"], "");
    let partitions = broker.json(&["topic", "list", "--json"])["data"]["topics"][0]["partitions"].clone();
    assert_eq!(partitions, 5);
    assert_eq!(broker.fail(&["topic", "delete", "t"]).0, 8);
    assert_eq!(broker.fail(&["topic", "delete", "t", "--yes"]).0, 8);
    broker.run(&["topic", "delete", "t", "--yes", "--confirm", "t"], "");
    assert_eq!(broker.fail(&["topic", "describe", "t"]).0, 3);
}

#[test]
fn trimming_and_retention_say_what_they_delete() {
    let broker = Broker::ephemeral();
    broker.run(&["topic", "create", "t", "-p", "1"], "");
    broker.run(&["produce", "t"], "a\nb\nc\nd\n");
    let dry = broker.json(&["topic", "trim", "t", "--to", "3", "--dry-run", "--json"]);
    assert_eq!(dry["data"]["partitions"][0]["records_deleted"], 3);
    assert_eq!(broker.fail(&["topic", "trim", "t", "--to", "3"]).0, 8);
    broker.run(&["topic", "trim", "t", "--to", "3", "-y", "--confirm", "t"], "");
    assert_eq!(broker.run(&["consume", "t", "-e"], ""), "d\n");
    let retention = broker.json(&["topic", "retention", "t", "--total", "30d", "--dry-run", "--json"]);
    assert_eq!(retention["data"]["limits"][0]["after"], "2592000000");
    assert_eq!(retention["data"]["records_expiring"], 0);
    broker.run(&["topic", "retention", "t", "--total", "30d"], "");
    let now = broker.json(&["topic", "retention", "t", "--json"]);
    assert_eq!(now["data"]["limits"][0]["now"], "2592000000");
}

#[test]
fn groups_commit_are_described_moved_and_deleted() {
    let broker = Broker::ephemeral();
    broker.run(&["topic", "create", "t", "-p", "2"], "");
    broker.run(&["produce", "t", "-p", "0"], "a\nb\nc\n");
    assert_eq!(broker.run(&["consume", "t", "-g", "g", "-n", "2"], ""), "a\nb\n");
    assert_eq!(broker.run(&["consume", "t", "-g", "g", "-e"], ""), "c\n", "it goes on where it was");
    let groups = broker.json(&["group", "list", "--json"]);
    assert_eq!(groups["data"]["groups"][0]["group"], "g");
    let group = broker.json(&["group", "describe", "g", "--json"]);
    assert_eq!(group["data"]["groups"][0]["offsets"][0]["committed_offset"], 3);
    assert_eq!(group["data"]["groups"][0]["lag"], 0);
    let dry = broker.json(&["group", "seek", "g", "--to", "start", "--json"]);
    assert_eq!((&dry["data"]["dry_run"], &dry["data"]["offsets"][0]["after"]), (&true.into(), &0.into()));
    assert!(broker.run(&["consume", "t", "-g", "g", "-e"], "").is_empty(), "the dry run changed nothing");
    broker.run(&["group", "seek", "g", "--to", "1", "--topics", "t:0", "--execute"], "");
    assert_eq!(broker.run(&["consume", "t", "-g", "g", "-e"], ""), "b\nc\n");
    assert_eq!(broker.fail(&["group", "delete", "g"]).0, 8);
    broker.run(&["group", "delete", "g", "-y"], "");
    assert_eq!(broker.fail(&["group", "describe", "g"]).0, 3);
}

#[test]
fn failures_have_their_exit_codes() {
    let broker = Broker::ephemeral();
    assert_eq!(broker.fail(&["consume", "nothing-here"]).0, 3);
    assert_eq!(broker.fail(&["consume", "t", "-o", "sometime"]).0, 2);
    assert_eq!(broker.fail(&["nonsense"]).0, 2);
    assert_eq!(broker.fail(&["dev", "--nodes", "99"]).0, 2);
    let (code, message) = broker.fail(&["topic", "list", "-s", "127.0.0.1:1", "--timeout", "1s"]);
    assert_eq!(code, 5);
    assert!(message.contains("127.0.0.1:1") && message.contains("tidemark dev"), "{message}");
}

#[test]
fn a_node_started_by_dev_starts_again_from_its_file() {
    let parent = tempfile::tempdir().expect("a directory");
    let data = parent.path().join("data");
    let data = data.to_str().expect("text");
    let mut broker = Broker::start(&["dev", "--data", data, "--port", "0"]);
    broker.run(&["produce", "t"], "kept\n");
    assert_eq!(broker.terminate(), Some(0));
    let mut events = String::new();
    broker.events.read_to_string(&mut events).expect("text");
    assert_eq!(events, "tidemark stopping\ntidemark stopped\n");
    let again = Broker::start(&["start", "-c", &format!("{data}/tidemark.toml")]);
    assert_eq!(again.server, broker.server, "the port is kept");
    assert_eq!(again.run(&["consume", "t", "-n", "1"], ""), "kept\n");
    assert_eq!(
        again.fail(&["start", "-c", &format!("{data}/tidemark.toml")]).0,
        6,
        "the directory is in use"
    );
    let verified = again.json(&["segment", "verify", data, "--json"]);
    assert_eq!(verified["data"]["segments"][0]["records"], 1);
    let dumped = again.run(&["segment", "dump", &format!("{data}/t-0"), "--records", "-o", "tsv"], "");
    assert!(dumped.contains("kept"), "{dumped}");
}

#[test]
fn an_ephemeral_node_leaves_nothing_behind() {
    let mut broker = Broker::ephemeral();
    assert!(broker.data.join("tidemark.toml").exists());
    assert_eq!(broker.terminate(), Some(0));
    assert!(!broker.data.exists());
}

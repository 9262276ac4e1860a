//! Agents as processes: what they tell of themselves, and signals.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, ChildStderr, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{SECRET, outcome, program};

/// An agent whose gateway cannot be reached, in a runtime directory of its own. It ends with the test.
struct Offline {
    agent: Child,
    log: BufReader<ChildStderr>,
    /// Not below the target: the path of a socket must be short.
    runtime: PathBuf,
}

impl Offline {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_and_log(name, arguments, "offline").0
    }

    /// Starts it, and waits for a line of its log.
    fn start_and_log(name: &str, arguments: &[&str], part: &str) -> (Self, String) {
        let runtime = std::env::temp_dir().join(format!("indranet-cli-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&runtime);
        fs::create_dir_all(&runtime).unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut agent = program()
            .args(["connect", "3000", "--id", "myapp", "--gateway", &format!("grpc://{closed}")])
            .args(["--log-level", "debug"])
            .args(arguments)
            .env("XDG_RUNTIME_DIR", &runtime)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(agent.stderr.take().unwrap());
        let mut offline = Self { agent, log, runtime };
        let line = offline.logs(part);
        (offline, line)
    }

    /// Waits for a line of the log, and returns it.
    fn logs(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "the agent ended");
        }
        line
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.agent), signal).unwrap();
    }

    fn status(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        outcome(program().arg("status").args(arguments).env("XDG_RUNTIME_DIR", &self.runtime))
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        let _ = self.agent.kill();
        let _ = self.agent.wait();
        let _ = fs::remove_dir_all(&self.runtime);
    }
}

#[test]
fn status_shows_the_agents_of_this_user_and_ends_with_69_if_one_is_offline() {
    let agent = Offline::start("status", &["--connections", "3"]);
    let (code, stdout, stderr) = agent.status(&[]);
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("myapp has no link to a gateway"), "{stderr}");
    assert!(stdout.starts_with("myapp  pid ") && stdout.contains("http://127.0.0.1:3000"), "{stdout}");

    let (_, stdout, _) = agent.status(&["--json", "myapp"]);
    let agents: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&agents[0]["id"], &agents[0]["pid"]), (&"myapp".into(), &agent.agent.id().into()));
    assert_eq!(agents[0]["links"].as_array().unwrap().len(), 3);
    assert!(agents[0]["links"][0]["last_error"].as_str().unwrap().contains("cannot connect"), "{stdout}");
    assert!(!stdout.contains("itk_") && !stdout.contains(SECRET), "{stdout}");

    let (code, stdout, stderr) = agent.status(&["--json", "other"]);
    assert_eq!((code, stdout.as_str()), (Some(69), "[]\n"), "{stderr}");
    assert!(stderr.contains("no agent `other`"), "{stderr}");
}

#[test]
fn an_agent_that_was_told_to_hide_and_one_that_has_ended_are_not_shown() {
    let hidden = Offline::start("hidden", &["--status=false"]);
    let (code, stdout, stderr) = hidden.status(&[]);
    assert_eq!((code, stdout.as_str()), (Some(69), ""));
    assert!(stderr.contains("no agent of this user is running"), "{stderr}");

    let mut ended = Offline::start("ended", &[]);
    ended.signal(Signal::TERM);
    assert_eq!(ended.agent.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(ended.runtime.join("indranet")).unwrap().count(), 0, "its socket is gone");
}

#[test]
fn an_agent_without_a_place_for_its_socket_goes_on() {
    let runtime = std::env::temp_dir().join(format!("indranet-cli-open-{}", std::process::id()));
    fs::create_dir_all(runtime.join("indranet")).unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut agent = program();
    agent.args(["connect", "3000", "--gateway", &format!("grpc://{closed}"), "--max-retries", "0"]);
    let (code, _, stderr) = outcome(agent.env("XDG_RUNTIME_DIR", &runtime));
    fs::remove_dir_all(&runtime).unwrap();
    assert_eq!(code, Some(69), "{stderr}");
    assert!(stderr.contains("open to others; remove it, or make it yours with mode 0700"), "{stderr}");
}

#[test]
fn a_hangup_is_a_reason_to_try_again_and_none_to_end() {
    let mut agent = Offline::start("hangup", &[]);
    for _ in 0..2 {
        agent.signal(Signal::HUP);
        agent.logs("SIGHUP: asking every link");
        agent.logs("connecting");
    }
    assert_eq!(agent.status(&[]).0, Some(69));
}

#[test]
fn an_agent_answers_its_operators() {
    let (mut agent, line) = Offline::start_and_log("admin", &["--admin", "127.0.0.1:0"], "admin port open");
    let addr = line.split("addr=").nth(1).unwrap().split_whitespace().next().unwrap();
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(addr).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(ask("/readyz").starts_with("HTTP/1.1 503 "));
    assert!(ask("/metrics").contains("indranet_agent_links{state=\"connected\"} 0"));
    assert!(ask("/status").contains("\"id\":\"myapp\""));
    agent.logs("offline");
}

use std::sync::{Arc, Mutex};

use super::*;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, level: &str, events: impl FnOnce()) -> String {
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = subscriber(format, level, false, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, events);
    let bytes = sink.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn frames_below_us_stay_silent_whatever_is_asked() {
    let text = logged(Format::Text, "trace,h2::codec=trace,tungstenite=trace", || {
        tracing::trace!(target: "h2::codec::framed_write", "authorization: secret");
        tracing::debug!(target: "tungstenite::protocol", "a frame");
        tracing::info!(target: "hyper_util::client", "a header");
        tracing::warn!(target: "hyper::proto", "a warning");
        tracing::trace!(target: "hyperspace", "another crate");
    });
    assert!(!text.contains("secret") && !text.contains("a frame") && !text.contains("a header"), "{text}");
    assert!(text.contains("a warning") && text.contains("another crate"), "{text}");
}

#[test]
fn json_lines_carry_their_fields_at_the_top() {
    let text =
        logged(Format::Json, "info", || tracing::info!(target: "session", agent_id = "myapp", "connected"));
    assert!(text.contains(r#""agent_id":"myapp""#) && text.contains(r#""message":"connected""#), "{text}");
    assert!(text.starts_with('{') && text.ends_with("}\n"), "{text}");
}

#[test]
fn a_level_that_is_no_filter_is_named() {
    let error = subscriber(Format::Text, "session=loud", false, io::sink).err().unwrap();
    assert!(error.to_string().contains("`session=loud`"), "{error}");
}

/// A file of the test's own that is gone after it.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("indranet-audit-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_audit_log_has_its_events_at_every_level_and_no_others() {
    let scratch = Scratch::new("levels");
    let file = AuditFile::open(scratch.path("audit.log")).unwrap();
    let sink = Sink::default();
    let writer = sink.clone();
    let subscriber = audited(Format::Text, "error", false, move || writer.clone(), file).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let span = tracing::info_span!("session", cookie = "crumbs");
        let _entered = span.enter();
        tracing::info!(target: "audit", what = "connected", agent = "a\nb\x1b[31m", "agent connected");
        tracing::error!("something else");
    });
    let lines = scratch.lines("audit.log");
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in ["\"what\":\"connected\"", "\"target\":\"audit\"", "\"timestamp\":\"", r"a\nb\u001b[31m"] {
        assert!(lines[0].contains(part), "{part}: {}", lines[0]);
    }
    assert!(!lines[0].contains("crumbs"));
    let logged = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("something else") && !logged.contains("connected"), "{logged}");
}

#[test]
fn an_audit_log_that_was_moved_goes_on_in_a_new_file() {
    use io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    let scratch = Scratch::new("moved");
    let file = AuditFile::open(scratch.path("audit.log")).unwrap();
    file.make_writer().write_all(b"one\n").unwrap();
    std::fs::rename(scratch.path("audit.log"), scratch.path("audit.log.1")).unwrap();
    file.make_writer().write_all(b"two\n").unwrap();
    file.make_writer().write_all(b"three\n").unwrap();
    std::fs::remove_file(scratch.path("audit.log")).unwrap();
    file.reopen().unwrap();
    file.make_writer().write_all(b"four\n").unwrap();
    assert_eq!(scratch.lines("audit.log.1"), ["one"]);
    assert_eq!(scratch.lines("audit.log"), ["four"]);
    let mode = std::fs::metadata(scratch.path("audit.log")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn two_processes_share_an_audit_log() {
    use io::Write as _;

    let scratch = Scratch::new("shared");
    let [one, two] = [0; 2].map(|_| AuditFile::open(scratch.path("audit.log")).unwrap());
    one.make_writer().write_all(b"one\n").unwrap();
    two.make_writer().write_all(b"two\n").unwrap();
    one.make_writer().write_all(b"three\n").unwrap();
    assert_eq!(scratch.lines("audit.log"), ["one", "two", "three"]);
}

#[test]
fn an_audit_log_that_takes_nothing_says_so() {
    let file = AuditFile::open("/dev/full".into()).unwrap();
    let subscriber = audited(Format::Text, "error", false, Sink::default, file.clone()).unwrap();
    assert!(file.take_error().is_none());
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..3 {
            tracing::info!(target: "audit", what = "connected", "agent connected");
        }
    });
    assert_eq!(file.lines_lost(), 3);
    let error = file.take_error().unwrap().to_string();
    assert!(error.contains("/dev/full"), "{error}");
    assert!(file.take_error().is_none(), "it is told once");
}

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

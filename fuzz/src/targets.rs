mod connect;
mod exchanges;
mod fields;
mod frames;
mod host;
mod http1;
mod websocket;

/// A rule that holds for all bytes.
#[derive(Debug)]
pub struct Target {
    /// Its name, that of its corpus too.
    pub name: &'static str,
    /// Panics if the bytes break the rule.
    pub run: fn(&[u8]),
    /// Pieces of inputs that mutation would take long to find.
    pub words: &'static [&'static [u8]],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "frames", run: frames::run, words: frames::WORDS },
    Target { name: "exchanges", run: exchanges::run, words: &[] },
    Target { name: "host", run: host::run, words: host::WORDS },
    Target { name: "fields", run: fields::run, words: fields::WORDS },
    Target { name: "http1", run: http1::run, words: http1::WORDS },
    Target { name: "websocket", run: websocket::run, words: websocket::WORDS },
    Target { name: "connect", run: connect::run, words: connect::WORDS },
];

//! Every bound and default that both ends, and every transport, share. The reasons are in `docs/protocol.md`.

use std::time::Duration;

/// The protocol version of this crate.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest `TunnelData.chunk` and largest inline body, in bytes.
pub const MAX_CHUNK: usize = 32 * 1024;
/// Largest sum of header names and values in one message, in bytes.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most header fields in one message.
pub const MAX_HEADERS: usize = 100;
/// Largest encoded frame that a receiver decodes, in bytes.
pub const MAX_FRAME: usize = 256 * 1024;
/// Largest encoded first frame, read from a peer that nobody knows yet, in bytes.
pub const MAX_CONNECT_FRAME: usize = 4 * 1024;
/// Longest `TunnelClose.message`, in bytes.
pub const MAX_CLOSE_MESSAGE: usize = 256;
/// Longest `ControlMessage.payload`, in bytes.
pub const MAX_PING_PAYLOAD: usize = 64;
/// Most labels of an agent.
pub const MAX_LABELS: usize = 16;

/// Frames are packed into one WebSocket message until it holds this many bytes.
pub const WS_PACK: usize = 60 * 1024;
/// Largest WebSocket message that a receiver takes, in bytes.
pub const WS_MAX_MESSAGE: usize = 1024 * 1024;

/// Credit in bytes that every exchange has in each direction from its first frame on.
pub const INITIAL_WINDOW: u32 = 64 * 1024;
/// Credit in bytes granted on top of [`INITIAL_WINDOW`] while memory allows.
pub const EXTRA_WINDOW: u32 = 192 * 1024;
/// Largest credit that one exchange grows to, in bytes.
pub const MAX_WINDOW: u32 = 16 * 1024 * 1024;
/// Credit in bytes beyond [`INITIAL_WINDOW`] that all exchanges of one session hold together.
pub const SESSION_BUDGET: u64 = 64 * 1024 * 1024;
/// Memory in bytes that all exchanges of one session hold together without that: their first credit, and what waits for the
/// link.
pub const SESSION_MEMORY: u64 = 256 * 1024 * 1024;
/// Memory in bytes that the bodies of one process hold together.
pub const PROCESS_MEMORY: u64 = 1024 * 1024 * 1024;

/// Body bytes that one exchange may have waiting for the link before its source is held back.
pub const SEND_QUEUE: usize = 128 * 1024;

/// HTTP/2 stream window on both sides, in bytes. Above every sum of credits that is usual, since credit is what limits.
pub const H2_STREAM_WINDOW: u32 = 16 * 1024 * 1024;
/// HTTP/2 connection window on both sides, in bytes.
pub const H2_CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// HTTP/2 frame size on both sides, in bytes: h2 issues one system call per DATA frame.
pub const H2_MAX_FRAME_SIZE: u32 = 128 * 1024;
/// HTTP/2 streams on one link: the tunnel, health and reflection.
pub const H2_MAX_STREAMS: u32 = 16;
/// HTTP/2 header list on the agents' port, in bytes.
pub const H2_MAX_HEADER_LIST: u32 = 16 * 1024;

/// Requests in progress at a time on one session.
pub const MAX_CONCURRENT: u32 = 1024;
/// Requests that wait for agents to come back, in all and for one of them.
pub const MAX_WAITING: usize = 4096;
/// See [`MAX_WAITING`].
pub const MAX_WAITING_PER_AGENT: usize = 512;
/// Sessions at a time with one token, unless the token has a limit of its own.
pub const MAX_SESSIONS_PER_TOKEN: u32 = 16_384;
/// Sessions at a time of one agent id.
pub const MAX_SESSIONS_PER_AGENT: u32 = 1024;
/// Links of one agent process at a time.
pub const MAX_CONNECTIONS: u32 = 16;
/// How long a peer may take to send its first frame, and the gateway to answer it.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which an agent sends a PING.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);
/// How long after a PING a silent link is given up by the agent.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(10);
/// From handing a request over to its final response head.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an exchange may go without a byte in either direction once its response head is there.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long exchanges may go on after a drain began.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(30);
/// Tolerated distance between the clocks of agent and gateway, either way.
pub const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// `TCP_USER_TIMEOUT` of the agent link at both ends (RFC 5482).
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Violations of the protocol that a session survives within [`STRIKE_PERIOD`].
pub const MAX_STRIKES: u32 = 16;
/// The period over which violations are counted.
pub const STRIKE_PERIOD: Duration = Duration::from_secs(60);

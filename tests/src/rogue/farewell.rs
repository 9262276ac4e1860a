//! How a gateway ends a link, in the words of each transport.

use ::agent::Transport;
use tonic::Code;

/// How a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// With this gRPC status.
    Grpc(Code),
    /// With this close code (RFC 6455, section 7.4).
    WebSocket(u16),
    /// Without a word.
    Broken,
}

/// A reason to end a link.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    grpc: Code,
    ws: u16,
}

impl Farewell {
    /// What it is over `transport`.
    pub fn over(self, transport: Transport) -> Goodbye {
        match transport {
            Transport::Grpc => Goodbye::Grpc(self.grpc),
            Transport::WebSocket => Goodbye::WebSocket(self.ws),
        }
    }
}

/// The agent broke the protocol.
pub const PROTOCOL: Farewell = Farewell { grpc: Code::InvalidArgument, ws: 1002 };
/// What came is not a frame.
pub const MALFORMED: Farewell = Farewell { grpc: Code::InvalidArgument, ws: 1007 };
/// A frame or a message was too large.
pub const TOO_LARGE: Farewell = Farewell { grpc: Code::ResourceExhausted, ws: 1009 };
/// The agent could not prove who it is.
pub const UNAUTHENTICATED: Farewell = Farewell { grpc: Code::Unauthenticated, ws: 4401 };
/// The agent may not be who it wants to be.
pub const NOT_ALLOWED: Farewell = Farewell { grpc: Code::PermissionDenied, ws: 4401 };
/// The agent speaks no version that the gateway does.
pub const VERSION: Farewell = Farewell { grpc: Code::FailedPrecondition, ws: 1002 };
/// The agent was silent for too long.
pub const SILENT: Farewell = Farewell { grpc: Code::DeadlineExceeded, ws: 4408 };
/// A newer link took its place.
pub const REPLACED: Farewell = Farewell { grpc: Code::Aborted, ws: 4409 };
/// The gateway shuts down.
pub const SHUTDOWN: Farewell = Farewell { grpc: Code::Unavailable, ws: 1012 };
/// The agent does not read.
pub const OVERLOADED: Farewell = Farewell { grpc: Code::ResourceExhausted, ws: 1013 };
/// There are as many of something as there may be.
pub const LIMIT: Farewell = Farewell { grpc: Code::ResourceExhausted, ws: 1013 };

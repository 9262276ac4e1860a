use bytes::BytesMut;
use http::StatusCode;
use proto::{Fields, Header};

use crate::{BodyLength, Version, chunk::CRLF, digits, is_reason};

mod body;

pub use body::{BodyWriter, WrongLength};

/// The interim response that asks for a body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a head says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Nothing. A request has no body then; a response has none or ends with the connection.
    None,
    /// `content-length`. A response to HEAD and a 304 may say it of a body that does not follow.
    Length(u64),
    /// `transfer-encoding: chunked`. HTTP/1.0 does not know it.
    Chunked,
}

impl From<BodyLength> for Framing {
    fn from(length: BodyLength) -> Self {
        match length {
            BodyLength::Empty | BodyLength::UntilClose => Self::None,
            BodyLength::Exactly(length) => Self::Length(length),
            BodyLength::Chunked => Self::Chunked,
        }
    }
}

/// What becomes of a connection behind this message (RFC 9112, section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection<'a> {
    /// It is used again. Only HTTP/1.0 needs to be told.
    KeepAlive,
    /// It is closed.
    Close,
    /// It speaks this protocol from here on, if the other side agrees or has agreed.
    Upgrade(&'a [u8]),
}

/// Appends the head of an HTTP/1.1 request.
///
/// The caller vouches for the method (a token) and the target ([`is_target`](crate::is_target)). Of `fields` those are
/// left out that `framing` and `connection` decide about: `content-length`, `transfer-encoding`, `connection`, `upgrade`.
pub fn write_request_head(
    out: &mut BytesMut,
    method: &[u8],
    target: &[u8],
    fields: &Fields,
    framing: Framing,
    connection: Connection<'_>,
) {
    out.reserve(method.len() + target.len() + room(fields));
    pieces(out, &[method, b" ", target, b" ", Version::H11.as_bytes(), CRLF]);
    write_fields(out, fields);
    write_framing(out, framing);
    write_connection(out, connection, Version::H11, fields.contains("te"));
    out.extend_from_slice(CRLF);
}

/// Appends the head of a response, interim or final, to a client that speaks `version`: it decides about the connection, and
/// the start line names what this side speaks (RFC 9110, section 2.5). Without a `reason`, or with one that cannot stand there, the usual
/// one of the status is written.
///
/// The caller vouches for `status` (100 to 999). Of `fields` those are left out that `framing` and `connection` decide
/// about, as in [`write_request_head`].
pub fn write_response_head(
    out: &mut BytesMut,
    version: Version,
    status: u16,
    reason: Option<&[u8]>,
    fields: &Fields,
    framing: Framing,
    connection: Connection<'_>,
) {
    debug_assert!(matches!(status, 100..=999));
    let reason = reason.filter(|reason| is_reason(reason)).unwrap_or_else(|| usual_reason(status));
    out.reserve(reason.len() + room(fields));
    pieces(out, &[Version::H11.as_bytes(), b" "]);
    digits::write_decimal(out, u64::from(status));
    pieces(out, &[b" ", reason, CRLF]);
    write_fields(out, fields);
    write_framing(out, framing);
    write_connection(out, connection, version, false);
    out.extend_from_slice(CRLF);
}

pub(crate) fn field(out: &mut BytesMut, name: &[u8], value: &[u8]) {
    pieces(out, &[name, b": ", value, CRLF]);
}

fn pieces(out: &mut BytesMut, pieces: &[&[u8]]) {
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Bytes of the fields, and enough for all that stands around them.
fn room(fields: &Fields) -> usize {
    const AROUND: usize = 128;
    fields.iter().map(|field| field.name.len() + field.value.len() + ": \r\n".len()).sum::<usize>() + AROUND
}

fn write_fields(out: &mut BytesMut, fields: &Fields) {
    for Header { name, value } in fields.iter().filter(|field| !is_decided_here(&field.name)) {
        field(out, name, value);
    }
}

fn is_decided_here(name: &[u8]) -> bool {
    matches!(name, b"content-length" | b"transfer-encoding" | b"connection" | b"upgrade")
}

fn write_framing(out: &mut BytesMut, framing: Framing) {
    match framing {
        Framing::None => {}
        Framing::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            digits::write_decimal(out, length);
            out.extend_from_slice(CRLF);
        }
        Framing::Chunked => field(out, b"transfer-encoding", b"chunked"),
    }
}

/// `te` is an option of the connection wherever it is a field (RFC 9110, section 10.1.4).
fn write_connection(out: &mut BytesMut, connection: Connection<'_>, version: Version, te: bool) {
    let option: &[u8] = match connection {
        Connection::KeepAlive if version == Version::H10 => b"keep-alive",
        Connection::KeepAlive => b"",
        Connection::Close => b"close",
        Connection::Upgrade(_) => b"upgrade",
    };
    match (option, te) {
        (b"", false) => {}
        (b"", true) => field(out, b"connection", b"te"),
        (option, false) => field(out, b"connection", option),
        (option, true) => pieces(out, &[b"connection: ", option, b", te", CRLF]),
    }
    if let Connection::Upgrade(protocol) = connection {
        field(out, b"upgrade", protocol);
    }
}

fn usual_reason(status: u16) -> &'static [u8] {
    let status = StatusCode::from_u16(status).ok();
    status.and_then(|status| status.canonical_reason()).unwrap_or_default().as_bytes()
}

#[cfg(test)]
mod tests;

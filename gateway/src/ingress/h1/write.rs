//! Answers to bytes.

use bytes::Bytes;
use http::StatusCode;
use http1::{Connection, Framing, Output, Version, chunk, write_response_head};
use proto::Fields;
use session::ResponseHead;

use super::{
    super::answer::{AnswerHead, Own},
    date,
};

/// Writes an answer of the gateway's own.
pub(super) fn own(output: &mut Output, answer: Own, version: Version, keep_alive: bool) {
    // A gRPC reply has nothing but its head; on HTTP/1.1 that must be said.
    let framing = Framing::Length(answer.head.content_length.unwrap_or_default());
    head(output, answer.head, version, framing, after(keep_alive));
    output.push(answer.body);
}

/// Writes the head of an answer.
pub(super) fn head(
    output: &mut Output,
    head: AnswerHead,
    version: Version,
    framing: Framing,
    after: Connection<'_>,
) {
    let AnswerHead { status, reason, mut fields, .. } = head;
    if !fields.contains("date") {
        fields.push("date", date::now());
    }
    let (status, reason) = (status.as_u16(), reason.as_deref());
    output.write(|out| write_response_head(out, version, status, reason, &fields, framing, after));
}

/// Writes an interim response (RFC 9110, section 15.2).
pub(super) fn interim(output: &mut Output, head: &ResponseHead) {
    let (status, fields) = (head.status, &head.message.fields);
    if status == StatusCode::CONTINUE {
        return output.write(|out| out.extend_from_slice(http1::CONTINUE));
    }
    let reason = head.reason.as_deref();
    output.write(|out| {
        write_response_head(
            out,
            Version::H11,
            status.as_u16(),
            reason,
            fields,
            Framing::None,
            Connection::KeepAlive,
        );
    });
}

/// Writes a piece of a body.
pub(super) fn data(output: &mut Output, data: Bytes, chunked: bool) {
    if !chunked {
        return output.push(data);
    }
    output.write(|out| chunk::write_size(out, data.len() as u64));
    output.push(data);
    output.write(|out| out.extend_from_slice(chunk::CRLF));
}

/// Writes the end of a chunked body.
pub(super) fn last(output: &mut Output, trailers: Option<&Fields>) {
    output.write(|out| chunk::write_last(out, trailers));
}

/// What becomes of the connection.
pub(super) fn after(keep_alive: bool) -> Connection<'static> {
    if keep_alive { Connection::KeepAlive } else { Connection::Close }
}

//! HTTP/1.1 messages from bytes and to bytes (RFC 9112), as strictly as a proxy must read them and without loss: order,
//! repetition and raw octets of fields, reason phrases, interim responses and trailers come out as they went in.
//!
//! - [`RequestParser`] and [`ResponseParser`]: heads out of a growing buffer, each byte looked at once, fields as slices
//!   of the buffer's own memory.
//! - [`BodyReader`]: the body behind a head, as it arrives, by its [`BodyLength`].
//! - [`write_request_head`], [`write_response_head`]: heads to bytes, where [`Framing`] and [`Connection`] alone decide
//!   about the fields of this hop.
//! - [`BodyWriter`] and [`chunk`]: what stands before, between and behind the pieces of a body.
//! - [`Output`]: what waits for a connection to take it.
//! - [`Limits`]: how much of anything a peer may send. [`HeadError`] and [`BodyError`]: what a peer did wrong.
//!
//! Invariant: a message whose end two readers could see in different places is refused. Nothing here does I/O, reads a
//! clock or keeps more than the caller's buffer; a field value is never part of an error.

mod body;
pub mod chunk;
mod declared;
mod digits;
mod error;
mod fields;
mod length;
mod limits;
mod lines;
mod output;
mod preface;
mod request;
mod response;
mod scanner;
mod version;
mod write;

pub use body::{BodyError, BodyReader, Read};
pub use declared::Expectation;
pub use error::HeadError;
pub use length::BodyLength;
pub use limits::Limits;
pub use output::Output;
pub use preface::{Preface, is_h2_preface};
pub use request::{RequestHead, RequestParser, is_target};
pub use response::{Asked, ResponseHead, ResponseParser, is_reason};
pub use version::Version;
pub use write::{
    BodyWriter, CONTINUE, Connection, Framing, WrongLength, write_request_head, write_response_head,
};

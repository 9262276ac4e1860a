//! HTTP fields to and from the wire: order, repetition and raw octets are kept, hop-by-hop fields are not carried
//! (RFC 9110, section 7.6.1), and `content-length` travels as a number beside the fields.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE},
};

use crate::{Header, limits};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// The fields of a head and the body length that they declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// All end-to-end fields but `content-length`.
    pub headers: HeaderMap,
    /// The declared length of the body in bytes.
    pub content_length: Option<u64>,
}

/// Why fields are refused. Field values are never repeated: they may be secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHeaders {
    /// A name is not an HTTP token (RFC 9110, section 5.6.2).
    #[error("header {index} has a name that is not an HTTP token")]
    Name {
        /// Position of the field, from 0.
        index: usize,
    },
    /// A value holds a control character.
    #[error("the value of header `{name}` holds a character that HTTP forbids")]
    Value {
        /// Name of the field.
        name: HeaderName,
    },
    /// More than [`limits::MAX_HEADERS`] fields, or more than [`limits::MAX_HEAD_BYTES`] bytes of them.
    #[error("the head is larger than {} fields or {} bytes", limits::MAX_HEADERS, limits::MAX_HEAD_BYTES)]
    TooLarge,
    /// `content-length` is not a number, or two of them differ (RFC 9112, section 6.3).
    #[error("content-length is not one number")]
    ContentLength,
}

/// Prepares the end-to-end fields of a head for the wire, and reads the declared length.
///
/// # Errors
/// [`InvalidHeaders::ContentLength`] or [`InvalidHeaders::TooLarge`].
pub fn to_wire(headers: &HeaderMap) -> Result<(Vec<Header>, Option<u64>), InvalidHeaders> {
    let mut size = Size::default();
    let mut content_length = None;
    let mut fields = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        size.add(name.as_str().len() + value.len())?;
        if name == CONTENT_LENGTH {
            content_length = Some(agreed_length(content_length, value.as_bytes())?);
        } else if travels(name, value, headers) {
            fields.push(Header {
                name: name.as_str().to_owned(),
                value: Bytes::copy_from_slice(value.as_bytes()),
            });
        }
    }
    Ok((fields, content_length))
}

/// Prepares trailer fields for the wire. Framing and routing fields, which a trailer must not carry (RFC 9110,
/// section 6.5.1), are left out.
///
/// # Errors
/// [`InvalidHeaders::TooLarge`].
pub fn trailers_to_wire(trailers: &HeaderMap) -> Result<Vec<Header>, InvalidHeaders> {
    let mut size = Size::default();
    let mut fields = Vec::with_capacity(trailers.len());
    for (name, value) in trailers {
        size.add(name.as_str().len() + value.len())?;
        if allowed_in_trailers(name) && travels(name, value, trailers) {
            fields.push(Header {
                name: name.as_str().to_owned(),
                value: Bytes::copy_from_slice(value.as_bytes()),
            });
        }
    }
    Ok(fields)
}

/// Reads the fields of a head off the wire, believing nothing: names and values are checked, hop-by-hop fields dropped.
/// `declared` is the message's own `content_length`; a field of that name must agree with it.
///
/// # Errors
/// [`InvalidHeaders`] for the first rule that is broken.
pub fn from_wire(fields: Vec<Header>, declared: Option<u64>) -> Result<Fields, InvalidHeaders> {
    let mut content_length = declared;
    let mut headers = parse(fields)?;
    if let Some(values) = take_all(&mut headers, &CONTENT_LENGTH) {
        for value in values {
            content_length = Some(agreed_length(content_length, value.as_bytes())?);
        }
    }
    strip_hop_by_hop(&mut headers);
    Ok(Fields { headers, content_length })
}

/// Reads trailer fields off the wire; what a trailer must not carry is dropped.
///
/// # Errors
/// [`InvalidHeaders`] for the first rule that is broken.
pub fn trailers_from_wire(fields: Vec<Header>) -> Result<HeaderMap, InvalidHeaders> {
    let mut headers = parse(fields)?;
    strip_hop_by_hop(&mut headers);
    let forbidden: Vec<HeaderName> =
        headers.keys().filter(|name| !allowed_in_trailers(name)).cloned().collect();
    for name in forbidden {
        headers.remove(name);
    }
    Ok(headers)
}

fn parse(fields: Vec<Header>) -> Result<HeaderMap, InvalidHeaders> {
    let mut size = Size::default();
    let mut headers = HeaderMap::with_capacity(fields.len().min(limits::MAX_HEADERS));
    for (index, field) in fields.into_iter().enumerate() {
        size.add(field.name.len() + field.value.len())?;
        let name =
            HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| InvalidHeaders::Name { index })?;
        // Keeps the frame's memory instead of copying the value.
        match HeaderValue::from_maybe_shared(field.value) {
            Ok(value) => headers.append(name, value),
            Err(_) => return Err(InvalidHeaders::Value { name }),
        };
    }
    Ok(headers)
}

#[derive(Default)]
struct Size {
    fields: usize,
    bytes: usize,
}

impl Size {
    fn add(&mut self, bytes: usize) -> Result<(), InvalidHeaders> {
        self.fields += 1;
        self.bytes += bytes;
        let within = self.fields <= limits::MAX_HEADERS && self.bytes <= limits::MAX_HEAD_BYTES;
        within.then_some(()).ok_or(InvalidHeaders::TooLarge)
    }
}

fn agreed_length(known: Option<u64>, value: &[u8]) -> Result<u64, InvalidHeaders> {
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits).ok_or(InvalidHeaders::ContentLength)?;
    let length = text.parse().map_err(|_| InvalidHeaders::ContentLength)?;
    match known {
        Some(other) if other != length => Err(InvalidHeaders::ContentLength),
        _ => Ok(length),
    }
}

/// Whether a field may leave this hop.
fn travels(name: &HeaderName, value: &HeaderValue, headers: &HeaderMap) -> bool {
    if *name == TE {
        return is_te_trailers(value);
    }
    !is_hop_by_hop(name) && !named_by_connection(name, headers)
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    // Most names end here after one comparison of lengths and one of ids.
    *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
}

fn is_te_trailers(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"trailers")
}

fn named_by_connection(name: &HeaderName, headers: &HeaderMap) -> bool {
    if !headers.contains_key(CONNECTION) {
        return false;
    }
    let options =
        headers.get_all(CONNECTION).into_iter().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(name.as_str().as_bytes()))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let leaving: Vec<HeaderName> = headers
        .iter()
        .filter(|(name, value)| !travels(name, value, headers))
        .map(|(name, _)| name.clone())
        .collect();
    for name in leaving {
        headers.remove(name);
    }
}

fn take_all(headers: &mut HeaderMap, name: &HeaderName) -> Option<Vec<HeaderValue>> {
    let values: Vec<HeaderValue> = headers.get_all(name).into_iter().cloned().collect();
    headers.remove(name).map(|_| values)
}

fn allowed_in_trailers(name: &HeaderName) -> bool {
    use http::header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, COOKIE, HOST, MAX_FORWARDS, SET_COOKIE,
        TRAILER,
    };
    let forbidden = [
        CONTENT_LENGTH,
        HOST,
        TRAILER,
        AUTHORIZATION,
        COOKIE,
        SET_COOKIE,
        CONTENT_ENCODING,
        CONTENT_RANGE,
        CONTENT_TYPE,
        MAX_FORWARDS,
    ];
    !forbidden.contains(name)
}

#[cfg(test)]
mod tests;

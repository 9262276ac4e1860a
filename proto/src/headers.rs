//! Which fields of a message travel on a link: end-to-end ones, in order, repeated and raw as they came. Hop-by-hop fields
//! stay behind (RFC 9110, section 7.6.1), and `content-length` travels as a number beside the fields.

use bytes::Bytes;

use crate::{Header, fields::Fields, fields::is_field_value, fields::is_token, limits};

/// The end-to-end fields of a head and the body length that they declare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndToEnd {
    /// All end-to-end fields but `content-length`.
    pub fields: Fields,
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
        name: String,
    },
    /// More than [`limits::MAX_HEADERS`] fields, or more than [`limits::MAX_HEAD_BYTES`] bytes of them.
    #[error("the head is larger than {} fields or {} bytes", limits::MAX_HEADERS, limits::MAX_HEAD_BYTES)]
    TooLarge,
    /// `content-length` is not a number, or two of them differ (RFC 9112, section 6.3).
    #[error("content-length is not one number")]
    ContentLength,
}

impl EndToEnd {
    /// Takes what travels from the fields of a head, as they were received.
    ///
    /// # Errors
    /// [`InvalidHeaders::ContentLength`] or [`InvalidHeaders::TooLarge`].
    pub fn of(fields: Fields) -> Result<Self, InvalidHeaders> {
        bounded(&fields)?;
        Self::split(fields, None)
    }

    /// Reads the fields of a head off the wire, believing nothing: names and values are checked, hop-by-hop fields
    /// dropped. `declared` is the message's own `content_length`; a field of that name must agree with it.
    ///
    /// # Errors
    /// [`InvalidHeaders`] for the first rule that is broken.
    pub fn from_wire(fields: Vec<Header>, declared: Option<u64>) -> Result<Self, InvalidHeaders> {
        Self::split(checked(fields)?, declared)
    }

    fn split(mut fields: Fields, declared: Option<u64>) -> Result<Self, InvalidHeaders> {
        let mut content_length = declared;
        for value in fields.all("content-length") {
            content_length = Some(agreed_length(content_length, value)?);
        }
        if content_length.is_some() {
            fields.remove("content-length");
        }
        strip_hop_by_hop(&mut fields);
        Ok(Self { fields, content_length })
    }
}

/// Prepares trailer fields for the wire. Framing and routing fields, which a trailer must not carry (RFC 9110,
/// section 6.5.1), are left out.
///
/// # Errors
/// [`InvalidHeaders::TooLarge`].
pub fn trailers_to_wire(mut trailers: Fields) -> Result<Vec<Header>, InvalidHeaders> {
    bounded(&trailers)?;
    strip_from_trailers(&mut trailers);
    Ok(trailers.into_wire())
}

/// Reads trailer fields off the wire; what a trailer must not carry is dropped.
///
/// # Errors
/// [`InvalidHeaders`] for the first rule that is broken.
pub fn trailers_from_wire(fields: Vec<Header>) -> Result<Fields, InvalidHeaders> {
    let mut trailers = checked(fields)?;
    strip_from_trailers(&mut trailers);
    Ok(trailers)
}

/// Believes a name or a value only once it was looked at. A name in upper case is put into lower case.
fn checked(mut fields: Vec<Header>) -> Result<Fields, InvalidHeaders> {
    for (index, field) in fields.iter_mut().enumerate() {
        if !is_token(&field.name) {
            return Err(InvalidHeaders::Name { index });
        }
        if field.name.iter().any(u8::is_ascii_uppercase) {
            field.name = Bytes::from(field.name.to_ascii_lowercase());
        }
        if !is_field_value(&field.value) {
            return Err(InvalidHeaders::Value { name: String::from_utf8_lossy(&field.name).into_owned() });
        }
    }
    let fields: Fields = fields.into_iter().collect();
    bounded(&fields)?;
    Ok(fields)
}

fn bounded(fields: &Fields) -> Result<(), InvalidHeaders> {
    let bytes: usize = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
    let within = fields.len() <= limits::MAX_HEADERS && bytes <= limits::MAX_HEAD_BYTES;
    within.then_some(()).ok_or(InvalidHeaders::TooLarge)
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

fn strip_hop_by_hop(fields: &mut Fields) {
    let named: Vec<Bytes> =
        fields.list("connection").map(|option| option.to_ascii_lowercase().into()).collect();
    let trailers = fields.list("te").any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    fields
        .retain(|field| !is_hop_by_hop(&field.name) && !named.contains(&field.name) || is_te_trailers(field));
    if trailers && !fields.contains("te") {
        fields.push("te", "trailers"); // the other codings of the list are this hop's business
    }
}

fn is_te_trailers(field: &Header) -> bool {
    field.name == "te" && field.value.eq_ignore_ascii_case(b"trailers")
}

/// Every `te` is, but for the one of [`strip_hop_by_hop`].
fn is_hop_by_hop(name: &[u8]) -> bool {
    matches!(
        name,
        b"te" | b"upgrade" | b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
    )
}

fn strip_from_trailers(trailers: &mut Fields) {
    trailers.retain(|field| !is_hop_by_hop(&field.name) && !FORBIDDEN_IN_TRAILERS.contains(&&*field.name));
}

const FORBIDDEN_IN_TRAILERS: [&[u8]; 12] = [
    b"content-length",
    b"host",
    b"trailer",
    b"authorization",
    b"cookie",
    b"set-cookie",
    b"content-encoding",
    b"content-range",
    b"content-type",
    b"max-forwards",
    b"indranet-error",
    b"x-request-id",
];

#[cfg(test)]
mod tests;

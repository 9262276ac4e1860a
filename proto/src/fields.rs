//! HTTP fields as a list: order and repetition say something, and a table would lose them.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Header;

/// The fields of a head or a trailer section, in the order in which they came. Names are HTTP tokens in lower case, values
/// are raw octets without control characters (RFC 9110, section 5).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<Header>);

impl Fields {
    /// No fields.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No fields, with room for `capacity` of them.
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends a field. The caller vouches for it: [`is_token`] and lower case, [`is_field_value`].
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        let header = Header { name: name.into(), value: value.into() };
        debug_assert!(is_token(&header.name) && !header.name.iter().any(u8::is_ascii_uppercase));
        debug_assert!(is_field_value(&header.value));
        self.0.push(header);
    }

    /// Appends a field in place of all others of its name. The caller vouches for it as for [`Fields::push`].
    pub fn set(&mut self, name: &'static str, value: impl Into<Bytes>) {
        self.remove(name);
        self.push(name, value);
    }

    /// The fields in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Header> {
        self.0.iter()
    }

    /// The first value of `name`, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.all(name).next()
    }

    /// The values of `name`, which is in lower case, in order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(move |field| field.name == name.as_bytes()).map(|field| &field.value)
    }

    /// Whether there is a field of that name, which is in lower case.
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Removes every field of that name, which is in lower case.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|field| field.name != name.as_bytes());
    }

    /// Keeps the fields that `keep` wants.
    pub fn retain(&mut self, keep: impl FnMut(&Header) -> bool) {
        self.0.retain(keep);
    }

    /// How many fields there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields for the wire.
    pub fn into_wire(self) -> Vec<Header> {
        self.0
    }

    /// The members of a comma-separated list that may stand in several fields (RFC 9110, section 5.6.1), trimmed.
    pub fn list(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let members = self.all(name).flat_map(|value| value.split(|byte| *byte == b','));
        members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
    }

    /// As the table that the `http` crate works with.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.0.len());
        for Header { name, value } in &self.0 {
            // Both were checked when the list was made.
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_maybe_shared(value.clone()))
            {
                map.append(name, value);
            }
        }
        map
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        map.iter()
            .map(|(name, value)| Header {
                name: Bytes::copy_from_slice(name.as_str().as_bytes()),
                value: Bytes::copy_from_slice(value.as_bytes()),
            })
            .collect()
    }
}

impl FromIterator<Header> for Fields {
    /// The caller vouches for each field as for [`Fields::push`].
    fn from_iter<I: IntoIterator<Item = Header>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Fields {
    type Item = &'a Header;
    type IntoIter = std::slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Names only: values may be secret.
impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

/// The name only: the value may be secret.
impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Header").field(&self.name).finish()
    }
}

/// Whether `text` is an HTTP token (RFC 9110, section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Whether `value` may stand as a field value (RFC 9110, section 5.5): no control character but the tab.
pub fn is_field_value(value: &[u8]) -> bool {
    value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let others = b"!#$%&'*+-.^_`|~";
    let mut i = 0;
    while i < 256 {
        table[i] = (i as u8).is_ascii_alphanumeric();
        i += 1;
    }
    let mut i = 0;
    while i < others.len() {
        table[others[i] as usize] = true;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repeats_are_kept() {
        let mut fields = Fields::new();
        for (name, value) in [("a", "1"), ("b", "2"), ("a", "3")] {
            fields.push(name, value);
        }
        let names: Vec<&[u8]> = fields.iter().map(|field| field.name.as_ref()).collect();
        assert_eq!(names, [b"a", b"b", b"a"]);
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "3"]);
        fields.set("a", "4");
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["4"]);
    }

    #[test]
    fn lists_span_fields() {
        let mut fields = Fields::new();
        fields.push("te", "trailers, , gzip");
        fields.push("te", " x ");
        assert_eq!(fields.list("te").collect::<Vec<_>>(), [&b"trailers"[..], b"gzip", b"x"]);
    }

    #[test]
    fn values_are_not_shown() {
        let mut fields = Fields::new();
        fields.push("authorization", "Bearer hush");
        let shown = format!("{fields:?}");
        assert!(shown.contains("authorization") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn tokens_and_values() {
        assert!(is_token(b"x-a_b.c~") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a\0"));
        assert!(is_field_value(b"a\tb \xff") && is_field_value(b""));
        assert!(!is_field_value(b"a\rb") && !is_field_value(b"\x7f") && !is_field_value(b"\0"));
    }
}

//! Whom a request comes from (RFC 7239, and the older names that everybody reads). What the client itself claimed is gone
//! by now: the gateway lets it pass only from proxies that it trusts.

use std::net::IpAddr;

use bytes::{BufMut as _, Bytes, BytesMut};
use proto::Fields;

/// Adds the client to what proxies before the gateway said.
///
/// The caller vouches for `scheme` and `authority`: they stand in field values, the authority between quotes.
pub(super) fn add(fields: &mut Fields, client: IpAddr, scheme: &str, authority: &Bytes) {
    let ip = Bytes::from(client.to_string());
    let mut element = BytesMut::with_capacity(48 + ip.len() + scheme.len() + authority.len());
    let (before, behind): (&[u8], &[u8]) =
        if client.is_ipv6() { (b"for=\"[", b"]\"") } else { (b"for=", b"") };
    for part in [before, &ip, behind, b";host=\"", authority, b"\";proto=", scheme.as_bytes()] {
        element.put_slice(part);
    }
    append(fields, "x-forwarded-for", ip);
    append(fields, "forwarded", element.freeze());
    if !fields.contains("x-forwarded-proto") {
        fields.push("x-forwarded-proto", Bytes::copy_from_slice(scheme.as_bytes()));
    }
    if !fields.contains("x-forwarded-host") {
        fields.push("x-forwarded-host", authority.clone());
    }
}

/// Adds one element to a comma-separated list.
fn append(fields: &mut Fields, name: &'static str, element: Bytes) {
    if !fields.contains(name) {
        return fields.push(name, element);
    }
    let mut list = BytesMut::new();
    for value in fields.all(name).chain([&element]) {
        if !list.is_empty() {
            list.put_slice(b", ");
        }
        list.put_slice(value);
    }
    fields.set(name, list.freeze());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&'static str, &'static str)]) -> Fields {
        let mut list = Fields::new();
        fields.iter().for_each(|(name, value)| list.push(*name, *value));
        list
    }

    #[test]
    fn the_client_is_named() {
        let mut list = Fields::new();
        add(&mut list, [192, 0, 2, 7].into(), "http", &Bytes::from_static(b"myapp.example.com"));
        let expected = fields(&[
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7;host=\"myapp.example.com\";proto=http"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "myapp.example.com"),
        ]);
        assert_eq!(list, expected);
    }

    #[test]
    fn a_client_behind_trusted_proxies_is_added_to_their_list() {
        let mut list = fields(&[
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "198.51.100.3"),
        ]);
        let client = "2001:db8::1".parse().unwrap();
        add(&mut list, client, "http", &Bytes::from_static(b"myapp.example.com"));
        let expected = fields(&[
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "203.0.113.9, 198.51.100.3, 2001:db8::1"),
            ("forwarded", "for=\"[2001:db8::1]\";host=\"myapp.example.com\";proto=http"),
            ("x-forwarded-host", "myapp.example.com"),
        ]);
        assert_eq!(list, expected);
    }
}

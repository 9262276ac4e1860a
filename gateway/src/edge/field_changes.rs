use std::{borrow::Borrow, collections::BTreeMap, fmt};

use bytes::Bytes;
use proto::{
    Fields,
    fields::{is_field_value, is_token},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{forwarding, hops};

/// What is changed about the fields of a head: first fields are removed, then set, then added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct FieldChanges {
    remove: Vec<FieldName>,
    set: BTreeMap<FieldName, FieldValue>,
    add: BTreeMap<FieldName, FieldValue>,
}

/// The name of a field that may be changed: none that frames a message, belongs to one hop, or is the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldName(Bytes);

/// The value of a field. Not shown: it may be a secret between the gateway and a service.
#[derive(Clone, PartialEq, Eq)]
pub struct FieldValue(Bytes);

impl FieldChanges {
    /// Whether there is nothing to change.
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }

    /// Changes the fields of a head.
    pub(crate) fn apply(&self, fields: &mut Fields) {
        if !self.remove.is_empty() || !self.set.is_empty() {
            let replaced =
                |name: &[u8]| self.set.contains_key(name) || self.remove.iter().any(|other| other.0 == *name);
            fields.retain(|field| !replaced(&field.name));
        }
        for (FieldName(name), FieldValue(value)) in self.set.iter().chain(&self.add) {
            fields.push(name.clone(), value.clone());
        }
    }
}

/// Fields that nobody may change, besides the claims of [`forwarding`].
const UNCHANGEABLE: [&str; 15] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "indranet-error",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "x-request-id",
    hops::FIELD,
];

impl Borrow<[u8]> for FieldName {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?.to_ascii_lowercase();
        if !is_token(name.as_bytes()) {
            return Err(de::Error::custom(format_args!(
                "`{}` is not the name of a header field",
                name.escape_debug()
            )));
        }
        if UNCHANGEABLE.contains(&name.as_str()) || forwarding::is_claim(name.as_bytes()) {
            return Err(de::Error::custom(format_args!(
                "`{name}` cannot be changed: the gateway makes it itself"
            )));
        }
        Ok(Self(name.into()))
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = String::deserialize(deserializer)?;
        if !is_field_value(value.as_bytes()) {
            return Err(de::Error::custom("a header field cannot hold control characters"));
        }
        Ok(Self(Bytes::copy_from_slice(value.trim().as_bytes())))
    }
}

impl Serialize for FieldName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&String::from_utf8_lossy(&self.0))
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<hidden>")
    }
}

impl fmt::Debug for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FieldValue(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FieldChanges, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    fn changed(changes: &str, before: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let mut fields = Fields::new();
        before.iter().for_each(|(name, value)| fields.push(*name, *value));
        parse(changes).unwrap().apply(&mut fields);
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        fields.iter().map(|field| (text(&field.name), text(&field.value))).collect()
    }

    #[test]
    fn fields_are_removed_then_set_then_added() {
        let before = [("a", "1"), ("b", "2"), ("c", "3"), ("b", "4"), ("d", "5")];
        let changes = "remove = ['A']\nset = { B = 'new' }\nadd = { c = ' more ', e = '' }";
        let expected = [("c", "3"), ("d", "5"), ("b", "new"), ("c", "more"), ("e", "")];
        assert_eq!(
            changed(changes, &before),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(parse("").unwrap().is_empty() && !parse("remove = ['a']").unwrap().is_empty());
    }

    #[test]
    fn what_frames_a_message_or_is_the_gateways_cannot_be_changed() {
        for name in [
            "Content-Length",
            "connection",
            "host",
            "indranet-error",
            "indranet-hops",
            "X-Forwarded-For",
            "forwarded",
            "x-request-id",
        ] {
            for changes in [
                format!("remove = ['{name}']"),
                format!("set = {{ '{name}' = 'x' }}"),
                format!("add = {{ '{name}' = 'x' }}"),
            ] {
                let error = parse(&changes).unwrap_err();
                assert!(error.contains("cannot be changed"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_no_field_is_refused() {
        for changes in [
            "set = { 'a b' = 'x' }",
            "set = { '' = 'x' }",
            "remove = ['a:']",
            "set = { a = \"x\\r\\nb: y\" }",
            "sets = {}",
        ] {
            assert!(parse(changes).is_err(), "{changes}");
        }
    }

    #[test]
    fn values_are_not_shown() {
        let changes = parse("set = { authorization = 'Bearer hush' }").unwrap();
        for shown in [format!("{changes:?}"), toml::to_string(&changes).unwrap()] {
            assert!(shown.contains("hidden") && !shown.contains("hush"), "{shown}");
        }
    }
}

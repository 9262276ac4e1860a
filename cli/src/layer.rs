use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor, value::SeqAccessDeserializer},
};

/// Settings of which any may be missing, to be looked up in the layer below.
///
/// [`layer!`](crate::layer!) implements it for a struct.
pub trait Layer: Sized {
    /// Takes from `below` what is missing here.
    #[must_use]
    fn over(self, below: Self) -> Self;
}

impl<T> Layer for Option<T> {
    fn over(self, below: Self) -> Self {
        self.or(below)
    }
}

/// Lists are not joined: a list that names anything replaces the one below.
impl<T> Layer for Vec<T> {
    fn over(self, below: Self) -> Self {
        if self.is_empty() { below } else { self }
    }
}

/// Implements [`Layer`] for a struct field by field. A field left out is a compile error.
#[macro_export]
macro_rules! layer {
    ($settings:ident { $($field:ident),* $(,)? }) => {
        impl $crate::Layer for $settings {
            fn over(self, below: Self) -> Self {
                Self { $($field: $crate::Layer::over(self.$field, below.$field)),* }
            }
        }
    };
}

/// Reads a list of texts that may be written as a single text: `domain = "a"` as well as `domain = ["a", "b"]`.
///
/// For `#[serde(deserialize_with)]`, to match a flag that is usually given once but may be repeated.
///
/// # Errors
/// Those of `deserializer`, if the value is neither.
pub fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string or an array of strings")
        }

        fn visit_str<E>(self, one: &str) -> Result<Self::Value, E> {
            Ok(vec![one.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Self::Value, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(many))
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Settings {
        port: Option<u16>,
        #[serde(deserialize_with = "one_or_many")]
        name: Vec<String>,
    }

    layer!(Settings { port, name });

    fn settings(port: Option<u16>, names: &[&str]) -> Settings {
        Settings { port, name: names.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn what_is_set_hides_the_layer_below() {
        let merged = settings(Some(1), &["a"]).over(settings(Some(2), &["b", "c"]));
        assert_eq!(merged, settings(Some(1), &["a"]));
    }

    #[test]
    fn what_is_missing_comes_from_below() {
        let merged = Settings::default().over(settings(Some(2), &["b", "c"]));
        assert_eq!(merged, settings(Some(2), &["b", "c"]));
    }

    #[test]
    fn one_text_is_a_list_of_one() {
        let parse = toml::from_str::<Settings>;
        assert_eq!(parse("name = 'a'").unwrap(), settings(None, &["a"]));
        assert_eq!(parse("name = ['a', 'b']").unwrap(), settings(None, &["a", "b"]));
        let error = parse("name = 1").unwrap_err();
        assert!(error.message().contains("a string or an array of strings"), "{error}");
    }
}

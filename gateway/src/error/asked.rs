use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{ACCEPT, CONTENT_TYPE},
};
use proto::Fields;

/// What of a request shapes an answer that the gateway gives by itself.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    method: Bytes,
    accept: Option<Bytes>,
    content_type: Option<Bytes>,
}

impl Asked {
    pub(crate) fn of(method: &Bytes, fields: &Fields) -> Self {
        let given = |name| fields.get(name).cloned();
        Self { method: method.clone(), accept: given("accept"), content_type: given("content-type") }
    }

    pub(crate) fn of_map(method: &Method, headers: &HeaderMap) -> Self {
        let given =
            |name| headers.get(name).map(|value: &HeaderValue| Bytes::copy_from_slice(value.as_bytes()));
        let method = Bytes::copy_from_slice(method.as_str().as_bytes());
        Self { method, accept: given(ACCEPT), content_type: given(CONTENT_TYPE) }
    }

    /// The method as text, for a log.
    pub(crate) fn method(&self) -> &str {
        std::str::from_utf8(&self.method).unwrap_or_default()
    }

    /// Whether the body is left out.
    pub(crate) fn is_head(&self) -> bool {
        self.method == b"HEAD"[..]
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let value = |value: &Option<Bytes>| HeaderValue::from_maybe_shared(value.clone()?).ok();
        let fields: [(HeaderName, _); 2] =
            [(ACCEPT, value(&self.accept)), (CONTENT_TYPE, value(&self.content_type))];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

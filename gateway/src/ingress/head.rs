use bytes::Bytes;
use http::Uri;
use proto::{Fields, HttpVersion, TargetForm};

use crate::error::IngressError;

/// The head of a request, whichever version of HTTP it came in.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// The method as received.
    pub(crate) method: Bytes,
    /// What the request line or the pseudo-fields ask for.
    pub(crate) target: Target,
    /// The version that the client speaks.
    pub(crate) version: HttpVersion,
    /// All fields as received, hop-by-hop ones too.
    pub(crate) fields: Fields,
    /// The protocol to switch to, if the client asks for that.
    pub(crate) upgrade: Option<Bytes>,
    /// Whether the client waits for 100 before it sends its body.
    pub(crate) expect_continue: bool,
}

/// A request target in its parts (RFC 9112, section 3.2; RFC 9113, section 8.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The form that it had.
    pub(crate) form: TargetForm,
    /// Host and port, if it names them.
    pub(crate) authority: Option<Bytes>,
    /// Path and query exactly as received.
    pub(crate) path: Bytes,
}

impl Target {
    /// Takes the target of an HTTP/1 request line apart.
    ///
    /// # Errors
    /// [`IngressError::BadTarget`], [`IngressError::BadHost`] for a scheme that is not HTTP's.
    pub(crate) fn parse(method: &[u8], target: Bytes) -> Result<Self, IngressError> {
        if method == b"CONNECT" {
            return Err(IngressError::MethodNotAllowed);
        }
        let text = std::str::from_utf8(&target).map_err(|_| IngressError::BadTarget)?;
        if text.contains('#') {
            return Err(IngressError::BadTarget);
        }
        match text.as_bytes() {
            [b'/', ..] => Ok(Self { form: TargetForm::Origin, authority: None, path: target }),
            b"*" if method == b"OPTIONS" => {
                Ok(Self { form: TargetForm::Asterisk, authority: None, path: target })
            }
            _ => Self::absolute(text),
        }
    }

    /// Takes the target of a request that names its scheme and authority.
    ///
    /// # Errors
    /// See [`Target::parse`].
    pub(crate) fn of(uri: &Uri) -> Result<Self, IngressError> {
        let authority =
            uri.authority().map(|authority| Bytes::copy_from_slice(authority.as_str().as_bytes()));
        if uri.path() == "*" {
            return Ok(Self { form: TargetForm::Asterisk, authority, path: Bytes::from_static(b"*") });
        }
        if authority.is_some() && !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(IngressError::BadHost);
        }
        let path = match uri.path_and_query().map(http::uri::PathAndQuery::as_str) {
            None | Some("") => Bytes::from_static(b"/"),
            Some(text) if text.starts_with('?') => format!("/{text}").into(),
            Some(text) => Bytes::copy_from_slice(text.as_bytes()),
        };
        let form = if authority.is_some() { TargetForm::Absolute } else { TargetForm::Origin };
        Ok(Self { form, authority, path })
    }

    fn absolute(text: &str) -> Result<Self, IngressError> {
        let uri: Uri = text.parse().map_err(|_| IngressError::BadTarget)?;
        match Self::of(&uri)? {
            Self { authority: None, .. } => Err(IngressError::BadTarget),
            target => Ok(target),
        }
    }
}

/// Whether a connection may become what the client asks for. Never HTTP/2: nobody would look at its requests any more.
pub(super) fn may_switch(protocols: &[u8]) -> bool {
    let mut protocols = protocols.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    !protocols.any(|protocol| {
        protocol.is_empty()
            || protocol.eq_ignore_ascii_case(b"h2c")
            || protocol.to_ascii_lowercase().starts_with(b"http/")
    })
}

use std::{fmt, sync::Arc};

use proto::{AgentId, auth};

/// What a transport knows of the connection below a link, as one end of TLS or as none. Cheap to clone.
#[derive(Clone, Default)]
pub struct Channel(Option<Arc<Tls>>);

struct Tls {
    binding: Option<[u8; auth::BINDING_LEN]>,
    certificate: Option<Vec<String>>,
}

impl Channel {
    /// A connection without TLS, or whose TLS ends before it reaches this process.
    pub fn plain() -> Self {
        Self::default()
    }

    /// A connection whose TLS ends here. `binding` is the value that only its two ends know (RFC 9266), `certificate` the names
    /// in the other side's certificate, in lower case, if it showed one and that was found good.
    pub fn tls(binding: Option<[u8; auth::BINDING_LEN]>, certificate: Option<Vec<String>>) -> Self {
        Self(Some(Arc::new(Tls { binding, certificate })))
    }

    /// Whether TLS ends here.
    pub(crate) fn is_tls(&self) -> bool {
        self.0.is_some()
    }

    /// What a signature can be bound to.
    pub(crate) fn binding(&self) -> Option<&[u8]> {
        self.0.as_ref()?.binding.as_ref().map(<[u8; auth::BINDING_LEN]>::as_slice)
    }

    /// Whether the certificate that was shown, if one was, is that of `agent_id`.
    pub(crate) fn is_certified(&self, agent_id: &AgentId) -> bool {
        let certificate = self.0.as_ref().and_then(|tls| tls.certificate.as_ref());
        certificate.is_none_or(|names| names.iter().any(|name| name == agent_id.as_str()))
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("Channel(plain)"),
            Some(tls) => f.debug_tuple("Channel").field(&tls.certificate).finish(),
        }
    }
}

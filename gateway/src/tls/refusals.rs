//! Agents whose certificates were not good enough for a handshake.

use std::{io, net::SocketAddr};

use prometheus_client::metrics::{counter::Counter, family::Family};
use rustls::{CertificateError, Error};
use session::{AUDIT, Limiter, LobbyLimits, client_key};
use tracing::{debug, warn};

type Counts = Family<[(&'static str, &'static str); 1], Counter>;

/// What becomes of such a handshake: each is counted, and so many of an address are events of the audit log. Anybody can
/// cause them, so that more than that is not worth a line each.
#[derive(Debug)]
pub(super) struct Refusals {
    counts: Counts,
    audited: Limiter,
}

impl Default for Refusals {
    fn default() -> Self {
        Self { counts: Family::default(), audited: Limiter::new(link::now()) }
    }
}

impl Refusals {
    /// How many there were, by reason.
    pub(super) fn counts(&self) -> Counts {
        self.counts.clone()
    }

    /// A handshake with `peer` has failed, for whatever reason.
    pub(super) fn failed(&self, peer: SocketAddr, transport: &'static str, error: &io::Error) {
        let reason = error.get_ref().and_then(|error| error.downcast_ref()).and_then(reason);
        let Some(reason) = reason else {
            debug!(%peer, %error, "no TLS handshake");
            return;
        };
        self.counts.get_or_create(&[("reason", reason)]).inc();
        let rate = LobbyLimits::failures(LobbyLimits::FAILURES);
        if self.audited.take(client_key(peer.ip()), rate, link::now()).is_ok() {
            warn!(
                target: AUDIT,
                what = "refused",
                %peer,
                transport,
                code = "CLIENT_CERTIFICATE",
                reason,
                error = %error.to_string().escape_debug(),
                "agent refused"
            );
        } else {
            debug!(%peer, %error, "no TLS handshake, as often before from there");
        }
    }
}

/// In a word, what is wrong with the certificate of the other side; `None` if it is something else.
fn reason(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NoCertificatesPresented => "missing",
        Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
            CertificateError::UnknownIssuer => "unknown_issuer",
            CertificateError::BadSignature => "bad_signature",
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                "wrong_purpose"
            }
            _ => "invalid",
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex},
    };

    use cli::log::{Format, subscriber};
    use rustls::AlertDescription;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged of `events` at INFO, a line each.
    fn logged(events: impl FnOnce()) -> Vec<String> {
        let log = Log::default();
        let writer = log.clone();
        let seen = subscriber(Format::Text, "info", false, move || writer.clone()).unwrap();
        // With one alone, whether anybody wants an event would be asked once and for all on another test's thread.
        let _another = tracing::Dispatch::new(subscriber(Format::Text, "trace", false, io::sink).unwrap());
        tracing::subscriber::with_default(seen, events);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    fn wrapped(error: Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    fn count(refusals: &Refusals, reason: &'static str) -> u64 {
        refusals.counts().get_or_create(&[("reason", reason)]).get()
    }

    #[test]
    fn a_refused_certificate_is_told_of() {
        let refusals = Refusals::default();
        let peer = SocketAddr::from(([192, 0, 2, 1], 4711));
        let lines = logged(|| {
            refusals.failed(peer, "grpc", &wrapped(Error::NoCertificatesPresented));
            refusals.failed(peer, "ws", &wrapped(CertificateError::Expired.into()));
            refusals.failed(peer, "ws", &wrapped(Error::AlertReceived(AlertDescription::UnknownCA)));
            refusals.failed(peer, "ws", &io::ErrorKind::UnexpectedEof.into());
        });
        assert_eq!(lines.len(), 2, "strangers who only fail are not told of: {lines:#?}");
        for (line, [transport, reason]) in lines.iter().zip([["grpc", "missing"], ["ws", "expired"]]) {
            for part in ["audit", "agent refused", "refused", "192.0.2.1:4711", transport, reason] {
                assert!(line.contains(part), "{part}: {line}");
            }
            assert_eq!(count(&refusals, reason), 1);
        }
    }

    #[test]
    fn no_address_fills_the_log() {
        let refusals = Refusals::default();
        let lines = logged(|| {
            for port in 0..100 {
                for address in [[192, 0, 2, 1], [192, 0, 2, 2]] {
                    let peer = SocketAddr::from((address, port));
                    refusals.failed(peer, "ws", &wrapped(CertificateError::UnknownIssuer.into()));
                }
            }
        });
        assert_eq!(lines.len(), 20);
        assert_eq!(count(&refusals, "unknown_issuer"), 200, "all are counted");
    }
}

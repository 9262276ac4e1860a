use std::{
    error::Error,
    io,
    time::{Duration, SystemTime},
};

use cli::in_words;
use rustls::{
    AlertDescription, CertificateError, Error as Tls, InvalidMessage, OtherError, pki_types::UnixTime,
};

/// With whom TLS is spoken, and which certificate is wanted.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// The gateway, whose certificate must be for this name.
    Gateway {
        name: String,
        /// Whether that was said, and is not just the host that is dialled.
        is_set: bool,
    },
    /// The local service, whose certificate must be for the host that is dialled.
    Service(String),
}

impl Peer {
    fn who(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "the gateway",
            Self::Service(_) => "the local service",
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Gateway { name, .. } | Self::Service(name) => name,
        }
    }

    /// The flag that names whom to believe.
    fn flag(&self) -> &'static str {
        match self {
            Self::Gateway { .. } => "--ca-file",
            Self::Service(_) => "--upstream-ca",
        }
    }

    fn rename(&self) -> &'static str {
        match self {
            Self::Gateway { is_set: true, .. } => "correct --tls-server-name, or leave it off",
            Self::Gateway { is_set: false, .. } => "dial that, or say --tls-server-name NAME",
            Self::Service(_) => "name the service by a host that it is for",
        }
    }
}

/// What is wrong with TLS, and what helps; `None` if `error` is of something else.
pub(crate) fn explain(error: &(dyn Error + 'static), peer: &Peer) -> Option<String> {
    Some(match tls_error(error)? {
        Tls::InvalidCertificate(certificate) => of_certificate(certificate, peer),
        Tls::AlertReceived(alert) => of_alert(*alert, peer),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) | Tls::InappropriateMessage { .. } => {
            let remedy = match peer {
                Peer::Gateway { .. } => "dial grpc:// or ws://, if the network is yours",
                Peer::Service(_) => "write http:// or h2c://",
            };
            format!("the other side does not speak TLS at this port: {remedy}")
        }
        Tls::PeerIncompatible(why) => {
            format!("no TLS: the other side cannot do what is needed ({})", in_words(why))
        }
        Tls::PeerMisbehaved(why) => format!("no TLS: the other side breaks its rules ({})", in_words(why)),
        Tls::InvalidMessage(why) => {
            format!("no TLS: what the other side says is malformed ({})", in_words(why))
        }
        other => format!("no TLS: {other}"),
    })
}

fn of_certificate(error: &CertificateError, peer: &Peer) -> String {
    let (who, flag) = (peer.who(), peer.flag());
    match error {
        // Who signed it may have the name of somebody that is trusted, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "{who}'s certificate is signed by nobody that this machine trusts: name who signed it with {flag} FILE. If it \
             should be trusted, something in between may show a certificate of its own"
        ),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match error {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
                    format!(" (it is for {})", names.join(", "))
                }
                _ => " (it is for no host: it names none as subjectAltName)".to_owned(),
            };
            format!("{who}'s certificate is not for {}{names}: {}", peer.name(), peer.rename())
        }
        CertificateError::Expired => {
            format!("{who}'s certificate has expired: renew it there, or set this machine's clock")
        }
        // Whoever reads both times sees which of the two is wrong.
        CertificateError::ExpiredContext { time, not_after } => format!(
            "{who}'s certificate has expired: it was valid until {}, and this machine's clock shows {}; renew it there, or \
             set this machine's clock",
            in_utc(*not_after),
            in_utc(*time)
        ),
        CertificateError::NotValidYet => {
            format!(
                "{who}'s certificate is not valid yet: set this machine's clock, or the one that signed it"
            )
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "{who}'s certificate is not valid yet: it will be from {}, and this machine's clock shows {}; set this \
             machine's clock, or the one that signed it",
            in_utc(*not_before),
            in_utc(*time)
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            format!("{who}'s certificate is not for servers: it needs serverAuth as extendedKeyUsage")
        }
        CertificateError::Other(OtherError(other)) => match other.downcast_ref() {
            Some(webpki::Error::CaUsedAsEndEntity) => format!(
                "{who} shows the certificate of an authority (CA:TRUE) as its own: if it is self-signed, name this very \
                 certificate with {flag} FILE"
            ),
            Some(error) => format!("{who}'s certificate cannot be used ({})", in_words(error)),
            None => format!("{who}'s certificate cannot be used ({other})"),
        },
        other => format!("{who}'s certificate cannot be used ({})", in_words(other)),
    }
}

/// A time as people read it. What the certificate says may be beyond every calendar.
fn in_utc(time: UnixTime) -> String {
    match SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs())) {
        Some(time) if time < end_of_years() => humantime::format_rfc3339_seconds(time).to_string(),
        _ => "the far future".to_owned(),
    }
}

/// The first moment that has no year of four digits.
fn end_of_years() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800)
}

/// A name without the words of the library that say of which kind it is.
fn plain(name: &str) -> &str {
    let inside = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(name).trim_matches('"')
}

fn of_alert(alert: AlertDescription, peer: &Peer) -> String {
    match (alert, peer) {
        (AlertDescription::CertificateRequired | AlertDescription::AccessDenied, Peer::Gateway { .. }) => {
            "the gateway wants a certificate of this agent: name one with --client-cert FILE and --client-key FILE".to_owned()
        }
        (
            AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            | AlertDescription::DecryptError,
            Peer::Gateway { .. },
        ) => {
            "the gateway does not accept this agent's --client-cert: it must be signed by one of its --client-ca".to_owned()
        }
        (AlertDescription::CertificateExpired, Peer::Gateway { .. }) => {
            "this agent's --client-cert has expired: renew it".to_owned()
        }
        (AlertDescription::NoApplicationProtocol, Peer::Gateway { .. }) => {
            "the other side speaks TLS, but not the protocol of this port: is it the gateway's port for agents?".to_owned()
        }
        (AlertDescription::CertificateRequired, Peer::Service(_)) => {
            "the local service wants a certificate of its client, and an agent has none for it".to_owned()
        }
        (other, _) => format!("the other side ended TLS ({})", in_words(&other)),
    }
}

/// TLS hides its errors in those of the stream, and the libraries above theirs.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Tls> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Tls>() {
            return Some(tls);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained_of(error: Tls, peer: &Peer) -> String {
        explain(&io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error)), peer).unwrap()
    }

    fn explained(error: Tls) -> String {
        explained_of(error, &gateway(false))
    }

    fn gateway(is_set: bool) -> Peer {
        Peer::Gateway { name: "gw.example".to_owned(), is_set }
    }

    #[test]
    fn every_usual_mistake_has_its_remedy() {
        for (error, remedy) in [
            (CertificateError::UnknownIssuer.into(), "--ca-file"),
            (CertificateError::NotValidForName.into(), "--tls-server-name"),
            (CertificateError::Expired.into(), "expired"),
            (Tls::AlertReceived(AlertDescription::CertificateRequired), "--client-cert"),
            (Tls::AlertReceived(AlertDescription::UnknownCA), "--client-ca"),
            (Tls::InvalidMessage(InvalidMessage::InvalidContentType), "does not speak TLS"),
        ] {
            let text = explained(error);
            assert!(text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told_beside_the_clock() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(86_400) };
        let late = CertificateError::ExpiredContext { time: at(1_000_000_000), not_after: at(86_400) };
        for (error, expected) in [
            (early, "from 1970-01-02T00:00:00Z, and this machine's clock shows 1970-01-01T00:00:00Z; set"),
            (late, "until 1970-01-02T00:00:00Z, and this machine's clock shows 2001-09-09T01:46:40Z; renew"),
        ] {
            let text = explained(error.into());
            assert!(text.contains(expected), "{text}");
        }
        for seconds in [253_402_300_800, u64::MAX] {
            assert_eq!(in_utc(at(seconds)), "the far future");
        }
    }

    #[test]
    fn the_name_that_was_wanted_is_told_with_what_to_do_about_it() {
        let error = || Tls::from(CertificateError::NotValidForName);
        for (peer, remedy) in [
            (gateway(false), "or say --tls-server-name NAME"),
            (gateway(true), "correct --tls-server-name"),
            (Peer::Service("gw.example".to_owned()), "name the service by a host"),
        ] {
            let text = explained_of(error(), &peer);
            assert!(text.contains("is not for gw.example") && text.contains(remedy), "{text}");
        }
    }

    #[test]
    fn the_library_is_not_quoted() {
        let other = |error| CertificateError::Other(OtherError(std::sync::Arc::new(error))).into();
        for (error, words) in [
            (other(webpki::Error::CaUsedAsEndEntity), "an authority (CA:TRUE)"),
            (other(webpki::Error::UnsupportedCertVersion), "(unsupported cert version)"),
            (CertificateError::BadEncoding.into(), "(bad encoding)"),
            (Tls::AlertReceived(AlertDescription::HandshakeFailure), "(handshake failure)"),
            (rustls::PeerIncompatible::NoCipherSuitesInCommon.into(), "(no cipher suites in common)"),
        ] {
            for peer in [gateway(false), Peer::Service("web".to_owned())] {
                let text = explained_of(error.clone(), &peer);
                assert!(text.contains(words), "{text}");
            }
        }
    }

    #[test]
    fn other_errors_are_others_to_explain() {
        assert_eq!(explain(&io::Error::from(io::ErrorKind::ConnectionReset), &gateway(false)), None);
        assert_eq!(explain(&io::Error::other("words"), &gateway(false)), None);
    }
}

use std::{
    error::Error,
    io,
    time::{Duration, SystemTime},
};

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage, pki_types::UnixTime};

/// What is wrong with TLS, and what helps; `None` if `error` is of something else.
pub(crate) fn explain(error: &(dyn Error + 'static)) -> Option<String> {
    let tls = tls_error(error)?;
    let remedy = match tls {
        Tls::InvalidCertificate(certificate) => of_certificate(certificate),
        Tls::AlertReceived(alert) => of_alert(*alert)?,
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) | Tls::InappropriateMessage { .. } => {
            "the other side does not speak TLS at this port: dial grpc:// or ws://, if the network is yours"
                .to_owned()
        }
        _ => return Some(format!("no TLS: {tls}")),
    };
    Some(remedy)
}

fn of_certificate(error: &CertificateError) -> String {
    match error {
        // Who signed it may have the name of somebody that is trusted, and another key.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the gateway's certificate is signed by nobody that this machine trusts: name who signed it with --ca-file \
             FILE. If it should be trusted, something in between may show a certificate of its own"
                .to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let names = match error {
                CertificateError::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    let names: Vec<_> = presented.iter().map(|name| plain(name)).collect();
                    format!(" (it is for {})", names.join(", "))
                }
                _ => String::new(),
            };
            format!("the gateway's certificate is not for the host that was dialled{names}: dial that, or say --tls-server-name NAME")
        }
        CertificateError::Expired => {
            "the gateway's certificate has expired: renew it there, or set this machine's clock".to_owned()
        }
        // Whoever reads both times sees which of the two is wrong.
        CertificateError::ExpiredContext { time, not_after } => format!(
            "the gateway's certificate has expired: it was valid until {}, and this machine's clock shows {}; renew it \
             there, or set this machine's clock",
            in_utc(*not_after),
            in_utc(*time)
        ),
        CertificateError::NotValidYet => {
            "the gateway's certificate is not valid yet: set this machine's clock, or the one that signed it".to_owned()
        }
        CertificateError::NotValidYetContext { time, not_before } => format!(
            "the gateway's certificate is not valid yet: it will be from {}, and this machine's clock shows {}; set this \
             machine's clock, or the one that signed it",
            in_utc(*not_before),
            in_utc(*time)
        ),
        other => format!("the gateway's certificate cannot be trusted: {other}"),
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

fn of_alert(alert: AlertDescription) -> Option<String> {
    Some(match alert {
        AlertDescription::CertificateRequired | AlertDescription::AccessDenied => {
            "the gateway wants a certificate of this agent: name one with --client-cert FILE and --client-key FILE".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => {
            "the gateway does not accept this agent's --client-cert: it must be signed by one of its --client-ca".to_owned()
        }
        AlertDescription::CertificateExpired => "this agent's --client-cert has expired: renew it".to_owned(),
        AlertDescription::NoApplicationProtocol => {
            "the other side speaks TLS, but not the protocol of this port: is it the gateway's port for agents?".to_owned()
        }
        other => format!("the other side ended TLS: {other:?}"),
    })
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

    fn explained(error: Tls) -> String {
        explain(&io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error))).unwrap()
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
    fn other_errors_are_others_to_explain() {
        assert_eq!(explain(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
        assert_eq!(explain(&io::Error::other("words")), None);
    }
}

//! What is odd about certificates that can be used nevertheless.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use humantime::format_rfc3339_seconds;
use rustls::sign::CertifiedKey;
use tracing::warn;

use super::{CertificateFiles, Validity, names};
use crate::tokens::exposure;

/// A certificate should have been renewed when it has so much time left, or less than a tenth of its whole life.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// The mode of a file that everybody may use. A group may be meant to read it.
const EVERYBODY: u32 = 0o007;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concern {
    Expired,
    NotYetValid,
    EndsSoon,
    ForNobody,
}

impl fmt::Display for Concern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "a certificate has expired, and is refused wherever it is shown; renew it",
            Self::NotYetValid => "a certificate is not valid yet, and is refused until then; is the clock right?",
            Self::EndsSoon => "a certificate ends soon; renew it",
            Self::ForNobody => {
                "a certificate is for no host that this gateway serves (--domain, hosts of agents, --audience)"
            }
        })
    }
}

/// Warns in the log of what will not work with a certificate, or is not as it should be. `hosts` are the names that it may
/// be for, or be below.
pub(super) fn warn_of(files: &CertificateFiles, certified: &CertifiedKey, hosts: &[String]) {
    let Ok(certificate) = certified.end_entity_cert() else { return };
    let (names, validity) = (names::dns(certificate), Validity::of(certificate));
    let time = |time: fn(Validity) -> SystemTime| {
        validity.map(time).map(|time| tracing::field::display(format_rfc3339_seconds(time)))
    };
    for concern in concerns(validity, &names, hosts, SystemTime::now()) {
        warn!(
            file = %files.cert.display(),
            names = names.join(" "),
            from = time(|validity| validity.from),
            until = time(|validity| validity.until),
            "{concern}"
        );
    }
    if let Some(mode) = exposure(&files.key).filter(|mode| mode & EVERYBODY != 0) {
        warn!(file = %files.key.display(), mode = format_args!("{mode:o}"),
            "everybody on this machine can use the key of a certificate; run chmod o= on it");
    }
}

fn concerns(validity: Option<Validity>, names: &[String], hosts: &[String], now: SystemTime) -> Vec<Concern> {
    let time = validity.and_then(|Validity { from, until }| {
        let Ok(left) = until.duration_since(now) else { return Some(Concern::Expired) };
        let life = until.duration_since(from).unwrap_or_default();
        if now < from {
            Some(Concern::NotYetValid)
        } else {
            // Short lives are renewed late: a tenth of six days is enough.
            (left < SOON.min(life / 10)).then_some(Concern::EndsSoon)
        }
    });
    let is_for_somebody = names.iter().any(|name| hosts.iter().any(|host| covers(name, host)));
    time.into_iter().chain((!is_for_somebody).then_some(Concern::ForNobody)).collect()
}

/// Whether a certificate for `name` can be shown to those who ask for `host`, or for a name below it.
fn covers(name: &str, host: &str) -> bool {
    let is_below = name.strip_suffix(host).is_some_and(|labels| labels.is_empty() || labels.ends_with('.'));
    let parent = host.split_once('.').map(|(_, parent)| parent);
    is_below || name.strip_prefix("*.").is_some_and(|domain| Some(domain) == parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_certificate_should_be_good_for_a_while() {
        let now = SystemTime::UNIX_EPOCH + 20_000 * DAY;
        let names = ["a.example".to_owned()];
        for (from, until, concern) in [
            (now - 90 * DAY, now - DAY, Some(Concern::Expired)),
            (now + DAY, now + 90 * DAY, Some(Concern::NotYetValid)),
            (now - 82 * DAY, now + 8 * DAY, Some(Concern::EndsSoon)),
            (now - 80 * DAY, now + 10 * DAY, None),
            (now - 352 * DAY, now + 13 * DAY, Some(Concern::EndsSoon)),
            (now - 350 * DAY, now + 15 * DAY, None),
            (now - 5 * DAY, now + DAY, None),
        ] {
            let found = concerns(Some(Validity { from, until }), &names, &names, now);
            assert_eq!(found, Vec::from_iter(concern), "{from:?} {until:?}");
        }
    }

    #[test]
    fn a_certificate_should_be_for_somebody() {
        let hosts = ["tunnel.example", "shop.example.org"].map(str::to_owned);
        for (name, is_for_somebody) in [
            ("tunnel.example", true),
            ("*.tunnel.example", true),
            ("a.tunnel.example", true),
            ("shop.example.org", true),
            ("*.example.org", true),
            ("nottunnel.example", false),
            ("*.example", true),
            ("example", false),
            ("example.org", false),
        ] {
            let found = concerns(None, &[name.to_owned()], &hosts, SystemTime::UNIX_EPOCH);
            assert_eq!(found.is_empty(), is_for_somebody, "{name}");
        }
        assert_eq!(concerns(None, &[], &hosts, SystemTime::UNIX_EPOCH), [Concern::ForNobody]);
    }
}

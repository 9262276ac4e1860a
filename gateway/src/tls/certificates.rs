use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::SystemTime,
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{Validity, names};
use crate::acme::{self, Challenges};

/// Which certificate is shown to whom: one for the very name that is asked for, else one for all names on its level, else the
/// first if there is one. Of several for one name it is the first whose key the client can check. An authority that looks whether a name leads
/// here is shown what it looks for.
#[derive(Debug)]
pub(super) struct Certificates {
    all: Vec<Arc<CertifiedKey>>,
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<String, Vec<Arc<CertifiedKey>>>,
    challenges: Arc<Challenges>,
}

impl Certificates {
    pub(super) fn new(all: Vec<Arc<CertifiedKey>>, challenges: Arc<Challenges>) -> Self {
        let mut exact: HashMap<_, Vec<_>> = HashMap::new();
        let mut wildcards: HashMap<_, Vec<_>> = HashMap::new();
        for certificate in &all {
            for name in certificate.end_entity_cert().map(names::dns).unwrap_or_default() {
                match name.strip_prefix("*.") {
                    Some(domain) => {
                        wildcards.entry(domain.to_owned()).or_default().push(Arc::clone(certificate))
                    }
                    None => exact.entry(name).or_default().push(Arc::clone(certificate)),
                }
            }
        }
        Self { all, exact, wildcards, challenges }
    }

    /// For each name that stands first in a certificate, until when the first of its certificates to end is good.
    pub(super) fn expiries(&self) -> BTreeMap<String, SystemTime> {
        let of = |certificate: &Arc<CertifiedKey>| {
            let certificate = certificate.end_entity_cert().ok()?;
            let name = names::dns(certificate).into_iter().next().unwrap_or_default();
            Some((name, Validity::of(certificate)?.until))
        };
        let mut expiries = BTreeMap::new();
        for (name, until) in self.all.iter().filter_map(of) {
            let first = expiries.entry(name).or_insert(until);
            *first = until.min(*first);
        }
        expiries
    }

    /// The certificates for a name in lower case, the best first.
    fn candidates(&self, name: &str) -> impl Iterator<Item = &Arc<CertifiedKey>> {
        let exact = self.exact.get(name);
        let wildcard = name.split_once('.').and_then(|(_, domain)| self.wildcards.get(domain));
        exact.into_iter().chain(wildcard).flatten()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_ascii_lowercase).unwrap_or_default();
        if hello.alpn().is_some_and(|offered| offered.eq([acme::ALPN])) {
            return self.challenges.over_tls(&name);
        }
        let can_check = |certificate: &&Arc<CertifiedKey>| {
            certificate.key.choose_scheme(hello.signature_schemes()).is_some()
        };
        let certificate = self.candidates(&name).find(can_check).or_else(|| self.candidates(&name).next());
        certificate.or_else(|| self.all.first()).cloned()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    use super::*;

    fn certificate(names: &[&str]) -> Arc<CertifiedKey> {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let chain = vec![CertificateDer::from(certificate)];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Arc::new(CertifiedKey::from_der(chain, key, &cli::provider()).unwrap())
    }

    #[test]
    fn the_nearest_certificate_is_the_best() {
        let all =
            [&["other.example"][..], &["*.Example.com"], &["a.example.com", "example.com"]].map(certificate);
        let certificates = Certificates::new(all.to_vec(), Arc::default());
        let found = |name| {
            let best = certificates.candidates(name).next()?;
            all.iter().position(|certificate| Arc::ptr_eq(certificate, best))
        };
        assert_eq!(found("a.example.com"), Some(2));
        assert_eq!(found("b.example.com"), Some(1));
        assert_eq!(found("example.com"), Some(2));
        assert_eq!(found("a.b.example.com"), None, "a wildcard is one level");
        assert_eq!(found("elsewhere"), None);
        assert!(Arc::ptr_eq(&certificates.all[0], &all[0]));
    }
}

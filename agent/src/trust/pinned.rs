use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, Error as Tls, OtherError, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};

/// Believes what a path leads to, and besides whoever shows a certificate of the file itself: a self-signed one is often
/// marked as an authority's, which no path may end with, and of one that somebody signed the file need not hold who did.
#[derive(Debug)]
pub(super) struct Pinned {
    paths: Arc<WebPkiServerVerifier>,
    file: Vec<CertificateDer<'static>>,
}

impl Pinned {
    pub(super) fn new(paths: Arc<WebPkiServerVerifier>, file: Vec<CertificateDer<'static>>) -> Self {
        Self { paths, file }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Tls> {
        let verdict =
            self.paths.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verdict {
            // Its time is looked at before either of the two is said.
            Err(error) if leads_nowhere(&error) && self.file.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        self.paths.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Tls> {
        self.paths.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.paths.supported_verify_schemes()
    }
}

fn leads_nowhere(error: &Tls) -> bool {
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => true,
        Tls::InvalidCertificate(CertificateError::Other(OtherError(other))) => {
            other.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
    use rustls::RootCertStore;

    use super::*;

    const NAME: &str = "gw.example";

    fn params() -> CertificateParams {
        CertificateParams::new(vec![NAME.to_owned()]).unwrap()
    }

    /// What `openssl req -x509` makes.
    fn authority() -> CertificateParams {
        let mut params = params();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    fn self_signed(params: &CertificateParams) -> CertificateDer<'static> {
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn verdict(
        file: &CertificateDer<'static>,
        shown: &CertificateDer<'_>,
        name: &'static str,
    ) -> Result<(), CertificateError> {
        let mut roots = RootCertStore::empty();
        roots.add(file.clone()).unwrap();
        let paths = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), cli::provider());
        let pinned = Pinned::new(paths.build().unwrap(), vec![file.clone()]);
        let name = ServerName::try_from(name).unwrap();
        match pinned.verify_server_cert(shown, &[], &name, &[], UnixTime::now()) {
            Ok(_) => Ok(()),
            Err(Tls::InvalidCertificate(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn whoever_shows_the_certificate_of_the_file_is_believed() {
        for params in [params(), authority()] {
            let shown = self_signed(&params);
            assert_eq!(verdict(&shown, &shown, NAME), Ok(()));
        }
        let mut issuer = authority();
        issuer.distinguished_name.push(DnType::CommonName, "an authority");
        let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
        let signed = params().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        assert_eq!(verdict(signed.der(), signed.der(), NAME), Ok(()), "signed by somebody else");
        assert_eq!(verdict(&issuer.der().clone(), signed.der(), NAME), Ok(()), "a path leads to it");
    }

    #[test]
    fn its_name_and_its_time_count() {
        for params in [params(), authority()] {
            let shown = self_signed(&params);
            let wrong = verdict(&shown, &shown, "other.example");
            assert!(matches!(wrong, Err(CertificateError::NotValidForNameContext { .. })), "{wrong:?}");

            let mut past = params.clone();
            (past.not_before, past.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
            let shown = self_signed(&past);
            let late = verdict(&shown, &shown, NAME);
            assert!(matches!(late, Err(CertificateError::ExpiredContext { .. })), "{late:?}");

            let mut future = params;
            (future.not_before, future.not_after) = (date_time_ymd(4000, 1, 1), date_time_ymd(4001, 1, 1));
            let shown = self_signed(&future);
            let early = verdict(&shown, &shown, NAME);
            assert!(matches!(early, Err(CertificateError::NotValidYetContext { .. })), "{early:?}");
        }
    }

    #[test]
    fn another_certificate_is_not_that_of_the_file() {
        for params in [params(), authority()] {
            let (ours, theirs) = (self_signed(&params), self_signed(&params));
            assert!(verdict(&ours, &theirs, NAME).is_err());
        }
    }
}

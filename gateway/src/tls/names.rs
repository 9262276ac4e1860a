//! For whom a certificate is.

use cli::der::{OID, PRINTABLE_STRING, SEQUENCE, SET, UTF8_STRING, element};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The attribute `commonName` (X.520), as it stands in a certificate.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The host names that a certificate is for, in lower case; some may begin with `*.`.
pub(crate) fn dns(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
    certificate.valid_dns_names().map(str::to_ascii_lowercase).collect()
}

/// All that a certificate of an agent says of who that is: its host names and the common names of its subject, in lower case.
pub(super) fn subjects(certificate: &CertificateDer<'_>) -> Vec<String> {
    let mut names = dns(certificate);
    if let Ok(certificate) = EndEntityCert::try_from(certificate) {
        names.extend(common_names(certificate.subject()));
    }
    names
}

/// The common names in the content of a `Name` (RFC 5280, section 4.1.2.4). What is malformed, or in an encoding of old, is no
/// name.
fn common_names(mut subject: &[u8]) -> Vec<String> {
    // It may come with or without the sequence around it.
    if let Some((SEQUENCE, inside, [])) = element(subject) {
        subject = inside;
    }
    let mut names = Vec::new();
    while let Some((SET, mut attributes, rest)) = element(subject) {
        subject = rest;
        while let Some((SEQUENCE, attribute, rest)) = element(attributes) {
            attributes = rest;
            names.extend(common_name(attribute));
        }
    }
    names
}

fn common_name(attribute: &[u8]) -> Option<String> {
    let (OID, COMMON_NAME, value) = element(attribute)? else { return None };
    let (UTF8_STRING | PRINTABLE_STRING, text, []) = element(value)? else { return None };
    Some(std::str::from_utf8(text).ok()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[test]
    fn a_certificate_names_its_subject_in_both_ways() {
        let mut params =
            CertificateParams::new(vec!["One.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "two");
        params.distinguished_name.push(DnType::CommonName, "MyApp");
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(dns(certificate.der()), ["one.example"]);
        assert_eq!(subjects(certificate.der()), ["one.example", "myapp"]);
    }

    #[test]
    fn what_is_no_certificate_has_no_names() {
        assert!(subjects(&CertificateDer::from(vec![0x30, 0x03, 1, 2, 3])).is_empty());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            common_names(&bytes);
        }
    }
}

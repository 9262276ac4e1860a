//! Certificates and keys in PEM files, and what is wrong with a file that has none.

use std::{fs, io, path::Path};

use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject as _},
};

/// Why a file has not what it should have. What is in it is not repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum InvalidPem {
    #[error("{0}")]
    Unreadable(io::Error),
    #[error("it has no BEGIN CERTIFICATE; it must hold one certificate or more in PEM")]
    NoCertificate,
    #[error("it has no BEGIN PRIVATE KEY; it must hold the key in PEM")]
    NoKey,
    #[error("it holds a certificate and no key: name the key's own file")]
    CertificateForKey,
    #[error("it holds a key and no certificate: name the certificate's own file")]
    KeyForCertificate,
    #[error(
        "the key is encrypted with a passphrase, which nobody is asked for: write it without one, with `openssl pkey -in \
         FILE -out NEW`, to a file that only its owner may read"
    )]
    Encrypted,
    #[error(
        "it is not PEM but looks like DER: convert it, with `openssl x509 -inform DER -in FILE -out NEW`"
    )]
    DerCertificate,
    #[error(
        "it is not PEM but looks like DER: convert it, with `openssl pkey -inform DER -in FILE -out NEW`"
    )]
    DerKey,
    #[error("it begins with a byte order mark: save it as plain ASCII or as UTF-8 without one")]
    ByteOrderMark,
    #[error("it ends before the END line of what it holds: was it copied as a whole?")]
    Truncated,
    #[error("a part between BEGIN and END is damaged: was it copied as it is?")]
    Damaged,
}

/// The certificates in a file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidPem> {
    let bytes = read(path)?;
    let parts = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    match parts.map_err(damage)? {
        none if none.is_empty() => Err(match bytes.first() {
            Some(&SEQUENCE) => InvalidPem::DerCertificate,
            _ if has(&bytes, "PRIVATE KEY-----") => InvalidPem::KeyForCertificate,
            _ => InvalidPem::NoCertificate,
        }),
        some => Ok(some),
    }
}

/// The first private key in a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, InvalidPem> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        _ if has(&bytes, "BEGIN ENCRYPTED PRIVATE KEY") || has(&bytes, "Proc-Type: 4,ENCRYPTED") => {
            InvalidPem::Encrypted
        }
        pem::Error::NoItemsFound if bytes.first() == Some(&SEQUENCE) => InvalidPem::DerKey,
        pem::Error::NoItemsFound if has(&bytes, "BEGIN CERTIFICATE") => InvalidPem::CertificateForKey,
        pem::Error::NoItemsFound => InvalidPem::NoKey,
        other => damage(other),
    })
}

/// What everything in DER begins with.
const SEQUENCE: u8 = 0x30;

fn read(path: &Path) -> Result<Vec<u8>, InvalidPem> {
    let bytes = fs::read(path).map_err(InvalidPem::Unreadable)?;
    // Nothing finds the line that stands behind one.
    let marked = [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| bytes.starts_with(mark));
    if marked { Err(InvalidPem::ByteOrderMark) } else { Ok(bytes) }
}

fn damage(error: pem::Error) -> InvalidPem {
    match error {
        pem::Error::MissingSectionEnd { .. } => InvalidPem::Truncated,
        _ => InvalidPem::Damaged,
    }
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_file_is_told_from_its_content() {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec!["gw.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (pem, key_pem) = (certificate.pem(), key.serialize_pem());
        let path = std::env::temp_dir().join(format!("indranet-pem-{}", uuid::Uuid::new_v4()));
        let write = |bytes: &[u8]| fs::write(&path, bytes).unwrap();
        for (bytes, remedy) in [
            (certificate.der().to_vec(), "openssl x509 -inform DER"),
            (format!("\u{feff}{pem}").into_bytes(), "byte order mark"),
            (pem.as_bytes()[..pem.len() / 2].to_vec(), "ends before the END line"),
            (pem.replace("MII", "M!I").into_bytes(), "damaged"),
            (pem.replace("MIIB", "M!!B").into_bytes(), "damaged"),
            (key_pem.clone().into_bytes(), "holds a key and no certificate"),
            (b"junk".to_vec(), "no BEGIN CERTIFICATE"),
        ] {
            write(&bytes);
            let error = certificates(&path).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
        for (bytes, remedy) in [
            (key_pem.replace("PRIVATE", "ENCRYPTED PRIVATE").into_bytes(), "passphrase"),
            (
                key_pem.replace("KEY-----\n", "KEY-----\nProc-Type: 4,ENCRYPTED\n\n").into_bytes(),
                "passphrase",
            ),
            (key.serialize_der(), "openssl pkey -inform DER"),
            (key_pem.as_bytes()[..key_pem.len() / 2].to_vec(), "ends before the END line"),
            (pem.clone().into_bytes(), "holds a certificate and no key"),
            (b"junk".to_vec(), "no BEGIN PRIVATE KEY"),
        ] {
            write(&bytes);
            let error = private_key(&path).unwrap_err().to_string();
            assert!(error.contains(remedy), "{error}");
        }
        write(format!("{pem}{key_pem}").as_bytes());
        assert_eq!(certificates(&path).unwrap(), [certificate.der().clone()]);
        private_key(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(matches!(private_key(&path), Err(InvalidPem::Unreadable(_))));
    }
}

//! What private keys are called that cannot be used.

use rustls::pki_types::PrivateKeyDer;

use crate::der::{INTEGER, OCTET_STRING, SEQUENCE, element};

/// Object identifiers as they stand in keys.
const KINDS: [(&[u8], &str); 10] = [
    (b"\x06\x05\x2b\x81\x04\x00\x23", "ECDSA on P-521"),
    (b"\x06\x05\x2b\x81\x04\x00\x21", "ECDSA on P-224"),
    (b"\x06\x05\x2b\x81\x04\x00\x0a", "ECDSA on secp256k1"),
    (b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "ECDSA on P-256, but malformed"),
    (b"\x06\x05\x2b\x81\x04\x00\x22", "ECDSA on P-384, but malformed"),
    (b"\x06\x09\x2b\x24\x03\x03\x02\x08\x01\x01", "ECDSA on a curve of Brainpool"),
    (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", "RSA-PSS"),
    (b"\x06\x07\x2a\x86\x48\xce\x38\x04\x01", "DSA"),
    (b"\x06\x03\x2b\x65\x71", "Ed448"),
    (b"\x06\x03\x2b\x65\x6e", "X25519"),
];

/// The kind of a key, for people.
pub(super) fn kind(key: &PrivateKeyDer<'_>) -> String {
    let der = key.secret_der();
    let rsa = match key {
        PrivateKeyDer::Pkcs1(_) => modulus_bits(der),
        PrivateKeyDer::Pkcs8(_) => pkcs1(der).and_then(modulus_bits),
        _ => None,
    };
    let has = |identifier: &[u8]| der.windows(identifier.len()).any(|window| window == identifier);
    let known = || KINDS.iter().find(|(identifier, _)| has(identifier));
    match rsa {
        Some(bits) => format!("RSA of {bits} bits"),
        None => known().map_or("of a kind that is not known", |(_, name)| *name).to_owned(),
    }
}

/// What stands in PKCS #8 of a key (RFC 5958).
fn pkcs1(der: &[u8]) -> Option<&[u8]> {
    let (SEQUENCE, key, _) = element(der)? else { return None };
    let (_version, _, rest) = element(key)?;
    let (_algorithm, _, rest) = element(rest)?;
    let (OCTET_STRING, key, _) = element(rest)? else { return None };
    Some(key)
}

/// How long the modulus is in PKCS #1 of a key (RFC 8017, appendix A.1.2).
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (SEQUENCE, key, _) = element(der)? else { return None };
    let (INTEGER, [0], rest) = element(key)? else { return None };
    let (INTEGER, modulus, rest) = element(rest)? else { return None };
    // A key on a curve goes on with something else.
    let (INTEGER, _exponent, _) = element(rest)? else { return None };
    let zeros = modulus.iter().position(|byte| *byte != 0)?;
    let first = modulus[zeros];
    Some((modulus.len() - zeros) * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use rcgen::KeyPair;
    use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};

    use super::*;

    fn tagged(tag: u8, content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        [&[tag, 0x81, u8::try_from(content.len()).unwrap()], &*content].concat()
    }

    #[test]
    fn keys_are_called_by_their_names() {
        let modulus = tagged(INTEGER, &[&[0], &[0xff; 128]]);
        let rsa = tagged(SEQUENCE, &[&[INTEGER, 1, 0], &modulus, &[INTEGER, 3, 1, 0, 1]]);
        let wrapped = tagged(SEQUENCE, &[&[INTEGER, 1, 0], &[SEQUENCE, 0], &tagged(OCTET_STRING, &[&rsa])]);
        assert_eq!(kind(&PrivatePkcs1KeyDer::from(rsa).into()), "RSA of 1024 bits");
        assert_eq!(kind(&PrivatePkcs8KeyDer::from(wrapped).into()), "RSA of 1024 bits");

        let usual = KeyPair::generate().unwrap().serialize_der();
        let place = usual.windows(10).position(|window| window == KINDS[3].0).unwrap();
        let other = [&usual[..place], KINDS[2].0, &usual[place + 10..]].concat();
        assert_eq!(kind(&PrivatePkcs8KeyDer::from(other).into()), "ECDSA on secp256k1");
        assert_eq!(kind(&PrivatePkcs8KeyDer::from(vec![1, 2, 3]).into()), "of a kind that is not known");
    }
}

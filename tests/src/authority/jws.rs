use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::{
    digest::{SHA256, digest},
    hmac,
    signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey},
};
use serde_json::{Value, json};

/// A request to an authority, as it is signed (RFC 8555, section 6.2).
pub(super) struct Signed {
    pub(super) header: Value,
    pub(super) payload: Vec<u8>,
    input: String,
    signature: Vec<u8>,
}

impl Signed {
    /// # Panics
    /// If it is not signed as it must be.
    pub(super) fn parse(body: &[u8]) -> Self {
        let envelope: Value = serde_json::from_slice(body).unwrap();
        let part = |name: &str| envelope[name].as_str().unwrap();
        let header: Value = serde_json::from_slice(&decoded(part("protected"))).unwrap();
        assert_eq!(header["alg"], "ES256");
        let input = format!("{}.{}", part("protected"), part("payload"));
        Self { header, payload: decoded(part("payload")), input, signature: decoded(part("signature")) }
    }

    /// Whether whoever has the private key to `jwk` signed it.
    pub(super) fn is_by(&self, jwk: &Value) -> bool {
        let coordinate = |name: &str| decoded(jwk[name].as_str().unwrap());
        let point = [&[4][..], &coordinate("x"), &coordinate("y")].concat();
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        key.verify(self.input.as_bytes(), &self.signature).is_ok()
    }
}

/// Whether `binding` says, signed by whoever has the key of an account elsewhere, that `jwk` belongs to that (RFC 8555, section
/// 7.3.4).
pub(super) fn is_bound(binding: &Value, key_id: &str, key: &[u8], url: &str, jwk: &Value) -> bool {
    let part = |name: &str| binding[name].as_str();
    let (Some(protected), Some(payload), Some(signature)) =
        (part("protected"), part("payload"), part("signature"))
    else {
        return false;
    };
    let header: Value = serde_json::from_slice(&decoded(protected)).unwrap();
    let bound: Value = serde_json::from_slice(&decoded(payload)).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let input = format!("{protected}.{payload}");
    header == json!({"alg": "HS256", "kid": key_id, "url": url})
        && bound == *jwk
        && hmac::verify(&key, input.as_bytes(), &decoded(signature)).is_ok()
}

/// The thumbprint of a key (RFC 7638).
pub(super) fn thumbprint(jwk: &Value) -> String {
    let member = |name: &str| jwk[name].as_str().unwrap().to_owned();
    let text = format!(
        r#"{{"crv":"{}","kty":"{}","x":"{}","y":"{}"}}"#,
        member("crv"),
        member("kty"),
        member("x"),
        member("y")
    );
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

pub(super) fn decoded(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

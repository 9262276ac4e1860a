//! Gateways behind one balancer: the authority may reach another one than that which orders, so the others answer as well.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::{pki_types::PrivatePkcs8KeyDer, sign::CertifiedKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::debug;

use super::{Cache, Challenge, Challenges, challenges::Expected};

/// How often a gateway looks whether another one orders.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long the authority is not told to look, so that the others know of it.
pub(super) const NOTICE: Duration = Duration::from_secs(1);

/// What the authority will look for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct Question {
    /// The gateway that ordered.
    pub(super) by: String,
    pub(super) way: Challenge,
    pub(super) domain: String,
    pub(super) token: String,
    /// What shows that we have the account; no secret.
    pub(super) answer: String,
}

impl Question {
    /// From here on the authority finds what it looks for.
    pub(super) fn expect(&self, challenges: &Arc<Challenges>) -> Result<Expected, rcgen::Error> {
        Ok(match self.way {
            Challenge::Http01 => {
                challenges.expect_token(&self.token, Bytes::copy_from_slice(self.answer.as_bytes()))
            }
            Challenge::TlsAlpn01 => challenges.expect_name(&self.domain, self.proof()?),
        })
    }

    /// The certificate that proves that a name leads here (RFC 8737, section 3).
    fn proof(&self) -> Result<Arc<CertifiedKey>, rcgen::Error> {
        let mut params = CertificateParams::new([self.domain.clone()])?;
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(&Sha256::digest(&self.answer))];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = cli::provider().key_provider.load_private_key(key.into());
        let key = key.expect("the key is one of ECDSA");
        // Not `from_der`, which refuses a critical extension that it does not know.
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
    }
}

/// Answers what other gateways than `own` have ordered, for ever.
pub(super) async fn answer_for_others(cache: &Cache, challenges: &Arc<Challenges>, own: &str) {
    let mut known: Option<(Question, Expected)> = None;
    loop {
        tokio::time::sleep(INTERVAL).await;
        let asked = cache.question().filter(|question| question.by != own);
        if asked.as_ref() == known.as_ref().map(|(question, _)| question) {
            continue;
        }
        // What is over must not take away what is new.
        drop(known.take());
        known = asked.and_then(|question| {
            debug!(domain = %question.domain, "another gateway orders; its authority may look here");
            let expected = question.expect(challenges).ok()?;
            Some((question, expected))
        });
    }
}

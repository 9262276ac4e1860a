//! One certificate, from its order to its file.

use std::{fmt, sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{
    Cache, CacheError, Challenge, Challenges,
    cache::Announced,
    challenges::Expected,
    shared::{self, Question},
};

/// For the authority to look, and to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority refuses, or is not there.
    #[error(transparent)]
    Authority(#[from] instant_acme::Error),
    /// It looked, and did not find us.
    #[error("the authority did not find this gateway behind the name over {way}: {reason}")]
    NotFound { way: Challenge, reason: String },
    /// It does not look in that way.
    #[error("the authority does not offer {0} for this name")]
    NotOffered(Challenge),
    /// The others cannot be told.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Something cannot be made of keys and names.
    #[error("cannot make a request or a key")]
    Generate(#[from] rcgen::Error),
    /// The authority's answer is of no use.
    #[error("what the authority sent is no certificate for this name and key")]
    Unusable,
}

impl OrderError {
    /// Whether another way may lead further.
    pub(super) fn is_about_the_way(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotOffered(_))
    }

    /// Whether the authority has forgotten the account.
    pub(super) fn is_about_the_account(&self) -> bool {
        let Self::Authority(instant_acme::Error::Api(problem)) = self else { return false };
        problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":accountDoesNotExist"))
    }
}

/// Who orders.
#[derive(Debug)]
pub(super) struct Desk {
    /// This gateway, among those that share the cache.
    pub(super) id: String,
    pub(super) cache: Cache,
    pub(super) challenges: Arc<Challenges>,
}

/// Orders a certificate for `domain`. Returns it with its chain and its key, in PEM.
pub(super) async fn order(
    account: &Account,
    domain: &str,
    way: Challenge,
    desk: &Desk,
) -> Result<Zeroizing<String>, OrderError> {
    let names = [Identifier::Dns(domain.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let expected = prove(&mut order, domain, way, desk).await?;
    let status = order.poll_ready(&PATIENCE).await;
    drop(expected);
    match status {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(instant_acme::Error::Api(_)) => {
            return Err(OrderError::NotFound { way, reason: reason(&mut order, way).await });
        }
        Err(error) => return Err(error.into()),
    }
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([domain.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    order.finalize_csr(params.serialize_request(&key)?.der()).await?;
    let chain = order.poll_certificate(&PATIENCE).await?;
    let key = Zeroizing::new(key.serialize_pem());
    check(&chain, &key, domain)?;
    Ok(Zeroizing::new(format!("{}{chain}", *key)))
}

/// Gets everything ready for the authority to look, and tells it so. It may look until what is returned is dropped.
async fn prove(
    order: &mut Order,
    domain: &str,
    way: Challenge,
    desk: &Desk,
) -> Result<Vec<(Expected, Announced)>, OrderError> {
    let mut expected = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // The authority may remember that it found us.
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let offered = authorization.challenge(kind(way));
        let mut challenge = offered.ok_or(OrderError::NotOffered(way))?;
        let question = Question {
            by: desk.id.clone(),
            way,
            domain: domain.to_owned(),
            token: challenge.token.clone(),
            answer: challenge.key_authorization().as_str().to_owned(),
        };
        expected.push((question.expect(&desk.challenges)?, desk.cache.announce(&question)?));
        tokio::time::sleep(shared::NOTICE).await;
        challenge.set_ready().await?;
    }
    Ok(expected)
}

/// What the authority says of what it found.
async fn reason(order: &mut Order, way: Challenge) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Some(problem) = problem(&mut authorization, way).await {
            return problem;
        }
    }
    "it does not say why".to_owned()
}

async fn problem(authorization: &mut AuthorizationHandle<'_>, way: Challenge) -> Option<String> {
    let state = authorization.refresh().await.ok()?;
    let challenge = state.challenges.iter().find(|challenge| challenge.r#type == kind(way))?;
    challenge.error.as_ref().map(ToString::to_string)
}

/// Nothing is replaced by what nobody could be shown.
fn check(chain: &str, key: &str, domain: &str) -> Result<(), OrderError> {
    let certificates = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|_| OrderError::Unusable)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| OrderError::Unusable)?;
    let certified = CertifiedKey::from_der(certificates, key, &cli::provider());
    let certified = certified.map_err(|_| OrderError::Unusable)?;
    let names = certified.end_entity_cert().map(crate::tls::dns).unwrap_or_default();
    if names.iter().any(|name| name == domain) { Ok(()) } else { Err(OrderError::Unusable) }
}

fn kind(way: Challenge) -> ChallengeType {
    match way {
        Challenge::Http01 => ChallengeType::Http01,
        Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        })
    }
}

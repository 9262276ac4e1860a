//! One certificate, from its order to its file.

use std::{fmt, sync::Arc, time::Duration};

use instant_acme::{
    Account, AuthorizationHandle, AuthorizationStatus, ChallengeStatus, ChallengeType, Order, OrderStatus,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

use super::{
    Cache, CacheError, Challenge, Challenges,
    attentive::Heard,
    begin::begin,
    cache::Announced,
    challenges::Expected,
    poll::{Polled, poll},
    refusal::Refusal,
    shared::{self, Question},
    transport::Unreachable,
};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum OrderError {
    /// The authority refuses.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The authority is not there.
    #[error(transparent)]
    Unreachable(Box<Unreachable>),
    /// What it says is not understood.
    #[error("the authority's answer is not understood")]
    Authority(#[source] instant_acme::Error),
    /// It looked, and did not find us.
    #[error("the authority did not find this gateway behind the name over {way}: {reason}")]
    NotFound { way: Challenge, reason: Box<Refusal> },
    /// It does not look in that way.
    #[error("the authority does not offer {0} for this name")]
    NotOffered(Challenge),
    /// It takes its time, and does not say how much.
    #[error("the authority has not done with the order in time")]
    Slow,
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

impl From<instant_acme::Error> for OrderError {
    fn from(error: instant_acme::Error) -> Self {
        let other = match error {
            instant_acme::Error::Api(problem) => return Self::Refused(Box::new(problem.into())),
            instant_acme::Error::Other(other) => other,
            error => return Self::Authority(error),
        };
        let other = match other.downcast() {
            Ok(refusal) => return Self::Refused(refusal),
            Err(other) => other,
        };
        match other.downcast() {
            Ok(unreachable) => Self::Unreachable(unreachable),
            Err(other) => Self::Authority(instant_acme::Error::Other(other)),
        }
    }
}

impl OrderError {
    /// Whether another way may lead further.
    pub(super) fn is_about_the_way(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NotOffered(_))
    }

    /// Whether the authority has forgotten the account.
    pub(super) fn is_about_the_account(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is("accountDoesNotExist"))
    }

    /// Whether the very same may succeed later.
    pub(super) fn is_for_now(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_for_now(),
            Self::Unreachable(_) => true,
            _ => false,
        }
    }

    /// When the authority wants to be asked again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// What helps, if that is known.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) | Self::NotFound { reason: refusal, .. } => refusal.remedy(),
            Self::Unreachable(_) => Some(
                "let this gateway reach the authority, directly and over https; --acme-ca-file names a certificate to know it by",
            ),
            Self::NotOffered(_) => Some("leave --acme-challenge off, or name another one"),
            _ => None,
        }
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

/// What became of an order.
pub(super) enum Ordered {
    /// The certificate with its chain and its key, in PEM.
    Certificate(Zeroizing<String>),
    /// The authority needs time. It may look until `expected` is dropped; the order is in the cache.
    Later { pause: Duration, expected: Vec<Expected> },
}

/// Orders a certificate for `domain`, or goes on with an order that the cache knows of.
pub(super) async fn order(
    account: &Account,
    heard: &Heard,
    domain: &str,
    way: Challenge,
    desk: &Desk,
) -> Result<Ordered, OrderError> {
    let (mut order, key) = begin(account, domain, &desk.cache).await?;
    let ordered = drive(&mut order, &key, heard, domain, way, desk).await;
    let goes_on = match &ordered {
        Ok(Ordered::Certificate(_)) => false,
        Ok(Ordered::Later { .. }) => true,
        Err(error) => error.is_for_now(),
    };
    if !goes_on {
        desk.cache.forget_order(domain)?;
    }
    ordered
}

/// Does what is to be done for an order, from whichever state it is in.
async fn drive(
    order: &mut Order,
    key: &KeyPair,
    heard: &Heard,
    domain: &str,
    way: Challenge,
    desk: &Desk,
) -> Result<Ordered, OrderError> {
    if order.state().status == OrderStatus::Pending {
        let expected = prove(order, domain, way, desk).await?;
        if let Polled::Later(pause) = poll(order, heard, &[OrderStatus::Pending]).await? {
            let expected = expected.into_iter().map(|(expected, _announced)| expected).collect();
            return Ok(Ordered::Later { pause, expected });
        }
    }
    if order.state().status == OrderStatus::Invalid {
        return Err(OrderError::NotFound { way, reason: Box::new(reason(order, way).await) });
    }
    if order.state().status == OrderStatus::Ready {
        let mut params = CertificateParams::new([domain.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        order.finalize_csr(params.serialize_request(key)?.der()).await?;
    }
    // Some still say `ready` right behind the request.
    if let Polled::Later(pause) = poll(order, heard, &[OrderStatus::Ready, OrderStatus::Processing]).await? {
        return Ok(Ordered::Later { pause, expected: Vec::new() });
    }
    let chain = order.certificate().await?.ok_or(OrderError::Slow)?;
    let key = Zeroizing::new(key.serialize_pem());
    check(&chain, &key, domain)?;
    Ok(Ordered::Certificate(Zeroizing::new(format!("{}{chain}", *key))))
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
        // One that is under way stays so.
        let begun = [Challenge::TlsAlpn01, Challenge::Http01].into_iter().find(|way| {
            let mut challenges = authorization.challenges.iter();
            challenges.any(|one| one.r#type == kind(*way) && one.status == ChallengeStatus::Processing)
        });
        let way = begun.unwrap_or(way);
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
        if begun.is_none() {
            tokio::time::sleep(shared::NOTICE).await;
            challenge.set_ready().await?;
        }
    }
    Ok(expected)
}

/// What the authority says of what it found.
async fn reason(order: &mut Order, way: Challenge) -> Refusal {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Some(problem) = problem(&mut authorization, way).await {
            return problem;
        }
    }
    order.state().error.clone().map(Refusal::from).unwrap_or_default()
}

async fn problem(authorization: &mut AuthorizationHandle<'_>, way: Challenge) -> Option<Refusal> {
    let state = authorization.refresh().await.ok()?;
    let challenge = state.challenges.iter().find(|challenge| challenge.r#type == kind(way))?;
    challenge.error.clone().map(Refusal::from)
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

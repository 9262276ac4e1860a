//! Who this gateway is to an authority (RFC 8555, section 7.3).

use cli::pem::PemError;
use instant_acme::{Account, AccountBuilder, HttpClient, NewAccount};
use tracing::info;
use zeroize::Zeroizing;

use super::{
    AcmeConfig, Cache, CacheError, ExternalAccountError,
    attentive::{Attentive, Heard},
    order::OrderError,
    transport::Transport,
};

/// Why there is no account.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Trust(#[from] PemError),
    #[error(
        "the account in the cache cannot be read; remove account.json there, and another one is registered"
    )]
    Unreadable(#[source] serde_json::Error),
    #[error(transparent)]
    External(#[from] ExternalAccountError),
    /// With an account elsewhere it may be that one that is refused.
    #[error("the authority does not register an account for --acme-eab-kid {key_id}")]
    Bound { key_id: String, source: OrderError },
    #[error(transparent)]
    Refused(OrderError),
}

/// How an authority is reached.
pub(super) type Reach = dyn Fn(&AcmeConfig) -> Result<Box<dyn HttpClient>, PemError> + Send + Sync;

/// Over TLS, as an authority is reached but in tests.
pub(super) fn over_tls(config: &AcmeConfig) -> Result<Box<dyn HttpClient>, PemError> {
    Ok(Box::new(Transport::new(config)?))
}

/// The account in the cache; `None` if there is none.
pub(super) async fn known(
    config: &AcmeConfig,
    cache: &Cache,
    reach: &Reach,
) -> Result<Option<(Account, Heard)>, AccountError> {
    let Some(known) = cache.account()? else { return Ok(None) };
    let known = serde_json::from_slice(&known).map_err(AccountError::Unreadable)?;
    let (builder, heard) = builder(config, reach)?;
    let account = builder.from_credentials(known).await;
    Ok(Some((account.map_err(|error| AccountError::Refused(error.into()))?, heard)))
}

/// Makes an account, bound to one that exists elsewhere if the configuration names one (RFC 8555, section 7.3.4).
pub(super) async fn register(
    config: &AcmeConfig,
    cache: &Cache,
    reach: &Reach,
) -> Result<(Account, Heard), AccountError> {
    let external = config.external_account.as_ref();
    let binding = external.map(super::ExternalAccount::binding).transpose()?;
    let contact: Vec<_> = config.contacts.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let (builder, heard) = builder(config, reach)?;
    let made = builder.create(&new, config.directory.clone(), binding.as_ref()).await;
    let (account, credentials) = made.map_err(|error| match external {
        Some(external) => AccountError::Bound { key_id: external.key_id.clone(), source: error.into() },
        None => AccountError::Refused(error.into()),
    })?;
    let credentials = serde_json::to_vec(&credentials).map(Zeroizing::new);
    cache.store_account(&credentials.map_err(AccountError::Unreadable)?)?;
    info!(directory = %config.directory, account = %account.id(), "account registered");
    Ok((account, heard))
}

fn builder(config: &AcmeConfig, reach: &Reach) -> Result<(AccountBuilder, Heard), AccountError> {
    let (client, heard) = Attentive::new(reach(config)?);
    Ok((Account::builder_with_http(Box::new(client)), heard))
}

impl AccountError {
    /// What an authority had to do with it.
    pub(super) fn order(&self) -> Option<&OrderError> {
        match self {
            Self::Bound { source, .. } | Self::Refused(source) => Some(source),
            _ => None,
        }
    }

    /// What helps, if that is known.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        let known = self.order().and_then(OrderError::remedy);
        match self {
            Self::Bound { source: OrderError::Refused(refusal), .. } if !refusal.is_for_now() => Some(
                "see whether --acme-eab-kid and the key in --acme-eab-key-file are what this authority gave, and still good; some are good for one account only",
            ),
            _ => known,
        }
    }
}

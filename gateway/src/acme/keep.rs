//! Every name has a certificate, and a fresh one.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use instant_acme::{Account, NewAccount};
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    AcmeConfig, CacheError, Challenges,
    order::{self, Desk, OrderError},
    schedule, shared,
    transport::Transport,
};
use crate::TlsFileError;

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Trust(#[from] TlsFileError),
    #[error("the account in the cache cannot be read; remove it, and a new one is made")]
    Account(#[source] serde_json::Error),
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl From<instant_acme::Error> for AttemptError {
    fn from(error: instant_acme::Error) -> Self {
        Self::Order(error.into())
    }
}

/// A name, and what was tried for it.
#[derive(Debug)]
struct Name {
    domain: String,
    /// In a row.
    failures: u32,
    /// No attempt before.
    rests_until: Instant,
}

struct Keeper {
    config: AcmeConfig,
    desk: Desk,
}

/// What became of an attempt.
enum Attempt {
    /// There is a fresh certificate.
    Fresh,
    /// Another gateway is about it.
    Busy,
}

/// Orders and renews certificates, for ever. What fails changes nothing.
pub(crate) async fn keep(config: AcmeConfig, challenges: Arc<Challenges>) {
    let begun = link::now();
    let name = |domain: &String| Name { domain: domain.clone(), failures: 0, rests_until: begun };
    let mut names: Vec<_> = config.domains.iter().map(name).collect();
    let desk = Desk { id: Uuid::new_v4().to_string(), cache: config.cache(), challenges };
    let keeper = Keeper { config, desk };
    for Name { domain, .. } in names.iter().filter(|name| keeper.desk.cache.validity(&name.domain).is_none())
    {
        warn!(%domain, "no certificate yet: until the authority gives one, TLS for this name is refused or shows another");
    }
    let order = async {
        loop {
            let mut pause = Duration::MAX;
            for name in &mut names {
                pause = pause.min(keeper.visit(name).await);
            }
            tokio::time::sleep(pause).await;
        }
    };
    let Desk { id, cache, challenges } = &keeper.desk;
    tokio::join!(order, shared::answer_for_others(cache, challenges, id));
}

impl Keeper {
    /// Does what is to be done for a name. Returns when to come again.
    async fn visit(&self, name: &mut Name) -> Duration {
        let rest = name.rests_until.saturating_duration_since(link::now());
        let fresh = self.fresh(&name.domain);
        if !rest.is_zero() || !fresh.is_zero() {
            return rest.max(fresh);
        }
        match self.attempt(name).await {
            Ok(Attempt::Fresh) => name.failures = 0,
            Ok(Attempt::Busy) => debug!(domain = %name.domain, "another gateway is ordering"),
            Err(error) => {
                name.failures = name.failures.saturating_add(1);
                let again = self.rest(name);
                let kept = self.until(&name.domain).map(tracing::field::display);
                warn!(domain = %name.domain, error = format_args!("{:#}", anyhow::Error::from(error)), kept_until = kept, again_in = ?again, "no new certificate");
                return again;
            }
        }
        self.rest(name).max(self.fresh(&name.domain))
    }

    /// Until when the certificate for a name is good, for a log.
    fn until(&self, domain: &str) -> Option<impl fmt::Display> {
        let validity = self.desk.cache.validity(domain)?;
        Some(humantime::format_rfc3339_seconds(validity.until))
    }

    /// For how long nothing is to be done for a name.
    fn fresh(&self, domain: &str) -> Duration {
        let due = self.desk.cache.validity(domain).map_or(SystemTime::UNIX_EPOCH, schedule::due);
        schedule::until(due, SystemTime::now())
    }

    /// Leaves the authority alone for a while, also behind a success: its clock may be wrong.
    fn rest(&self, name: &mut Name) -> Duration {
        let draw = f64::from(getrandom::u32().unwrap_or_default()) / f64::from(u32::MAX);
        let pause = schedule::pause(self.config.retry, name.failures, draw);
        name.rests_until = link::now() + pause;
        pause
    }

    async fn attempt(&self, name: &Name) -> Result<Attempt, AttemptError> {
        let Some(_lock) = self.desk.cache.lock()? else { return Ok(Attempt::Busy) };
        // Another gateway may have been faster.
        if !self.fresh(&name.domain).is_zero() {
            return Ok(Attempt::Fresh);
        }
        info!(domain = %name.domain, directory = %self.config.directory, "ordering a certificate");
        let account = self.account().await?;
        let pem = match self.order(&account, name).await {
            Err(error) if error.is_about_the_account() => {
                self.desk.cache.forget_account()?;
                return Err(error.into());
            }
            ordered => ordered?,
        };
        self.desk.cache.store_certificate(&name.domain, &pem)?;
        let until = self.until(&name.domain);
        info!(domain = %name.domain, until = until.map(tracing::field::display), "certificate received");
        Ok(Attempt::Fresh)
    }

    async fn order(&self, account: &Account, name: &Name) -> Result<zeroize::Zeroizing<String>, OrderError> {
        let ways = schedule::ways(self.config.challenge, name.failures);
        let (last, first) = ways.split_last().expect("there is a way");
        for way in first {
            match order::order(account, &name.domain, *way, &self.desk).await {
                Err(error) if error.is_about_the_way() => {
                    info!(domain = %name.domain, %error, next = %last, "trying another way");
                }
                ordered => return ordered,
            }
        }
        order::order(account, &name.domain, *last, &self.desk).await
    }

    /// The account in the cache, or a new one.
    async fn account(&self) -> Result<Account, AttemptError> {
        let builder = Account::builder_with_http(Box::new(Transport::new(&self.config)?));
        if let Some(known) = self.desk.cache.account()? {
            let known = serde_json::from_slice(&known).map_err(AttemptError::Account)?;
            return Ok(builder.from_credentials(known).await?);
        }
        let contact: Vec<_> = self.config.contacts.iter().map(String::as_str).collect();
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let (account, credentials) = builder.create(&new, self.config.directory.clone(), None).await?;
        let credentials = serde_json::to_vec(&credentials).map_err(AttemptError::Account)?;
        self.desk.cache.store_account(&zeroize::Zeroizing::new(credentials))?;
        info!(directory = %self.config.directory, account = %account.id(), "account registered");
        Ok(account)
    }
}

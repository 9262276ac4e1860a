//! Every name has a certificate, and a fresh one.

use std::{
    error::Error,
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use instant_acme::Account;
use tracing::{debug, info, warn};
use uuid::Uuid;

use super::{
    AcmeConfig, CacheError, Challenges,
    account::{self, AccountError, Reach},
    attentive::Heard,
    challenges::Expected,
    order::{self, Desk, OrderError, Ordered},
    schedule, shared,
    suggestion::Suggestion,
};

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
enum AttemptError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Order(#[from] OrderError),
}

impl AttemptError {
    fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Cache(_) => None,
            Self::Account(error) => error.remedy(),
            Self::Order(error) => error.remedy(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Cache(_) => None,
            Self::Account(error) => error.order()?.retry_after(),
            Self::Order(error) => error.retry_after(),
        }
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
    /// When the authority suggests to renew what there is.
    suggestion: Option<Suggestion>,
    /// What the authority may look for meanwhile.
    expected: Vec<Expected>,
}

struct Keeper {
    config: AcmeConfig,
    desk: Desk,
    reach: Box<Reach>,
}

/// What became of an attempt.
enum Attempt {
    /// There is a fresh certificate.
    Fresh,
    /// Another gateway is about it.
    Busy,
    /// The authority is about it.
    Later { pause: Duration, expected: Vec<Expected> },
}

/// Orders and renews certificates, for ever. What fails changes nothing.
pub(crate) async fn keep(config: AcmeConfig, challenges: Arc<Challenges>) {
    let keeper = Keeper::new(config, challenges, Box::new(account::over_tls));
    let Desk { id, cache, challenges } = &keeper.desk;
    tokio::join!(keeper.order_all(), shared::answer_for_others(cache, challenges, id));
}

impl Keeper {
    fn new(config: AcmeConfig, challenges: Arc<Challenges>, reach: Box<Reach>) -> Self {
        let desk = Desk { id: Uuid::new_v4().to_string(), cache: config.cache(), challenges };
        Self { config, desk, reach }
    }

    async fn order_all(&self) {
        let begun = link::now();
        let name = |domain: &String| Name {
            domain: domain.clone(),
            failures: 0,
            rests_until: begun,
            suggestion: None,
            expected: Vec::new(),
        };
        let mut names: Vec<_> = self.config.domains.iter().map(name).collect();
        for Name { domain, .. } in
            names.iter().filter(|name| self.desk.cache.validity(&name.domain).is_none())
        {
            warn!(%domain, "no certificate yet: until the authority gives one, TLS for this name is refused or shows another");
        }
        loop {
            let mut pause = Duration::MAX;
            for name in &mut names {
                pause = pause.min(self.visit(name).await);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Does what is to be done for a name. Returns when to come again.
    async fn visit(&self, name: &mut Name) -> Duration {
        self.inquire(name).await;
        if self.idle(name).is_zero() {
            self.try_once(name).await;
        }
        let inquiry = self.suggestion(name).map_or(Duration::MAX, |suggestion| suggestion.rest());
        self.idle(name).min(inquiry)
    }

    async fn try_once(&self, name: &mut Name) {
        let attempt = self.attempt(name).await;
        // What the authority may have looked for until now. What it still may is in `attempt`.
        name.expected.clear();
        match attempt {
            Ok(Attempt::Fresh) => {
                name.failures = 0;
                self.rest(name, None);
            }
            Ok(Attempt::Busy) => {
                debug!(domain = %name.domain, "another gateway is ordering");
                self.rest(name, None);
            }
            Ok(Attempt::Later { pause, expected }) => {
                name.expected = expected;
                let again = self.rest(name, Some(pause));
                info!(domain = %name.domain, again_in = ?again, "the authority needs time for the certificate");
            }
            Err(error) => {
                name.failures = name.failures.saturating_add(1);
                let again = self.rest(name, error.retry_after());
                let kept = self.until(&name.domain).map(tracing::field::display);
                warn!(domain = %name.domain, error = %chain(&error), remedy = error.remedy(), kept_until = kept, again_in = ?again, "no new certificate");
            }
        }
    }

    /// Until when the certificate for a name is good, for a log.
    fn until(&self, domain: &str) -> Option<impl fmt::Display> {
        let validity = self.desk.cache.validity(domain)?;
        Some(humantime::format_rfc3339_seconds(validity.until))
    }

    /// For how long nothing is to be tried for a name.
    fn idle(&self, name: &Name) -> Duration {
        self.fresh(name).max(name.rests_until.saturating_duration_since(link::now()))
    }

    /// For how long the certificate for a name is fresh: until the authority suggests to renew it, or it is old.
    fn fresh(&self, name: &Name) -> Duration {
        let Some(validity) = self.desk.cache.validity(&name.domain) else { return Duration::ZERO };
        let id = self.desk.cache.certificate_id(&name.domain);
        let suggestion =
            name.suggestion.as_ref().filter(|suggestion| id.is_some_and(|id| suggestion.is_about(&id)));
        let due = suggestion.and_then(Suggestion::due).unwrap_or_else(|| schedule::due(validity));
        schedule::until(due, SystemTime::now())
    }

    /// What is known of the certificate that there is; `None` if there is none about which an authority can be asked.
    fn suggestion<'a>(&self, name: &'a mut Name) -> Option<&'a mut Suggestion> {
        let Some(id) = self.desk.cache.certificate_id(&name.domain) else {
            name.suggestion = None;
            return None;
        };
        let known = name.suggestion.take().filter(|suggestion| suggestion.is_about(&id));
        Some(name.suggestion.insert(known.unwrap_or_else(|| Suggestion::new(id))))
    }

    /// Asks the authority when to renew, if it is time to.
    async fn inquire(&self, name: &mut Name) {
        let Some(validity) = self.desk.cache.validity(&name.domain) else { return };
        let domain = name.domain.clone();
        let Some(suggestion) = self.suggestion(name).filter(|suggestion| suggestion.rest().is_zero()) else {
            return;
        };
        match account::known(&self.config, &self.desk.cache, &*self.reach).await {
            Ok(Some((account, _))) => suggestion.ask(&account, &domain, validity, self.config.retry).await,
            // Nobody is registered only to ask.
            Ok(None) => suggestion.put_off(),
            Err(error) => {
                info!(%domain, error = %chain(&error), "cannot ask when to renew; the usual rule counts");
                suggestion.put_off();
            }
        }
    }

    /// Leaves the authority alone for a while, also behind a success: its clock may be wrong. If it asked for a pause it is
    /// that one.
    fn rest(&self, name: &mut Name, told: Option<Duration>) -> Duration {
        let left = self
            .desk
            .cache
            .validity(&name.domain)
            .map(|validity| validity.until.duration_since(SystemTime::now()).unwrap_or_default());
        let pause = match told {
            Some(told) => schedule::told(told, schedule::draw()),
            None => schedule::pause(self.config.retry, name.failures, left, schedule::draw()),
        };
        name.rests_until = link::now() + pause;
        pause
    }

    async fn attempt(&self, name: &Name) -> Result<Attempt, AttemptError> {
        let Some(_lock) = self.desk.cache.lock()? else { return Ok(Attempt::Busy) };
        // Another gateway may have been faster.
        if !self.fresh(name).is_zero() {
            return Ok(Attempt::Fresh);
        }
        info!(domain = %name.domain, directory = %self.config.directory, "ordering a certificate");
        let (account, heard) = match account::known(&self.config, &self.desk.cache, &*self.reach).await? {
            Some(known) => known,
            None => account::register(&self.config, &self.desk.cache, &*self.reach).await?,
        };
        let pem = match self.order(&account, &heard, name).await {
            Err(error) if error.is_about_the_account() => {
                self.desk.cache.forget_account()?;
                return Err(error.into());
            }
            Ok(Ordered::Later { pause, expected }) => return Ok(Attempt::Later { pause, expected }),
            Ok(Ordered::Certificate(pem)) => pem,
            Err(error) => return Err(error.into()),
        };
        self.desk.cache.store_certificate(&name.domain, &pem)?;
        let until = self.until(&name.domain);
        info!(domain = %name.domain, until = until.map(tracing::field::display), "certificate received");
        Ok(Attempt::Fresh)
    }

    async fn order(&self, account: &Account, heard: &Heard, name: &Name) -> Result<Ordered, OrderError> {
        let ways = schedule::ways(self.config.challenge, name.failures);
        let (last, first) = ways.split_last().expect("there is a way");
        for way in first {
            match order::order(account, heard, &name.domain, *way, &self.desk).await {
                Err(error) if error.is_about_the_way() => {
                    info!(domain = %name.domain, %error, next = %last, "trying another way");
                }
                ordered => return ordered,
            }
        }
        order::order(account, heard, &name.domain, *last, &self.desk).await
    }
}

/// An error with all that led to it, in one line for a log. The library repeats its causes.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut error = error;
    while let Some(cause) = error.source() {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        error = cause;
    }
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;

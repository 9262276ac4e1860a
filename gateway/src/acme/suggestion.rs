//! When an authority suggests to renew a certificate (RFC 9773).

use std::{
    ops::Range,
    time::{Duration, Instant, SystemTime},
};

use instant_acme::{Account, CertificateIdentifier, Error, RenewalInfo};
use tracing::{debug, info, warn};

use super::{Retry, order::OrderError, refusal::clean, schedule};
use crate::tls::Validity;

/// No sooner than this is an authority asked again, whatever it says (RFC 9773, section 4.3.2).
const LEAST: Duration = Duration::from_secs(60);
/// Asked again after this whether it makes suggestions now.
const NOT_OFFERED: Duration = Duration::from_secs(24 * 60 * 60);

/// What is known of one certificate.
#[derive(Debug)]
pub(super) struct Suggestion {
    /// The certificate.
    id: CertificateIdentifier<'static>,
    chosen: Option<Chosen>,
    /// In a row.
    failures: u32,
    asks_again: Instant,
}

#[derive(Clone, Debug)]
struct Chosen {
    window: Range<SystemTime>,
    at: SystemTime,
}

/// Why there is no suggestion.
#[derive(Debug, thiserror::Error)]
enum SuggestionError {
    #[error(transparent)]
    Authority(OrderError),
    #[error("the suggested window ends before it begins, or begins when the certificate has ended")]
    Window,
}

impl Suggestion {
    /// Nothing is known yet, and the authority may be asked.
    pub(super) fn new(id: CertificateIdentifier<'static>) -> Self {
        Self { id, chosen: None, failures: 0, asks_again: link::now() }
    }

    pub(super) fn is_about(&self, id: &CertificateIdentifier<'_>) -> bool {
        self.id == *id
    }

    /// When to renew, if the authority has said so.
    pub(super) fn due(&self) -> Option<SystemTime> {
        self.chosen.as_ref().map(|chosen| chosen.at)
    }

    /// For how long the authority is not to be asked.
    pub(super) fn rest(&self) -> Duration {
        self.asks_again.saturating_duration_since(link::now())
    }

    /// Leaves the authority alone.
    pub(super) fn put_off(&mut self) {
        self.asks_again = link::now() + NOT_OFFERED / 24;
    }

    /// Asks the authority. Whatever becomes of it, what was known before stays until something better is.
    pub(super) async fn ask(&mut self, account: &Account, domain: &str, validity: Validity, retry: Retry) {
        let pause = match account.renewal_info(&self.id).await {
            Err(Error::Unsupported(_)) => {
                debug!(%domain, "the authority does not suggest when to renew");
                NOT_OFFERED
            }
            Err(error) => self.failed(domain, &SuggestionError::Authority(error.into()), retry),
            Ok((info, pause)) => match self.take(domain, info, validity) {
                Ok(()) => pause,
                Err(error) => self.failed(domain, &error, retry),
            },
        };
        self.asks_again = link::now() + schedule::told(pause.max(LEAST), schedule::draw());
    }

    fn take(&mut self, domain: &str, info: RenewalInfo, validity: Validity) -> Result<(), SuggestionError> {
        let window = SystemTime::from(info.suggested_window.start)..info.suggested_window.end.into();
        if window.is_empty() || window.start >= validity.until {
            return Err(SuggestionError::Window);
        }
        self.failures = 0;
        if self.chosen.as_ref().is_some_and(|chosen| chosen.window == window) {
            return Ok(());
        }
        let at = schedule::suggested(validity, window.clone(), schedule::draw());
        let explanation = info.explanation_url.map(clean);
        info!(%domain, renewal = %humantime::format_rfc3339_seconds(at), explanation, "the authority suggests when to renew");
        self.chosen = Some(Chosen { window, at });
        Ok(())
    }

    /// Returns how long to leave the authority alone.
    fn failed(&mut self, domain: &str, error: &SuggestionError, retry: Retry) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let told = match error {
            SuggestionError::Authority(error) => error.retry_after(),
            SuggestionError::Window => None,
        };
        let pause = told.unwrap_or_else(|| schedule::pause(retry, self.failures, None, schedule::draw()));
        warn!(%domain, error = %crate::acme::keep::chain(error), again_in = ?pause, "the authority does not say when to renew; what is known counts");
        pause
    }
}

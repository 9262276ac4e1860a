//! Hears what an authority says besides what it was asked for: when to come again, and what it refuses.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header::RETRY_AFTER};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use serde::Deserialize;

use super::{refusal::Refusal, retry_after};

/// Asked again after this about renewals, where an authority does not say (RFC 9773, section 4.3).
const UNSAID: u64 = 6 * 60 * 60;

/// Passes requests on. Answers that are errors become a [`Refusal`] inside the library's error, whatever their body is, and
/// no `retry-after` gets through that the library cannot add to the time of day.
pub(super) struct Attentive {
    client: Box<dyn HttpClient>,
    heard: Heard,
}

/// The pause that the last answer asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Duration>>>);

impl Heard {
    /// `None` if it asked for none.
    pub(super) fn pause(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, pause: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pause;
    }
}

impl Attentive {
    pub(super) fn new(client: Box<dyn HttpClient>) -> (Self, Heard) {
        let heard = Heard::default();
        (Self { client, heard: heard.clone() }, heard)
    }
}

/// Makes sure that the library can use an answer to a request that nobody signed: a directory, or a suggestion when to renew.
async fn unsigned(mut answer: BytesResponse, pause: Option<Duration>) -> Result<BytesResponse, Error> {
    /// The one address for which the library does not expect nonsense.
    #[derive(Deserialize)]
    struct Directory {
        #[serde(rename = "newNonce")]
        new_nonce: String,
    }
    // It takes no suggestion without.
    if pause.is_none() {
        answer.parts.headers.insert(RETRY_AFTER, HeaderValue::from(UNSAID));
    }
    let body = answer.body.into_bytes().await.map_err(Error::Other)?;
    if let Ok(Directory { new_nonce }) = serde_json::from_slice(&body) {
        new_nonce.parse::<Uri>()?;
    }
    Ok(BytesResponse { parts: answer.parts, body: Box::new(body) })
}

impl HttpClient for Attentive {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let is_get = *request.method() == Method::GET;
        let (answer, heard) = (self.client.request(request), self.heard.clone());
        Box::pin(async move {
            let mut answer = answer.await?;
            let status = answer.parts.status;
            let pause = retry_after::bound(&mut answer.parts.headers, SystemTime::now());
            heard.set(pause);
            if !status.is_client_error() && !status.is_server_error() {
                return if is_get { unsigned(answer, pause).await } else { Ok(answer) };
            }
            let body = answer.body.into_bytes().await.map_err(Error::Other)?;
            let refusal = Refusal::read(status, &body, pause);
            // With another nonce the library tries again by itself.
            if status == StatusCode::BAD_REQUEST && refusal.is("badNonce") {
                return Ok(BytesResponse { parts: answer.parts, body: Box::new(body) });
            }
            Err(Error::Other(Box::new(refusal)))
        })
    }
}

//! From the agent's head to the client's.

use http::{HeaderValue, Method, Response, StatusCode, header::CONTENT_LENGTH};
use hyper::ext::ReasonPhrase;
use session::{Exchange, ResponseHead};
use uuid::Uuid;

use super::body::{Expected, ResponseBody};
use crate::{
    error::{INDRANET_ERROR, X_REQUEST_ID},
    metrics::Observation,
};

/// A head, and where its body comes from.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) receiver: Exchange,
}

/// Passes an agent's answer on.
pub(super) fn relay(
    id: Uuid,
    method: &Method,
    answer: Answer,
    observation: Observation,
) -> Response<ResponseBody> {
    let Answer { head, receiver } = answer;
    let ResponseHead { status, fields, reason, .. } = head;
    let mut headers = fields.headers;
    headers.remove(&INDRANET_ERROR); // nobody but the gateway speaks for the gateway
    headers.insert(X_REQUEST_ID, id_value(id));

    let bodiless =
        *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let Some(length) = fields.content_length.filter(|_| status != StatusCode::NO_CONTENT) {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    let expected = match fields.content_length {
        _ if bodiless => Expected::Nothing,
        Some(length) => Expected::Exactly(length),
        None => Expected::Anything,
    };
    let mut response = Response::new(ResponseBody::relayed(receiver, expected, observation));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    if let Some(reason) = reason.and_then(|reason| ReasonPhrase::try_from(reason.into_string()).ok()) {
        response.extensions_mut().insert(reason);
    }
    response
}

fn id_value(id: Uuid) -> HeaderValue {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = id.hyphenated().encode_lower(&mut buffer);
    HeaderValue::from_str(text).expect("a UUID is made of hex digits and hyphens")
}

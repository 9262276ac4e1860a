//! Health and metrics, for operators only: bound to loopback by default.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    stage::{Life, Stage},
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// What the admin port answers.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) life: Life,
    pub(crate) draining: CancellationToken,
}

impl Admin {
    /// `/healthz`: the process lives. `/readyz`: it takes requests. `/metrics`: what it counts.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"));
        }
        Ok(match request.uri().path() {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.draining.is_cancelled() => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
            "/readyz" if self.life.stage() == Stage::Starting => {
                text(StatusCode::SERVICE_UNAVAILABLE, "starting\n")
            }
            "/readyz" if self.life.stage() == Stage::Superseded => {
                text(StatusCode::SERVICE_UNAVAILABLE, "superseded\n")
            }
            "/readyz" => text(StatusCode::OK, "ready\n"),
            "/metrics" => body(StatusCode::OK, OPENMETRICS, self.metrics.text().into()),
            _ => text(StatusCode::NOT_FOUND, "here are /healthz, /readyz and /metrics\n"),
        })
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    body(status, TEXT, Bytes::from_static(text.as_bytes()))
}

fn body(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

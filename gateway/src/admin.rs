//! Health and metrics, for operators only: bound to loopback by default.

use std::{convert::Infallible, sync::Arc};

use cli::operators::{self, Answer, text};
use http::{Request, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::{
    metrics::Metrics,
    stage::{Life, Stage},
};

/// What the admin port answers.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) life: Life,
    pub(crate) draining: CancellationToken,
}

impl Admin {
    /// `/healthz`: the process lives. `/readyz`: it takes requests. `/metrics`: what it counts.
    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Result<Answer, Infallible> {
        Ok(operators::answer(request, |path| match path {
            "/healthz" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.obstacle() {
                None => text(StatusCode::OK, "ready\n"),
                Some(obstacle) => text(StatusCode::SERVICE_UNAVAILABLE, obstacle),
            },
            "/metrics" => operators::metrics(self.metrics.text()),
            _ => text(StatusCode::NOT_FOUND, "here are /healthz, /readyz and /metrics\n"),
        }))
    }

    /// Why no requests are taken.
    fn obstacle(&self) -> Option<&'static str> {
        if self.draining.is_cancelled() {
            return Some("draining\n");
        }
        match self.life.stage() {
            Stage::Starting => Some("starting\n"),
            Stage::Superseded => Some("superseded\n"),
            _ => None,
        }
    }
}

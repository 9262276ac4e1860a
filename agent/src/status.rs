//! How an agent is: a document that a running agent answers with.

use std::{sync::Arc, time::Duration};

use link::LinkState;
use serde::{Deserialize, Serialize};

use crate::{
    board::{Board, Why},
    record::Record,
};

pub mod socket;

/// How an agent is, at one moment. Holds no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Status {
    /// The name that the agent is reachable under.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// Seconds since it began.
    pub uptime_s: f64,
    /// Where clients reach the service.
    pub public_urls: Vec<String>,
    /// The local service.
    pub target: String,
    /// Whether that can be asked.
    pub health: HealthStatus,
    /// In the order of their numbers. A number stands more than once while a link ends beside its successor.
    pub links: Vec<LinkStatus>,
}

/// Whether the local service can be asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HealthStatus {
    /// Whether anybody looks after it.
    pub checked: bool,
    /// What the gateway is told.
    pub serving: bool,
    /// Why it cannot be asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// How a link is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LinkStatus {
    /// Which of the agent's links it is.
    pub number: u32,
    /// `disconnected`, `connecting`, `authenticating`, `connected`, `processing`, `heartbeat` or `draining`.
    pub state: String,
    /// `grpc` or `ws`.
    pub transport: Option<String>,
    /// The address that was dialled.
    pub gateway: Option<String>,
    /// The gateway's name for itself.
    pub gateway_id: Option<String>,
    /// Seconds since it was accepted.
    pub age_s: Option<f64>,
    /// The smallest round trip of the last minute, in milliseconds.
    pub round_trip_ms: Option<f64>,
    /// Requests in progress.
    pub in_progress: usize,
    /// Requests that came on it so far.
    pub served: u64,
    /// How many links of this number ended before it.
    pub reconnects: u64,
    /// Why there is none at the moment.
    pub last_error: Option<String>,
    /// Seconds until the next attempt.
    pub retry_in_s: Option<f64>,
}

/// Where to ask how an agent is. Cheap to clone.
#[derive(Clone)]
pub struct Source {
    board: Arc<Board>,
}

impl Source {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self { board }
    }

    /// How the agent is at this moment.
    pub fn status(&self) -> Status {
        let board = &self.board;
        let health = board.health().borrow().clone();
        Status {
            id: board.agent_id.clone(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: seconds(link::now().saturating_duration_since(board.begun)),
            public_urls: board.public_urls(),
            target: board.target.clone(),
            health: HealthStatus {
                checked: board.is_checked,
                serving: health.serving,
                message: health.message,
            },
            links: (0..board.slots()).flat_map(|slot| links(board, slot)).collect(),
        }
    }

    /// How often a link had to be replaced, by reason.
    pub(crate) fn reconnects(&self) -> impl Iterator<Item = (Why, u64)> {
        self.board.reconnects()
    }

    /// How many requests ended in which way.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.board.requests()
    }
}

impl Status {
    /// Whether requests can come.
    pub fn is_online(&self) -> bool {
        self.links.iter().any(LinkStatus::is_ready)
    }
}

impl LinkStatus {
    fn is_ready(&self) -> bool {
        [LinkState::Connected, LinkState::Processing, LinkState::Heartbeat]
            .iter()
            .any(|state| state.label() == self.state)
    }
}

/// The links of one slot: those that the gateway accepted, or else the attempt that has come furthest.
fn links(board: &Board, slot: u32) -> Vec<LinkStatus> {
    let (links, reconnects, last_error, retry_at) = {
        let place = board.place(slot);
        (place.links(), place.reconnects, place.last_error.clone(), place.retry_at)
    };
    let none = LinkStatus {
        number: slot,
        state: LinkState::Disconnected.label().to_owned(),
        transport: None,
        gateway: None,
        gateway_id: None,
        age_s: None,
        round_trip_ms: None,
        in_progress: 0,
        served: 0,
        reconnects,
        last_error,
        retry_in_s: retry_at.map(|at| seconds(at.saturating_duration_since(link::now()))),
    };
    let is_alive = |link: &&Arc<Record>| link.state() != LinkState::Disconnected;
    let alive: Vec<_> = links.iter().filter(is_alive).collect();
    let accepted: Vec<_> =
        alive.iter().filter(|link| link.accepted().is_some()).map(|link| of(link, &none)).collect();
    if !accepted.is_empty() {
        return accepted;
    }
    let furthest = alive.into_iter().max_by_key(|link| link.state() == LinkState::Authenticating);
    vec![furthest.map_or(none.clone(), |link| of(link, &none))]
}

fn of(record: &Record, none: &LinkStatus) -> LinkStatus {
    let accepted = record.accepted();
    let round_trip = accepted.and_then(|accepted| accepted.link.table().min_rtt());
    LinkStatus {
        state: record.state().label().to_owned(),
        transport: Some(record.gateway().transport.label().to_owned()),
        gateway: Some(record.gateway().to_string()),
        gateway_id: accepted.map(|accepted| accepted.gateway_id.clone()),
        age_s: accepted.map(|accepted| seconds(link::now().saturating_duration_since(accepted.since))),
        round_trip_ms: round_trip.map(|round_trip| seconds(round_trip * 1000)),
        in_progress: record.in_progress(),
        served: record.taken(),
        ..none.clone()
    }
}

/// With as many digits as anybody wants to read.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1000.0).round() / 1000.0
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("agent", &self.board.agent_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;

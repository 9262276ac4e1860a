use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    Config, Event, GatewayUrl, Observer, Shutdown, UpstreamPool,
    backoff::Backoff,
    connection::{ConnectFailure, Connector, Ready},
    forward::Forwarder,
    session::{Notice, Session},
};

/// Pause after the gateway refused credentials that it used to accept.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Why an agent gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The gateway will not have this agent, now or later.
    #[error("{0}")]
    Refused(String),
    /// No gateway could be reached in as many attempts as allowed.
    #[error("no gateway could be reached in {attempts} attempts, the last one: {reason}")]
    Unreachable {
        /// Attempts in a row that failed.
        attempts: u32,
        /// Why the last one did.
        reason: String,
    },
}

/// Runs an agent until `shutdown`: connects, serves, reconnects.
///
/// # Errors
/// [`RunError`]. Being refused is an error only before the first success; later it may be an operator's mistake that is
/// soon put right, and is tried again, slowly and loudly.
///
/// # Cancel safety
/// Dropping the future aborts every exchange and closes the link.
pub async fn run(config: Config, observer: Observer, shutdown: Shutdown) -> Result<(), RunError> {
    let abort = shutdown.abort.clone();
    let agent = Agent::new(config, observer, shutdown.drain);
    tokio::select! {
        outcome = agent.run() => outcome,
        () = abort.cancelled() => Ok(()),
    }
}

struct Agent {
    config: Arc<Config>,
    connector: Connector,
    forwarder: Arc<Forwarder>,
    observer: Observer,
    shutdown: CancellationToken,
    /// Sessions, the current one and those that are on their way out.
    sessions: TaskTracker,
    backoff: Backoff,
    was_online: bool,
}

/// How a session ceased to be the current one.
enum Leaving {
    /// It is over.
    Ended(String),
    /// It goes on with what is in progress while another takes its place.
    Replace(Duration),
}

impl Agent {
    fn new(config: Config, observer: Observer, shutdown: CancellationToken) -> Self {
        let config = Arc::new(config);
        let pool = UpstreamPool::new(config.upstream.clone());
        Self {
            connector: Connector::new(Arc::clone(&config)),
            forwarder: Forwarder::new(pool, Arc::clone(&observer)),
            config,
            observer,
            shutdown,
            sessions: TaskTracker::new(),
            backoff: Backoff::new(),
            was_online: false,
        }
    }

    async fn run(mut self) -> Result<(), RunError> {
        let shutdown = self.shutdown.clone();
        loop {
            let connected = tokio::select! {
                connected = self.connect_any() => connected,
                () = shutdown.cancelled() => break,
            };
            let reason = match connected {
                Ok((url, ready)) => {
                    let begun = Instant::now();
                    let leaving = self.serve(&url, ready).await;
                    if shutdown.is_cancelled() {
                        break;
                    }
                    self.backoff.on_connected_for(begun.elapsed());
                    match leaving {
                        Leaving::Replace(spread) => {
                            tokio::time::sleep(spread.mul_f64(rand::random())).await;
                            continue;
                        }
                        Leaving::Ended(reason) => self.pause(reason, None),
                    }
                }
                Err(failure) => self.on_failure(&failure)?,
            };
            tokio::select! {
                () = tokio::time::sleep(reason) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.sessions.close();
        self.sessions.wait().await;
        Ok(())
    }

    /// Tries every address once, in order.
    async fn connect_any(&mut self) -> Result<(GatewayUrl, Ready), ConnectFailure> {
        let config = Arc::clone(&self.config);
        let mut last = None;
        for url in &config.gateways {
            (self.observer)(Event::Connecting { gateway: url.to_string() });
            match self.connector.connect(url).await {
                Ok(ready) => return Ok((url.clone(), ready)),
                Err(failure) => {
                    debug!(gateway = %url, %failure, "cannot connect");
                    last = Some(failure);
                }
            }
        }
        Err(last.expect("a configuration names at least one gateway"))
    }

    /// Serves on a link for as long as it is the current one.
    async fn serve(&mut self, url: &GatewayUrl, ready: Ready) -> Leaving {
        self.was_online = true;
        (self.observer)(Event::Online {
            public_urls: ready.accepted.public_urls.clone(),
            transport: url.transport.label(),
            gateway_id: ready.accepted.gateway_id.clone(),
            gateway: url.to_string(),
        });
        let link = ready.link.clone();
        let session = Session::new(
            link.clone(),
            Arc::clone(&self.forwarder),
            Arc::clone(&self.observer),
            self.config.grace_period,
        );
        let (notices, mut heard) = mpsc::unbounded_channel();
        let mut running = self.sessions.spawn(session.run(ready, notices, self.shutdown.clone()));
        let mut told = false;
        loop {
            tokio::select! {
                ended = &mut running => {
                    return Leaving::Ended(ended.unwrap_or_else(|panic| panic.to_string()));
                }
                Some(Notice::Leave { reason, reconnect_after }) = heard.recv() => {
                    if reason != proto::drain::Reason::Replaced {
                        return Leaving::Replace(reconnect_after);
                    }
                }
                () = self.shutdown.cancelled(), if !told => {
                    told = true;
                    (self.observer)(Event::Draining { in_flight: link.table().active() });
                }
            }
        }
    }

    /// Decides whether to go on after no address accepted us, and after which pause.
    fn on_failure(&mut self, failure: &ConnectFailure) -> Result<Duration, RunError> {
        if failure.is_final() {
            if !self.was_online {
                return Err(RunError::Refused(failure.to_string()));
            }
            warn!(reason = %failure, "the gateway no longer accepts this agent; trying again every minute");
            return Ok(self.pause(failure.to_string(), Some(REFUSED_PAUSE)));
        }
        let pause = self.pause(failure.to_string(), failure.retry_after());
        let attempts = self.backoff.failures();
        match self.config.max_retries {
            Some(retries) if attempts > retries => {
                Err(RunError::Unreachable { attempts, reason: failure.to_string() })
            }
            _ => Ok(pause),
        }
    }

    fn pause(&mut self, reason: String, at_least: Option<Duration>) -> Duration {
        let drawn = self.backoff.on_failure(Instant::now(), rand::random);
        let retry_in = drawn + at_least.unwrap_or_default();
        (self.observer)(Event::Offline { reason, retry_in });
        retry_in
    }
}

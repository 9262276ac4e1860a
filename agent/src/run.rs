use std::{
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use proto::{drain, limits};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::{
    Config, Event, Observer, Shutdown,
    backoff::Backoff,
    choice::{self, Failures, Reached},
    connection::{ConnectFailure, Connector, Ready},
    forward::{Forwarder, Routes},
    session::{Notice, Session},
};

/// Pause after the gateway refused credentials that it used to accept.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// How often a better address is tried while a lesser one is in use: at first, and after that many times.
const PROBE_OFTEN: Duration = Duration::from_secs(10);
const PROBES_OFTEN: u32 = 30;
const PROBE_RARELY: Duration = Duration::from_secs(60);

/// A link that is sent away sooner than this was no good one.
const HASTY: Duration = Duration::from_secs(1);

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
    /// Position of the address that accepted us last.
    last: Option<usize>,
    /// Whether a better address is being tried at this moment.
    probing: AtomicBool,
}

/// How a session ceased to be the current one.
enum Leaving {
    /// It is over.
    Ended(String),
    /// It goes on with what is in progress while another takes its place, after a pause.
    Replace(Duration),
    /// It goes on likewise, and a better link is there already.
    Better(Box<Reached>),
    /// The agent shuts down.
    Shutdown,
}

impl Agent {
    fn new(config: Config, observer: Observer, shutdown: CancellationToken) -> Self {
        let config = Arc::new(config);
        let routes = Routes::new(&config);
        Self {
            connector: Connector::new(Arc::clone(&config)),
            forwarder: Forwarder::new(routes, Arc::clone(&observer)),
            config,
            observer,
            shutdown,
            sessions: TaskTracker::new(),
            backoff: Backoff::new(),
            last: None,
            probing: AtomicBool::new(false),
        }
    }

    async fn run(mut self) -> Result<(), RunError> {
        let shutdown = self.shutdown.clone();
        let mut better = None;
        loop {
            let connected = match better.take() {
                Some(reached) => Ok(reached),
                None => tokio::select! {
                    connected = self.connect() => connected,
                    () = shutdown.cancelled() => break,
                },
            };
            let pause = match connected {
                Ok(reached) => {
                    let begun = link::now();
                    let leaving = self.serve(reached).await;
                    self.backoff.on_connected_for(begun.elapsed());
                    match leaving {
                        Leaving::Shutdown => break,
                        Leaving::Ended(reason) => self.pause(reason, None),
                        // A gateway that sends every link away at once is not asked again without a pause.
                        Leaving::Replace(_) if begun.elapsed() < HASTY => HASTY.mul_f64(rand::random()),
                        Leaving::Replace(spread) => spread.mul_f64(rand::random()),
                        Leaving::Better(reached) => {
                            better = Some(*reached);
                            continue;
                        }
                    }
                }
                Err(failures) => match self.on_failure(&failures) {
                    Ok(pause) => pause,
                    Err(error) => {
                        // An older link may still have requests to finish.
                        self.finish().await;
                        return Err(error);
                    }
                },
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => break,
            }
        }
        self.finish().await;
        Ok(())
    }

    async fn finish(&self) {
        self.sessions.close();
        self.sessions.wait().await;
    }

    /// Tries every address, the one that worked last before the others.
    async fn connect(&self) -> Result<Reached, Failures<ConnectFailure>> {
        let urls = &self.config.gateways;
        let mut order: Vec<usize> = (0..urls.len()).collect();
        order.sort_by_key(|index| Some(*index) != self.last);
        (self.observer)(Event::Connecting { gateway: urls[order[0]].to_string() });
        choice::first(&self.connector, urls, &order).await
    }

    /// Serves on a link for as long as it is the current one.
    async fn serve(&mut self, reached: Reached) -> Leaving {
        let Reached { index, ready, passed_over } = reached;
        self.announce(index, &ready, &passed_over);
        self.last = Some(index);
        let link = ready.link.clone();
        let session = Session::new(
            link.clone(),
            Arc::clone(&self.forwarder),
            Arc::clone(&self.observer),
            self.config.grace_period,
        );
        let (notices, mut heard) = mpsc::unbounded_channel();
        let mut running = self.sessions.spawn(session.run(ready, notices, self.shutdown.clone()));
        let mut better = pin!(self.find_better(index));
        loop {
            tokio::select! {
                ended = &mut running => {
                    // A better link may have replaced this one already, though we have not read yet that it may: to
                    // give it up now would leave the gateway with a link that nobody serves.
                    if self.probing.load(Relaxed)
                        && let Ok(reached) = timeout(limits::CONNECT_TIMEOUT, &mut better).await
                    {
                        return Leaving::Better(Box::new(reached));
                    }
                    return Leaving::Ended(ended.unwrap_or_else(|panic| panic.to_string()));
                }
                Some(Notice::Leave { reason, reconnect_after }) = heard.recv() => {
                    // A link that replaced this one is our own, and will be heard of by other means.
                    if reason != drain::Reason::Replaced {
                        return Leaving::Replace(reconnect_after);
                    }
                }
                reached = &mut better => return Leaving::Better(Box::new(reached)),
                () = self.shutdown.cancelled() => {
                    (self.observer)(Event::Draining { in_flight: link.table().active() });
                    return Leaving::Shutdown;
                }
            }
        }
    }

    fn announce(&self, index: usize, ready: &Ready, passed_over: &[(usize, ConnectFailure)]) {
        let urls = &self.config.gateways;
        let url = &urls[index];
        if let Some((better, failure)) = passed_over.iter().find(|(better, _)| *better < index) {
            warn!("{} does not work ({failure}); using {url}", urls[*better]);
        } else if index > 0 && self.last != Some(index) {
            warn!("{} does not answer; using {url}", urls[0]);
        } else if self.last.is_some_and(|last| last > index) {
            info!("{url} works again; using it");
        }
        (self.observer)(Event::Online {
            public_urls: ready.accepted.public_urls.clone(),
            transport: url.transport.label(),
            gateway_id: ready.accepted.gateway_id.clone(),
            gateway: url.to_string(),
        });
    }

    /// Looks for a link over a better address than the `current` one until there is one; for ever if there is none
    /// better. The gateway moves new requests to it and lets the old link finish: no request notices.
    async fn find_better(&self, current: usize) -> Reached {
        let order: Vec<usize> = (0..current).collect();
        let mut probes = 0;
        loop {
            let interval = match probes {
                _ if order.is_empty() => return pending().await,
                0..PROBES_OFTEN => PROBE_OFTEN,
                _ => PROBE_RARELY,
            };
            tokio::time::sleep(interval.mul_f64(0.8 + 0.4 * rand::random::<f64>())).await;
            probes += 1;
            self.probing.store(true, Relaxed);
            let outcome = choice::first(&self.connector, &self.config.gateways, &order).await;
            self.probing.store(false, Relaxed);
            match outcome {
                Ok(reached) => return reached,
                Err(failures) => debug!(?failures, "no better address works yet"),
            }
        }
    }

    /// Decides whether to go on after no address accepted us, and after which pause. A gateway that answered and will
    /// not have us counts more than one that cannot be reached; else the best address speaks for all.
    fn on_failure(&mut self, failures: &Failures<ConnectFailure>) -> Result<Duration, RunError> {
        let weight = |(index, failure): &&(usize, ConnectFailure)| (!failure.is_final(), *index);
        let (index, failure) = failures.iter().min_by_key(weight).expect("a configuration names a gateway");
        let reason = format!("{}: {failure}", self.config.gateways[*index]);
        if failure.is_final() {
            if self.last.is_none() {
                return Err(RunError::Refused(reason));
            }
            warn!(reason, "the gateway no longer accepts this agent; trying again every minute");
            return Ok(self.pause(reason, Some(REFUSED_PAUSE)));
        }
        let pause = self.pause(reason.clone(), failure.retry_after());
        let attempts = self.backoff.failures();
        match self.config.max_retries {
            Some(retries) if attempts > retries => Err(RunError::Unreachable { attempts, reason }),
            _ => Ok(pause),
        }
    }

    fn pause(&mut self, reason: String, at_least: Option<Duration>) -> Duration {
        let drawn = self.backoff.on_failure(link::now(), rand::random);
        let retry_in = drawn + at_least.unwrap_or_default();
        (self.observer)(Event::Offline { reason, retry_in });
        retry_in
    }
}

use std::{sync::Arc, time::Duration};

use session::Acceptor;
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic_health::server::HealthReporter;
use tracing::{debug, info, warn};
use ws_bridge::server::Bridge;

use crate::{
    connections::Connections,
    grpc::GrpcService,
    handover::Predecessor,
    ports::Ports,
    stage::{Life, Stage},
};

/// For those who have come already when a port is closed.
const QUIET: Duration = Duration::from_millis(5);
/// The same where others share the port: for those who were on their way when newcomers ceased to be let in.
const SHARED_QUIET: Duration = Duration::from_millis(100);
/// For an heir that was started at the same moment as this process was told to end.
const LAST_CALL: Duration = Duration::from_millis(500);
/// What is left of the grace period for connections to close once their last response is written.
const FAREWELL: Duration = Duration::from_millis(500);
/// Behind an heir nobody waits for this process, so clients' connections may rest for so many times as long.
const UNHURRIED: u32 = 5;

/// How a gateway ends: it stops accepting, agents make their next links elsewhere, clients have their answers, and then the
/// links end that brought them.
pub(crate) struct Ending {
    pub(crate) life: Life,
    /// Until they are closed.
    pub(crate) ports: Option<Ports>,
    pub(crate) predecessor: Option<Predecessor>,
    pub(crate) elder: Option<AbortOnDropHandle<()>>,
    /// Whether other processes may listen on the same ports.
    pub(crate) shared: bool,
    /// How long clients' connections may rest.
    pub(crate) rest: Duration,
    /// How long everything may take.
    pub(crate) grace_period: Duration,
    pub(crate) accepting: Vec<AbortOnDropHandle<()>>,
    pub(crate) clients: Connections,
    pub(crate) agents: Connections,
    pub(crate) bridge: Arc<Bridge>,
    pub(crate) acceptor: Acceptor,
    pub(crate) health: HealthReporter,
}

impl Ending {
    /// Lets requests end and agents leave, for as long as the grace period lasts or until `abort`.
    pub(crate) async fn run_until(&mut self, abort: &CancellationToken) {
        let patience = self.grace_period + FAREWELL;
        tokio::select! {
            finished = timeout(patience, self.run()) => match finished {
                Ok(()) => info!("all requests ended"),
                Err(_elapsed) => warn!("the grace period is over; requests in progress are cut"),
            },
            () = abort.cancelled() => warn!("requests in progress are cut"),
        }
    }

    async fn run(&mut self) {
        self.clients.pauses().current().after_answers();
        self.close_ports().await;
        GrpcService::stop(&self.health).await;
        self.acceptor.announce_end();
        self.clients.drained(self.rest).await;
        self.acceptor.drain();
        self.acceptor.drained().await;
        tokio::join!(self.agents.drained(Duration::ZERO), self.bridge.drained());
    }

    /// Takes who has come and nobody else. Nobody who was let in is lost.
    async fn close_ports(&mut self) {
        if self.elder.is_some() {
            let mut stage = self.life.watch();
            let _ = timeout(LAST_CALL, stage.wait_for(|stage| *stage != Stage::Serving)).await;
            // An heir that has come takes over or goes, in its time.
            let _ = stage.wait_for(|stage| *stage != Stage::Yielding).await;
        }
        let others = self.life.stage() == Stage::Superseded
            || self.predecessor.as_ref().is_some_and(Predecessor::is_there);
        let quiet = match self.shared {
            _ if others => {
                self.rest = (self.rest * UNHURRIED).min(self.grace_period / 2).max(self.rest);
                None
            }
            true => Some(SHARED_QUIET),
            false => Some(QUIET),
        };
        // From here on no heir may have these sockets.
        drop(self.elder.take());
        if quiet == Some(SHARED_QUIET)
            && let Some(ports) = &self.ports
        {
            ports.ignore_newcomers();
        }
        self.life.on_end(quiet);
        for accepting in self.accepting.drain(..) {
            if let Err(error) = accepting.await {
                debug!(%error, "a port was closed by force");
            }
        }
        // If the other process that has them dies, its heir opens new ones. These would have their share of the clients then,
        // and nobody would take them.
        drop(self.ports.take());
        info!("ports closed; what is in progress goes on");
        drop(self.predecessor.take());
    }
}

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use link::Budget;
use proto::limits;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::{
    sync::CancellationToken,
    task::{AbortOnDropHandle, TaskTracker},
};

use crate::{
    Config, Nudge, Observer, Shutdown,
    board::Board,
    connection::Connector,
    forward::{Forwarder, Routes},
    health,
    learning::Ages,
    slot::{Shared, Slot},
    status::Source,
    world::{Machine, Serve, World},
};

/// Between the beginnings of two links, at most: they shall not be of one age, lest they are cut together.
const STAGGER: Duration = Duration::from_millis(800);

/// Why an agent gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The gateway will not have this agent, now or later.
    #[error("{0}")]
    Refused(String),
    /// No gateway could be reached in as many attempts as allowed.
    #[error("no gateway could be reached in {attempts} {}, the last one: {reason}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Unreachable {
        /// Attempts in a row that failed.
        attempts: u32,
        /// Why the last one did.
        reason: String,
    },
}

/// Runs an agent until `shutdown`, see [`Agent::run`].
///
/// # Errors
/// Those of [`Agent::run`].
///
/// # Cancel safety
/// Dropping the future aborts every exchange and closes every link.
pub async fn run(config: Config, observer: Observer, shutdown: Shutdown) -> Result<(), RunError> {
    Agent::new(config, observer).run(shutdown).await
}

/// An agent: a number of links, each kept by a slot of its own, and what they share.
pub struct Agent {
    config: Arc<Config>,
    board: Arc<Board>,
    nudge: Nudge,
    world: Arc<dyn World>,
    service: Arc<dyn Serve>,
    budget: Budget,
}

impl Agent {
    /// An agent that does nothing yet.
    pub fn new(config: Config, observer: Observer) -> Self {
        let board = Board::new(&config, observer);
        let service = Forwarder::new(Routes::new(&config), board.counting());
        let world = Arc::new(Machine::new(&config));
        Self::with(config, board, world, service)
    }

    /// An agent in another world than this machine, which has requests answered by `service`.
    pub fn in_world(
        config: Config,
        observer: Observer,
        world: Arc<dyn World>,
        service: Arc<dyn Serve>,
    ) -> Self {
        let board = Board::new(&config, observer);
        Self::with(config, board, world, service)
    }

    fn with(config: Config, board: Arc<Board>, world: Arc<dyn World>, service: Arc<dyn Serve>) -> Self {
        let budget = Budget::new(limits::PROCESS_MEMORY);
        Self { config: Arc::new(config), board, nudge: Nudge::default(), world, service, budget }
    }

    /// The memory that the bodies on its links share.
    pub fn body_memory(&self) -> Budget {
        self.budget.clone()
    }

    /// How to tell it that the network may have changed.
    pub fn nudge(&self) -> Nudge {
        self.nudge.clone()
    }

    /// Where to ask how it is.
    pub fn status(&self) -> Source {
        Source::new(Arc::clone(&self.board))
    }

    /// Connects, serves and reconnects until `shutdown`.
    ///
    /// # Errors
    /// [`RunError`]. Being refused is an error only before the first success; later it may be an operator's mistake that
    /// is soon put right, and is tried again, slowly and loudly.
    ///
    /// # Cancel safety
    /// Dropping the future aborts every exchange and closes every link.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), RunError> {
        let ended = CancellationToken::new();
        let _ended = ended.clone().drop_guard();
        let _health = self.check_health();
        let shared = self.shared(shutdown.drain.child_token(), ended);
        tokio::select! {
            biased;
            () = shutdown.abort.cancelled() => Ok(()),
            outcome = keep(&shared) => outcome,
        }
    }

    fn shared(self, leave: CancellationToken, ended: CancellationToken) -> Arc<Shared> {
        let Self { config, board, nudge, world, service, budget } = self;
        Arc::new(Shared {
            connector: Connector::new(Arc::clone(&config), Arc::clone(&board), Arc::clone(&world), budget),
            world,
            service,
            config,
            board,
            nudge,
            leave,
            ended,
            sessions: TaskTracker::new(),
            accepted: watch::Sender::new(None),
            ages: Mutex::new(Ages::default()),
            lessons: Nudge::default(),
        })
    }

    fn check_health(&self) -> Option<AbortOnDropHandle<()>> {
        let check = self.config.health_check.clone()?;
        let Config { upstream_tls, health_interval, .. } = &*self.config;
        let watch = health::watch(check, upstream_tls.clone(), *health_interval, Arc::clone(&self.board));
        Some(AbortOnDropHandle::new(tokio::spawn(watch)))
    }
}

/// Keeps every slot's link, until the first slot gives up or the agent leaves; then lets everything end.
async fn keep(shared: &Arc<Shared>) -> Result<(), RunError> {
    let outcome = {
        let mut others = JoinSet::new();
        let first = Slot::new(0, Arc::clone(shared)).run();
        tokio::select! {
            biased;
            outcome = first => outcome,
            // They end when the agent leaves, and so does the first one.
            never = accompany(shared, &mut others) => never,
        }
    };
    if outcome.is_ok() {
        shared.board.on_leaving();
    }
    // If the first slot gave up, an older link may still have requests to finish.
    shared.leave.cancel();
    shared.sessions.close();
    shared.sessions.wait().await;
    outcome
}

/// Begins the other slots, once the gateway has accepted a link: what it refuses once it need not be asked for twice.
async fn accompany<T>(shared: &Arc<Shared>, others: &mut JoinSet<()>) -> T {
    let mut accepted = shared.accepted.subscribe();
    // Whoever could say so lives as long as this.
    let _ = accepted.wait_for(Option::is_some).await;
    for number in 1..shared.board.slots() {
        tokio::time::sleep(STAGGER.mul_f64(0.5 + 0.5 * shared.draw())).await;
        let slot = Slot::new(number, Arc::clone(shared));
        others.spawn(async move {
            // Only the first slot ends an agent.
            let _ = slot.run().await;
        });
    }
    std::future::pending().await
}

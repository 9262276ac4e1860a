use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use proto::{drain, limits};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use self::successor::Successor;
use crate::{
    Config, LinkAge, Nudge, RunError,
    backoff::Backoff,
    board::{Board, Why},
    choice::{self, Failures, Reached},
    connection::{ConnectFailure, Connector, Ready},
    forward::Forwarder,
    learning::{Ages, Plan},
    nudge::nudged,
    session::{Ended, Notice, Session},
};

mod pause;
mod successor;

/// A link that lived this long was not replaced by an attempt of our own that we had given up by then.
const SETTLED: Duration = Duration::from_secs(15);

/// What the slots of an agent share.
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) connector: Connector,
    pub(crate) forwarder: Arc<Forwarder>,
    pub(crate) board: Arc<Board>,
    pub(crate) nudge: Nudge,
    /// Take nothing new, and let what is in progress end.
    pub(crate) leave: CancellationToken,
    /// Cancelled with the agent: sessions end with it.
    pub(crate) ended: CancellationToken,
    /// Sessions, the current ones and those that are on their way out.
    pub(crate) sessions: TaskTracker,
    /// Position of the address that accepted a link last.
    pub(crate) accepted: watch::Sender<Option<usize>>,
    pub(crate) ages: Mutex<Ages>,
    /// Says that something was learned of the age at which links are cut.
    pub(crate) lessons: watch::Sender<()>,
}

/// Keeps one of the agent's links alive: connects, lets it be served, connects again.
///
/// ```text
///                  .------------------- pause, nudge ----------------------.
///                  v                                                       |
///             Connecting --accepted--> Serving --lost----------------------+
///                  |                     |   |                             |
///                  '---- refused, -------|---|-----------------------------+
///                        not reached     |   '--drained by the gateway-----'   the link serves on
///                                        |
///             Serving <--old enough, a better address: its successor is accepted first--'
/// ```
/// The first slot speaks for the agent: how an attempt of it fails may end the agent, and is told. The others begin once
/// a link was accepted, and what happens to them matters only to them.
pub(crate) struct Slot {
    number: u32,
    shared: Arc<Shared>,
    backoff: Backoff,
    nudges: watch::Receiver<()>,
    /// Position of the address that accepted this slot last.
    last: Option<usize>,
}

/// How a session ceased to be the current one.
enum Leaving {
    /// It is over.
    Ended(Ended),
    /// It is over, since another agent took its place.
    Ousted,
    /// It goes on with what is in progress while another takes its place, after a pause.
    Replace(Duration),
    /// It goes on likewise, and its successor is there already.
    Moved(Box<Reached>),
    /// The agent shuts down.
    Shutdown,
}

impl Slot {
    pub(crate) fn new(number: u32, shared: Arc<Shared>) -> Self {
        let nudges = shared.nudge.listen();
        Self { number, shared, backoff: Backoff::new(), nudges, last: None }
    }

    /// Keeps the link until the agent leaves.
    ///
    /// # Errors
    /// [`RunError`], from the first slot only.
    pub(crate) async fn run(mut self) -> Result<(), RunError> {
        let leave = self.shared.leave.clone();
        let mut moved = None;
        loop {
            let connected = match moved.take() {
                Some(reached) => Ok(reached),
                None => tokio::select! {
                    connected = self.connect() => connected,
                    () = leave.cancelled() => return Ok(()),
                },
            };
            let pause = match connected {
                Ok(reached) => {
                    let begun = link::now();
                    match self.serve(reached).await {
                        Leaving::Shutdown => return Ok(()),
                        Leaving::Moved(reached) => {
                            moved = Some(*reached);
                            continue;
                        }
                        leaving => self.on_left(leaving, link::now().saturating_duration_since(begun)),
                    }
                }
                Err(failures) => self.on_failure(&failures)?,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = nudged(&mut self.nudges) => {}
                () = leave.cancelled() => return Ok(()),
            }
        }
    }

    /// Tries every address, the one that worked last before the others.
    async fn connect(&self) -> Result<Reached, Failures<ConnectFailure>> {
        let urls = &self.shared.config.gateways;
        let order = self.order();
        self.shared.board.on_search(self.number, &urls[order[0]]);
        choice::first(&self.shared.connector, self.number, urls, &order).await
    }

    /// Positions of all addresses, those first that worked last.
    fn order(&self) -> Vec<usize> {
        let last = self.last.or(*self.shared.accepted.borrow());
        let mut order: Vec<usize> = (0..self.shared.config.gateways.len()).collect();
        order.sort_by_key(|index| Some(*index) != last);
        order
    }

    /// Lets a link be served for as long as it is the current one.
    async fn serve(&mut self, reached: Reached) -> Leaving {
        let Reached { index, ready, passed_over } = reached;
        self.announce(index, &ready, &passed_over);
        self.last = Some(index);
        let record = Arc::clone(&ready.record);
        let leaving = self.attend(index, ready).await;
        self.backoff.on_advice(record.spread());
        // What was nudged while there was a link is no reason to hurry when that is lost much later.
        self.nudges.mark_unchanged();
        leaving
    }

    async fn attend(&self, index: usize, ready: Ready) -> Leaving {
        let begun = link::now();
        let leave = self.shared.leave.child_token();
        let (notices, mut heard) = mpsc::unbounded_channel();
        let mut running = self.begin(ready, notices, leave.clone());
        let plan = self.plan(begun);
        let trying = AtomicBool::new(false);
        let mut successor = pin!(self.successor(index, begun, plan, &trying));
        let mut outlived = pin!(outlived(plan));
        let mut ousted = false;
        loop {
            tokio::select! {
                ended = &mut running => {
                    // A successor may have replaced this link already, though we have not read yet that it may: to give
                    // it up now would leave the gateway with a link that nobody serves.
                    if trying.load(Relaxed)
                        && let Ok(successor) = timeout(limits::CONNECT_TIMEOUT, &mut successor).await
                    {
                        return self.moved(successor);
                    }
                    let ended = ended.unwrap_or_else(|panic| Ended::Orderly(panic.to_string()));
                    return if ousted { Leaving::Ousted } else { Leaving::Ended(ended) };
                }
                Some(Notice::Leave { reason, reconnect_after }) = heard.recv() => {
                    // A link that replaced this one is our own, and will be heard of by other means; unless there is
                    // none.
                    if reason != drain::Reason::Replaced {
                        return Leaving::Replace(reconnect_after);
                    }
                    ousted = !trying.load(Relaxed) && link::now().saturating_duration_since(begun) > SETTLED;
                }
                successor = &mut successor => {
                    // The gateway knows if it is the same one. Another one behind the same address does not.
                    leave.cancel();
                    return self.moved(successor);
                }
                () = &mut outlived => self.on_outlived(),
                () = self.shared.leave.cancelled() => return Leaving::Shutdown,
            }
        }
    }

    /// Serves a link on a task of its own, which goes on when the link is not the current one any more.
    fn begin(
        &self,
        ready: Ready,
        notices: mpsc::UnboundedSender<Notice>,
        leave: CancellationToken,
    ) -> tokio::task::JoinHandle<Ended> {
        let shared = &self.shared;
        let grace_period = shared.config.grace_period;
        let (forwarder, board) = (Arc::clone(&shared.forwarder), Arc::clone(&shared.board));
        let session = Session::new(self.number, &ready, forwarder, board, grace_period);
        let (link, ended, nudges) = (ready.link.clone(), shared.ended.clone(), shared.nudge.listen());
        shared.sessions.spawn(async move {
            tokio::select! {
                reason = session.run(ready, notices, nudges, leave) => reason,
                () = ended.cancelled() => {
                    link.close(link::CloseReason::Gone);
                    Ended::Orderly("the agent ended".to_owned())
                }
            }
        })
    }

    fn announce(&self, index: usize, ready: &Ready, passed_over: &[(usize, ConnectFailure)]) {
        let urls = &self.shared.config.gateways;
        let url = &urls[index];
        let before = self.shared.accepted.send_replace(Some(index));
        if before == Some(index) {
            debug!(link = self.number, "connected to the same address as before");
        } else if let Some((better, failure)) = passed_over.iter().find(|(better, _)| *better < index) {
            warn!("{} does not work ({failure}); using {url}", urls[*better]);
        } else if index > 0 {
            warn!("{} does not answer; using {url}", urls[0]);
        } else if before.is_some() {
            info!("{url} works again; using it");
        }
        let moved = before != Some(index);
        self.shared.board.on_online(self.number, &ready.record, &ready.accepted.public_urls, moved);
    }

    fn moved(&self, successor: Successor) -> Leaving {
        let Successor { why, reached } = successor;
        self.shared.board.on_reconnect(self.number, why);
        if why == Why::Rotated {
            info!(link = self.number, "link replaced by a younger one");
        }
        Leaving::Moved(Box::new(reached))
    }

    fn plan(&self, now: Instant) -> Plan {
        match self.shared.config.link_age {
            LinkAge::Unlimited => Plan::Keep,
            LinkAge::AtMost(age) => Plan::Rotate(age.mul_f64(0.9 + 0.1 * rand::random::<f64>())),
            LinkAge::Learned => self.ages().on_begun(now, rand::random()),
        }
    }

    fn on_outlived(&self) {
        if self.ages().on_outlived() {
            info!(link = self.number, "links are no longer cut at a certain age; replacing none for it");
        }
    }

    fn ages(&self) -> std::sync::MutexGuard<'_, Ages> {
        self.shared.ages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Completes once a link is as old as a probe wants it to be.
async fn outlived(plan: Plan) {
    match plan {
        Plan::Probe(age) => tokio::time::sleep(age).await,
        Plan::Keep | Plan::Rotate(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;

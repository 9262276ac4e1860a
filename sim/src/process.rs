use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use agent::{Agent, Config, Event, GatewayUrl, LinkAge, Nudge, Shutdown, Transport, Upstream};
use link::Budget;
use proto::{AgentId, Credential};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    dice::Dice,
    ledger::Ledger,
    network::{Host, Network, Place},
    scenario::{AGENT_IDS, AgentPlan, Scenario},
    service::Service,
    trace::Trace,
};

/// How long an agent may take beyond its grace period, once it was told to leave.
const LEAVING: Duration = Duration::from_secs(10);

/// An agent's place: a host, and the process that runs there, if one does.
pub(crate) struct Station {
    pub(crate) plan: AgentPlan,
    pub(crate) host: Arc<Host>,
    number: usize,
    around: Around,
    state: Mutex<State>,
}

/// What all stations share.
#[derive(Clone)]
pub(crate) struct Around {
    pub(crate) scenario: Arc<Scenario>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) network: Arc<Network>,
    pub(crate) trace: Arc<Trace>,
    pub(crate) credential: Credential,
}

struct State {
    dice: Dice,
    begun: usize,
    process: Option<Process>,
    /// Memory of all processes that there ever were, and how much there was at first.
    memory: Vec<(Budget, u64)>,
}

struct Process {
    number: usize,
    shutdown: Shutdown,
    nudge: Nudge,
    running: JoinHandle<()>,
}

impl Station {
    pub(crate) fn new(number: usize, plan: AgentPlan, around: Around, dice: Dice) -> Arc<Self> {
        let state = State { dice, begun: 0, process: None, memory: Vec::new() };
        Arc::new(Self { plan, host: Arc::default(), number, around, state: Mutex::new(state) })
    }

    pub(crate) fn agent_id(&self) -> AgentId {
        AgentId::parse(AGENT_IDS[self.plan.id]).expect("the ids of scenarios are valid")
    }

    /// A new process begins.
    pub(crate) fn begin(&self) {
        let Around { scenario, ledger, network, trace, .. } = self.around.clone();
        let mut state = self.state();
        state.begun += 1;
        // Processes of different stations have different numbers.
        let number = state.begun * 10 + self.number;
        let place = Place::new(network, number, Arc::clone(&self.host), state.dice.fork());
        let service = Service { process: number, scenario, ledger, trace: Arc::clone(&trace) };
        let told = Arc::clone(&trace);
        let observer = Arc::new(move |event| tell(&told, number, &event));
        let agent = Agent::in_world(self.config(), observer, Arc::new(place), Arc::new(service));
        let (memory, nudge) = (agent.body_memory(), agent.nudge());
        let shutdown = Shutdown { drain: CancellationToken::new(), abort: CancellationToken::new() };
        trace.note(format_args!("process {number} begins as {}", self.agent_id()));
        let run = agent.run(shutdown.clone());
        let running = tokio::spawn(async move {
            match run.await {
                Ok(()) => trace.note(format_args!("process {number} has left")),
                Err(error) => trace.violation(format_args!("process {number} gave up: {error}")),
            }
        });
        let at_first = memory.left();
        state.memory.push((memory, at_first));
        state.process = Some(Process { number, shutdown, nudge, running });
    }

    /// The process dies, if there is one: its connections are reset.
    pub(crate) fn kill(&self) -> bool {
        let Some(process) = self.state().process.take() else { return false };
        self.around.trace.note(format_args!("process {} is killed", process.number));
        process.running.abort();
        self.around.network.cut_process(process.number);
        true
    }

    /// The host of the process loses its power: it is gone, and nobody is told.
    pub(crate) fn vanish(&self) -> bool {
        let Some(process) = self.state().process.take() else { return false };
        self.around.trace.note(format_args!("process {} vanishes", process.number));
        self.around.network.silence_process(process.number);
        process.running.abort();
        true
    }

    /// A new process begins, and then the old one is told to leave.
    pub(crate) async fn take_over(&self) {
        let Some(process) = self.state().process.take() else { return };
        self.begin();
        sleep(Duration::from_secs(2)).await;
        self.let_go(process).await;
    }

    /// The process is told to leave, and does. Returns whether there was one.
    pub(crate) async fn leave(&self) -> bool {
        let Some(process) = self.state().process.take() else { return false };
        self.let_go(process).await;
        true
    }

    async fn let_go(&self, process: Process) {
        let trace = &self.around.trace;
        trace.note(format_args!("process {} is told to leave", process.number));
        process.shutdown.drain.cancel();
        let limit = self.plan.grace_period + LEAVING;
        if timeout(limit, process.running).await.is_err() {
            trace.violation(format_args!("process {} has not left within {limit:?}", process.number));
        }
    }

    /// The process hears that its network has changed.
    pub(crate) fn nudge(&self) {
        if let Some(process) = &self.state().process {
            process.nudge.nudge();
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.state().process.is_some()
    }

    /// Bytes that no body holds any more and that were not given back.
    pub(crate) fn memory_lost(&self) -> u64 {
        self.state().memory.iter().map(|(memory, at_first)| at_first.abs_diff(memory.left())).sum()
    }

    fn config(&self) -> Config {
        let url = |transport, port| GatewayUrl { transport, tls: false, host: "gw".to_owned(), port };
        // Every other agent speaks WebSocket; nobody has a second choice, so that what fails is not hidden by it.
        let url = if self.number.is_multiple_of(2) {
            url(Transport::Grpc, 8081)
        } else {
            url(Transport::WebSocket, 8080)
        };
        let credential = self.around.credential.clone();
        let AgentPlan { links, link_age, max_concurrent, grace_period, .. } = self.plan;
        Config {
            connections: links,
            link_age: link_age.map_or(LinkAge::Learned, LinkAge::AtMost),
            max_concurrent,
            grace_period,
            ..Config::new(Upstream::http("service", 80), vec![url], self.agent_id(), credential)
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(trace: &Trace, process: usize, event: &Event) {
    match event {
        Event::Online { gateway_id, .. } => {
            trace.note(format_args!("process {process} is online at {gateway_id}"))
        }
        Event::Offline { reason, retry_in } => {
            trace.note(format_args!("process {process} is offline, tries again in {retry_in:?}: {reason}"));
        }
        _ => {}
    }
}

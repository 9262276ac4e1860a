//! What a seed stands for.

use std::time::Duration;

use session::Instances;

use crate::dice::Dice;

/// Until when things begin and go wrong.
pub(crate) const STORM: Duration = Duration::from_secs(40);

/// All that is decided beforehand.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) rules: Rules,
    pub(crate) agents: Vec<AgentPlan>,
    pub(crate) clients: Vec<ClientPlan>,
    pub(crate) faults: Vec<(Duration, Fault)>,
    pub(crate) latency: Duration,
}

/// How the gateways are set up.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) seed: u64,
    pub(crate) max_concurrent: u32,
    pub(crate) body_memory: u64,
    pub(crate) response_timeout: Duration,
    pub(crate) offline_grace: Duration,
    pub(crate) instances: Instances,
    pub(crate) idle_timeout: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
}

/// An agent process, which is begun anew after it was killed or told to leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AgentPlan {
    /// Position among [`AGENT_IDS`].
    pub(crate) id: usize,
    pub(crate) links: u32,
    pub(crate) link_age: Option<Duration>,
    pub(crate) max_concurrent: u32,
    pub(crate) grace_period: Duration,
}

/// The agent ids that there are.
pub(crate) const AGENT_IDS: [&str; 2] = ["alpha", "beta"];

/// What a client wants, what it does and what it gets to see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientPlan {
    pub(crate) begins: Duration,
    pub(crate) agent: usize,
    pub(crate) method: &'static str,
    /// Bytes of its request's body, and the pause before each piece of it.
    pub(crate) upload: u64,
    pub(crate) upload_pause: Duration,
    /// Whether it waits to be asked for the body.
    pub(crate) expects: bool,
    /// The time that it gives the service for its head, in milliseconds; 0 leaves that to the gateway.
    pub(crate) timeout_ms: u32,
    /// Pause before it takes each chunk.
    pub(crate) reading_pause: Duration,
    pub(crate) leaves_after: Option<Duration>,
    pub(crate) service: ServicePlan,
}

/// How its request is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServicePlan {
    pub(crate) manner: Manner,
    pub(crate) thinks: Duration,
    /// Bytes of the answer's body, and the pause before each piece of it.
    pub(crate) length: u64,
    pub(crate) pause: Duration,
    pub(crate) trailers: bool,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Behind the whole request.
    Whole,
    /// While the request is still being sent, of which it reads nothing.
    Early,
    /// An interim response first.
    Interim,
    /// It breaks off in the middle of the answer.
    BreaksOff,
    /// The same, without a word: the task that serves it dies.
    Dies,
    /// The service cannot be reached from the first process that is asked, but from others.
    OutOfReach,
    /// It breaks off before the answer.
    Resets,
    /// It never answers.
    Silent,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// A connection is reset.
    Cut,
    /// Nothing arrives on a connection for this long, and then all of it.
    Hold(Duration),
    /// What is sent on a connection is lost from now on: by the agent, by the gateway, or both.
    Swallow { agent: bool, gateway: bool },
    /// A connection carries so many bytes per second, for this long.
    Slow(u64, Duration),
    /// An agent cannot dial for this long: it is refused at once, or hears nothing.
    Unreachable { agent: usize, time: Duration, silent: bool },
    /// An agent's clock jumps by this many milliseconds.
    ClockStep { agent: usize, millis: i64 },
    /// An agent dies, and is begun anew after this long.
    Kill { agent: usize, down: Duration },
    /// An agent's host loses its power, and nobody is told. It is begun anew after this long.
    Vanish { agent: usize, down: Duration },
    /// Every connection is reset at the same moment.
    CutAll,
    /// An agent is begun anew before the old process is told to leave.
    Takeover { agent: usize },
    /// An agent is told to leave, and is begun anew after this long.
    Leave { agent: usize, down: Duration },
    /// An agent hears that its network has changed.
    Nudge { agent: usize },
    /// A new gateway takes over. The old one may first only ask its agents to move; it ends once it has waited for clients.
    Upgrade { yields: bool, rest: Duration },
    /// The gateway dies, and a new one is there after this long.
    Crash { down: Duration },
}

impl Scenario {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let rules = rules(&mut dice);
        let agents: Vec<AgentPlan> = (0..dice.within(1..4)).map(|_| agent(&mut dice)).collect();
        let calm = dice.percent(10);
        let count = if calm { 0 } else { dice.within(1..12) };
        let mut faults: Vec<_> = (0..count).map(|_| fault(&mut dice, agents.len())).collect();
        faults.sort_by_key(|(at, _)| *at);
        let busy = dice.percent(20);
        let clients = (0..dice.within(12..40)).map(|_| client(&mut dice, &agents, busy)).collect();
        let latency = Duration::from_micros(dice.within(200..60_000));
        Self { rules, agents, clients, faults, latency }
    }
}

fn rules(dice: &mut Dice) -> Rules {
    Rules {
        seed: dice.next(),
        max_concurrent: if dice.percent(15) { dice.within(1..5) as u32 } else { 1024 },
        body_memory: if dice.percent(10) { 1024 * 1024 } else { 256 * 1024 * 1024 },
        response_timeout: if dice.percent(50) { Duration::from_secs(10) } else { dice.millis(3_000..30_000) },
        offline_grace: if dice.percent(80) { Duration::from_secs(2) } else { Duration::ZERO },
        instances: match dice.within(0..10) {
            0 => Instances::Replace,
            1 => Instances::Refuse,
            _ => Instances::Pool,
        },
        idle_timeout: if dice.percent(60) { Duration::from_secs(60) } else { dice.millis(6_000..30_000) },
        heartbeat_interval: if dice.percent(60) {
            Duration::from_secs(20)
        } else {
            dice.millis(2_000..20_000)
        },
        heartbeat_timeout: if dice.percent(60) {
            Duration::from_secs(10)
        } else {
            dice.millis(2_000..10_000)
        },
    }
}

fn agent(dice: &mut Dice) -> AgentPlan {
    let rotates = dice.percent(30);
    AgentPlan {
        id: usize::from(dice.percent(30)),
        links: dice.within(1..4) as u32,
        link_age: rotates.then(|| dice.millis(5_000..30_000)),
        max_concurrent: if dice.percent(10) { dice.within(1..4) as u32 } else { 0 },
        // What a link that is replaced for its age has in progress goes on for as long as this.
        grace_period: if rotates { Duration::from_secs(30) } else { dice.millis(1_000..30_000) },
    }
}

fn client(dice: &mut Dice, agents: &[AgentPlan], busy: bool) -> ClientPlan {
    let agent = dice.one_of(agents).map_or(0, |agent| agent.id);
    let unsafe_one = dice.percent(45);
    let until = if busy { 4_000 } else { STORM.as_millis() as u64 };
    let plan = ClientPlan {
        begins: dice.millis(500..until),
        agent,
        method: if unsafe_one { "POST" } else { "GET" },
        upload: if unsafe_one || dice.percent(5) { size(dice) } else { 0 },
        upload_pause: pause(dice),
        expects: dice.percent(12),
        timeout_ms: if dice.percent(12) { dice.within(300..8_000) as u32 } else { 0 },
        reading_pause: pause(dice),
        leaves_after: dice.percent(12).then(|| dice.millis(1..4_000)),
        service: ServicePlan {
            manner: match dice.within(0..100) {
                0..60 => Manner::Whole,
                60..68 => Manner::Early,
                68..74 => Manner::Interim,
                74..80 => Manner::BreaksOff,
                80..84 => Manner::Dies,
                84..92 => Manner::OutOfReach,
                92..96 => Manner::Resets,
                _ => Manner::Silent,
            },
            thinks: if dice.percent(50) { Duration::ZERO } else { dice.millis(1..5_000) },
            length: size(dice),
            pause: pause(dice),
            trailers: dice.percent(20),
        },
    };
    if plan.service.manner == Manner::Early && dice.percent(40) { at_length(plan) } else { plan }
}

/// Both halves take so long that it matters whether the client learns that nobody reads its own.
fn at_length(plan: ClientPlan) -> ClientPlan {
    let pause = Duration::from_millis(250);
    let service = ServicePlan { length: 200_000, pause, ..plan.service };
    ClientPlan { method: "POST", upload: 900_000, upload_pause: pause, service, ..plan }
}

fn size(dice: &mut Dice) -> u64 {
    match dice.within(0..10) {
        0..2 => 0,
        2..6 => dice.within(1..2_000),
        6..9 => dice.within(2_000..60_000),
        _ => dice.within(60_000..400_000),
    }
}

fn pause(dice: &mut Dice) -> Duration {
    if dice.percent(70) { Duration::ZERO } else { dice.millis(1..400) }
}

fn fault(dice: &mut Dice, agents: usize) -> (Duration, Fault) {
    let at = dice.millis(1_000..STORM.as_millis() as u64);
    let agent = dice.within(0..agents as u64) as usize;
    let fault = match dice.within(0..100) {
        0..22 => Fault::Cut,
        22..34 => Fault::Hold(dice.millis(100..20_000)),
        34..50 => {
            let which = dice.within(0..3);
            Fault::Swallow { agent: which != 1, gateway: which != 0 }
        }
        50..57 => Fault::Slow(dice.within(4_000..100_000), dice.millis(1_000..15_000)),
        57..66 => Fault::Unreachable { agent, time: dice.millis(500..40_000), silent: dice.percent(50) },
        66..72 => Fault::ClockStep { agent, millis: dice.within(0..4_000_000) as i64 - 2_000_000 },
        72..77 => Fault::Kill { agent, down: dice.millis(0..6_000) },
        77..80 => Fault::Vanish { agent, down: dice.millis(0..6_000) },
        80..82 => Fault::CutAll,
        82..84 => Fault::Takeover { agent },
        84..88 => Fault::Leave { agent, down: dice.millis(0..3_000) },
        88..91 => Fault::Nudge { agent },
        91..97 => Fault::Upgrade { yields: dice.percent(50), rest: dice.millis(0..8_000) },
        _ => Fault::Crash { down: dice.millis(0..4_000) },
    };
    (at, fault)
}

impl Scenario {
    /// How a client's request is answered. Who is not planned for is one who asks whether all is well.
    pub(crate) fn service_plan(&self, client: usize) -> ServicePlan {
        self.clients.get(client).map_or(PROBE.service, |plan| plan.service)
    }

    /// Whether something holds bytes up for longer than a moment.
    pub(crate) fn may_stall(&self) -> bool {
        let stalls = |fault: &Fault| {
            matches!(fault, Fault::Hold(_) | Fault::Swallow { .. } | Fault::Slow(..) | Fault::Vanish { .. })
        };
        self.faults.iter().any(|(_, fault)| stalls(fault))
    }

    /// Whether requests may find no room.
    pub(crate) fn is_scarce(&self) -> bool {
        self.rules.max_concurrent < 1024
            || self.rules.body_memory < 64 * 1024 * 1024
            || self.agents.iter().any(|agent| agent.max_concurrent > 0)
    }

    /// How long the body of a client's request is.
    pub(crate) fn upload(&self, client: usize) -> u64 {
        self.clients.get(client).map_or(PROBE.upload, |plan| plan.upload)
    }
}

/// A client that asks whether all is well.
pub(crate) const PROBE: ClientPlan = ClientPlan {
    begins: Duration::ZERO,
    agent: 0,
    method: "POST",
    upload: 70_000,
    upload_pause: Duration::ZERO,
    expects: false,
    timeout_ms: 0,
    reading_pause: Duration::ZERO,
    leaves_after: None,
    service: ServicePlan {
        manner: Manner::Whole,
        thinks: Duration::ZERO,
        length: 90_000,
        pause: Duration::ZERO,
        trailers: true,
    },
};

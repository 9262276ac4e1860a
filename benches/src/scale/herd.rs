use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use agent::{Event, GatewayUrl, Observer, Shutdown, Transport};
use anyhow::{Context as _, bail};
use cli::output;
use proto::{AgentId, Credential};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines, Stdin, stdin},
    runtime::Builder,
    sync::mpsc,
    task::JoinSet,
};

use crate::Child;

/// Agents that connect at a time.
const WAVE: usize = 200;

/// Agents of one process.
pub(super) struct Herd {
    pub(super) transport: Transport,
    pub(super) gateway: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) credential: Credential,
}

/// What agents did, in milliseconds since the Unix epoch, so that another process can read it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Record {
    /// When an attempt to reach the gateway began.
    pub(crate) attempts: Vec<u64>,
    /// When an agent was accepted.
    pub(crate) accepted: Vec<u64>,
}

impl Record {
    /// What the agents of `herd` did since they were asked last.
    pub(crate) fn of(herd: &mut Child) -> anyhow::Result<Self> {
        let told = herd.ask()?;
        serde_json::from_str(&told).with_context(|| format!("the herd says {told:?}"))
    }
}

impl Herd {
    /// Runs so many agents, until the process is killed. Each time that as many as go at a time are online, a line says
    /// how many are. From then on each line on stdin is answered with a [`Record`] in JSON.
    pub(super) fn run(&self, count: usize) -> anyhow::Result<Infallible> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (tell, mut told) = mpsc::unbounded_channel();
            let record = Arc::new(Mutex::new(Record::default()));
            let mut agents = JoinSet::new();
            let mut online = 0;
            while online < count {
                let wave = WAVE.min(count - online);
                for number in online..online + wave {
                    let observer = observer(tell.clone(), Arc::clone(&record));
                    agents.spawn(agent::run(self.config(number)?, observer, Shutdown::default()));
                }
                for _ in 0..wave {
                    tokio::select! {
                        Some(()) = told.recv() => {}
                        Some(ended) = agents.join_next() => bail!("an agent has ended: {ended:?}"),
                    }
                }
                online += wave;
                output::line(&online.to_string())?;
            }
            tokio::select! {
                Some(ended) = agents.join_next() => bail!("an agent has ended: {ended:?}"),
                ended = answer(BufReader::new(stdin()).lines(), &record) => ended,
            }
        })
    }

    fn config(&self, number: usize) -> anyhow::Result<agent::Config> {
        let gateways = vec![GatewayUrl::at(self.transport, self.gateway)];
        let upstream = agent::Upstream::at(self.upstream);
        let id = AgentId::parse(&id(number))?;
        Ok(agent::Config {
            connections: 1,
            ..agent::Config::new(upstream, gateways, id, self.credential.clone())
        })
    }
}

fn observer(tell: mpsc::UnboundedSender<()>, record: Arc<Mutex<Record>>) -> Observer {
    Arc::new(move |event| {
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connecting { .. } => record.attempts.push(unix_millis()),
            Event::Online { .. } => {
                record.accepted.push(unix_millis());
                let _ = tell.send(()); // nobody counts any more
            }
            _ => {}
        }
    })
}

async fn answer(mut asked: Lines<BufReader<Stdin>>, record: &Mutex<Record>) -> anyhow::Result<Infallible> {
    while asked.next_line().await?.is_some() {
        let told = std::mem::take(&mut *record.lock().unwrap_or_else(PoisonError::into_inner));
        output::line(&serde_json::to_string(&told)?)?;
    }
    bail!("nobody asks any more")
}

/// What a clock on the wall says.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the agent of this number is called.
pub(crate) fn id(number: usize) -> String {
    format!("herd-{number}")
}

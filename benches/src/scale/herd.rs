use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use agent::{Event, GatewayUrl, Shutdown, Transport};
use anyhow::bail;
use cli::output;
use proto::{AgentId, Credential};
use tokio::{runtime::Builder, sync::mpsc, task::JoinSet};

/// Agents that connect at a time.
const WAVE: usize = 200;

/// Agents of one process.
pub(super) struct Herd {
    pub(super) transport: Transport,
    pub(super) gateway: SocketAddr,
    pub(super) upstream: SocketAddr,
    pub(super) credential: Credential,
}

impl Herd {
    /// Runs so many agents, until the process is killed. Each time that as many as go at a time are online, a line says
    /// how many are.
    pub(super) fn run(&self, count: usize) -> anyhow::Result<Infallible> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (tell, mut told) = mpsc::unbounded_channel();
            let mut agents = JoinSet::new();
            let mut online = 0;
            while online < count {
                let wave = WAVE.min(count - online);
                for number in online..online + wave {
                    let tell = tell.clone();
                    let observer = Arc::new(move |event| {
                        if matches!(event, Event::Online { .. }) {
                            let _ = tell.send(()); // nobody counts any more
                        }
                    });
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
            match agents.join_next().await {
                Some(ended) => bail!("an agent has ended: {ended:?}"),
                None => bail!("there are no agents"),
            }
        })
    }

    fn config(&self, number: usize) -> anyhow::Result<agent::Config> {
        let (host, port) = (self.gateway.ip().to_string(), self.gateway.port());
        let gateways = vec![GatewayUrl { transport: self.transport, tls: false, host, port }];
        let upstream = agent::Upstream::http(self.upstream.ip().to_string(), self.upstream.port());
        let id = AgentId::parse(&id(number))?;
        Ok(agent::Config {
            connections: 1,
            ..agent::Config::new(upstream, gateways, id, self.credential.clone())
        })
    }
}

/// What the agent of this number is called.
pub(super) fn id(number: usize) -> String {
    format!("herd-{number}")
}

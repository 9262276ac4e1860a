use std::{net::SocketAddr, sync::Arc};

use ::agent::{
    Config, Event, GatewayUrl, Nudge, Observer, RunError, Shutdown, Transport, Upstream, status::Source,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::credentials;

/// An agent. It ends when it is dropped.
#[derive(Debug)]
pub struct Agent {
    shutdown: Shutdown,
    task: AbortOnDropHandle<Result<(), RunError>>,
    events: mpsc::UnboundedReceiver<Event>,
    nudge: Nudge,
    status: Source,
}

impl Agent {
    /// An agent called `name` that dials `gateway` and serves from `upstream`. It may not be online yet.
    pub fn start(transport: Transport, gateway: SocketAddr, name: &str, upstream: SocketAddr) -> Self {
        Self::start_with(Self::config(transport, gateway, name, upstream))
    }

    /// The configuration of such an agent.
    pub fn config(transport: Transport, gateway: SocketAddr, name: &str, upstream: SocketAddr) -> Config {
        let (upstream, gateways) = (Upstream::at(upstream), vec![GatewayUrl::at(transport, gateway)]);
        // One link, so that scenarios know which link a request takes; those about several links ask for them.
        Config {
            connections: 1,
            ..Config::new(upstream, gateways, credentials::agent_id(name), credentials::credential(name))
        }
    }

    /// An agent with a configuration of the scenario's choice.
    pub fn start_with(config: Config) -> Self {
        let (heard, events) = mpsc::unbounded_channel();
        let observer: Observer = Arc::new(move |event| {
            let _ = heard.send(event); // the scenario may be over
        });
        let shutdown = Shutdown::default();
        let agent = ::agent::Agent::new(config, observer);
        let (nudge, status) = (agent.nudge(), agent.status());
        let task = AbortOnDropHandle::new(tokio::spawn(agent.run(shutdown.clone())));
        Self { shutdown, task, events, nudge, status }
    }

    /// Where to ask how it is.
    pub fn status(&self) -> Source {
        self.status.clone()
    }

    /// Tells it that the network may have changed.
    pub fn nudge(&self) {
        self.nudge.nudge();
    }

    /// Waits until the agent is online, once more if it was before.
    pub async fn online(&mut self) {
        self.event(|event| matches!(event, Event::Online { .. }).then_some(())).await;
    }

    /// Waits until the agent has lost its gateway, and returns the reason it gives.
    pub async fn offline(&mut self) -> String {
        self.event(|event| match event {
            Event::Offline { reason, .. } => Some(reason),
            _ => None,
        })
        .await
    }

    /// Waits for something to happen in the agent.
    pub async fn event<T>(&mut self, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
        loop {
            let event = self.events.recv().await.expect("the agent goes on");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    /// Begins a shutdown.
    pub fn drain(&self) {
        self.shutdown.drain.cancel();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(self) -> Result<(), RunError> {
        self.task.await.unwrap()
    }
}

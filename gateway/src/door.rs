use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    census::Census,
    listener::Listener,
    metrics::ConnectionMetrics,
    ports::Ports,
    stage::{Guests, Life, Stage},
};

/// A port, who comes to it, and when they are taken.
pub(crate) struct Door {
    pub(crate) listener: Arc<Listener>,
    pub(crate) guests: Guests,
    pub(crate) stage: watch::Receiver<Stage>,
    pub(crate) census: Arc<Census>,
}

/// What the doors of a gateway are made of.
pub(crate) struct Doors<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) life: &'a Life,
    pub(crate) metrics: &'a ConnectionMetrics,
}

impl Doors<'_> {
    /// For clients, so many of them.
    pub(crate) fn of_clients(&self, census: Arc<Census>) -> Door {
        let listener = Arc::clone(&self.ports.http);
        Door { listener, guests: Guests::Clients, stage: self.life.watch(), census }
    }

    /// For agents over gRPC and over WebSocket, and for operators.
    pub(crate) fn of_others(&self) -> [Door; 3] {
        let Ports { grpc, ws, admin, .. } = self.ports;
        [(grpc, Guests::Agents), (ws, Guests::Agents), (admin, Guests::Operators)].map(
            |(listener, guests)| {
                let census = Census::unbounded(listener.name(), self.metrics);
                Door { listener: Arc::clone(listener), guests, stage: self.life.watch(), census }
            },
        )
    }
}

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    Limits,
    census::{Bounds, Census},
    descriptors,
    edge::Edge,
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
    /// For clients, as many as the limits say.
    pub(crate) fn of_clients(&self, limits: &Limits, edge: &Arc<Edge>) -> Door {
        let bounds = Bounds {
            total: descriptors::share(limits.max_connections),
            per_address: Some(limits.max_connections_per_address).filter(|most| *most > 0),
        };
        let edge = Arc::clone(edge);
        let exempt = Box::new(move |address| edge.trusts(address));
        let census = Census::new(self.ports.http.name(), bounds, self.metrics, exempt);
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

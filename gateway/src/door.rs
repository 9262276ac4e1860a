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
    /// For clients with HTTP and with HTTPS, together as many as the limits say.
    pub(crate) fn of_clients(&self, limits: &Limits, edge: &Arc<Edge>) -> (Door, Option<Door>) {
        let bounds = Bounds {
            total: descriptors::share(limits.max_connections),
            per_address: Some(limits.max_connections_per_address).filter(|most| *most > 0),
        };
        let edge = Arc::clone(edge);
        let exempt = Arc::new(move |address| edge.trusts(address));
        let Ports { http, https, .. } = self.ports;
        let census = Census::new(http.name(), bounds, self.metrics, exempt);
        let secure =
            https.as_ref().map(|https| self.door(https, Guests::Clients, census.beside(https.name())));
        (self.door(http, Guests::Clients, census), secure)
    }

    /// For agents over gRPC and over WebSocket, and for operators.
    pub(crate) fn of_others(&self) -> [Door; 3] {
        let Ports { grpc, ws, admin, .. } = self.ports;
        [(grpc, Guests::Agents), (ws, Guests::Agents), (admin, Guests::Operators)].map(
            |(listener, guests)| {
                self.door(listener, guests, Census::unbounded(listener.name(), self.metrics))
            },
        )
    }

    fn door(&self, listener: &Arc<Listener>, guests: Guests, census: Arc<Census>) -> Door {
        Door { listener: Arc::clone(listener), guests, stage: self.life.watch(), census }
    }
}

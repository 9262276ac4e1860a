use agent::Transport;

/// What was found over one transport, from few to many.
pub(super) struct Curve<P> {
    pub(super) transport: Transport,
    pub(super) points: Vec<P>,
}

impl<P> Curve<P> {
    /// The same points as numbers: how many, and what came of it.
    pub(super) fn plotted(&self, point: impl Fn(&P) -> (f64, f64)) -> crate::curves::Curve {
        crate::curves::Curve {
            name: self.transport.label().to_owned(),
            points: self.points.iter().map(point).collect(),
        }
    }
}

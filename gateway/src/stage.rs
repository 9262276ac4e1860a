//! What a gateway takes at a moment of its life.

use std::time::Duration;

use tokio::sync::watch;

/// Where in its life a gateway is.
///
/// ```text
/// Starting --enough agents have come--> Serving --an heir came--> Yielding --it is ready--> Superseded
///                                          ^------------------------+--- the heir is gone ------+
/// any of them --the end was announced--> Ending
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Agents are taken; an older process may still serve the clients.
    Starting,
    /// Everybody is taken.
    Serving,
    /// Clients are taken; agents go to an heir.
    Yielding,
    /// An heir takes everybody. Who is here may stay.
    Superseded,
    /// Nobody is taken but those who had come already, until none has come for so long; `None` if another process takes
    /// them.
    Ending(Option<Duration>),
}

/// Who comes to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guests {
    Clients,
    Agents,
    Operators,
}

/// What happens to connections at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    Shut,
    /// Open until nobody has come for so long, and then closed for good.
    Closing(Duration),
    Closed,
}

impl Stage {
    pub(crate) fn gate(self, guests: Guests) -> Gate {
        match (self, guests) {
            (Self::Serving, _)
            | (Self::Starting, Guests::Agents | Guests::Operators)
            | (Self::Yielding, Guests::Clients) => Gate::Open,
            (Self::Starting | Self::Yielding | Self::Superseded, _) => Gate::Shut,
            // Who asks how the end goes on should be told.
            (Self::Ending(Some(_)), Guests::Operators) => Gate::Open,
            (Self::Ending(Some(quiet)), _) => Gate::Closing(quiet),
            (Self::Ending(None), _) => Gate::Closed,
        }
    }
}

/// The stage of a gateway, and who may change it.
#[derive(Clone, Debug)]
pub(crate) struct Life(watch::Sender<Stage>);

/// Whether a gateway takes clients, for those who wait for that.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Receiver<Stage>);

impl Readiness {
    /// Completes when the gateway takes clients, be it again, and also when it has ended.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn ready(&self) {
        let _ = self.0.clone().wait_for(|stage| *stage == Stage::Serving).await;
    }
}

impl Default for Life {
    fn default() -> Self {
        Self(watch::Sender::new(Stage::Starting))
    }
}

impl Life {
    pub(crate) fn stage(&self) -> Stage {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Stage> {
        self.0.subscribe()
    }

    pub(crate) fn readiness(&self) -> Readiness {
        Readiness(self.watch())
    }

    /// Enough agents have come, or there is nobody whose agents to wait for.
    pub(crate) fn on_ready(&self) {
        self.step(|stage| (stage == Stage::Starting).then_some(Stage::Serving));
    }

    /// An heir wants the agents. `false` if this is no time for it.
    pub(crate) fn on_heir(&self) -> bool {
        self.step(|stage| (stage == Stage::Serving).then_some(Stage::Yielding))
    }

    /// The heir is ready. `false` if it comes too late.
    pub(crate) fn on_heir_ready(&self) -> bool {
        self.step(|stage| (stage == Stage::Yielding).then_some(Stage::Superseded))
    }

    /// The heir is gone. `true` if somebody is needed in its place.
    pub(crate) fn on_heir_gone(&self) -> bool {
        self.step(|stage| matches!(stage, Stage::Yielding | Stage::Superseded).then_some(Stage::Serving))
    }

    /// The end was announced.
    pub(crate) fn on_end(&self, quiet: Option<Duration>) {
        self.step(|_stage| Some(Stage::Ending(quiet)));
    }

    fn step(&self, event: impl FnOnce(Stage) -> Option<Stage>) -> bool {
        self.0.send_if_modified(|stage| {
            let Some(next) = event(*stage) else { return false };
            *stage = next;
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_heir_takes_agents_first_and_may_be_lost_at_any_time() {
        let life = Life::default();
        assert!(!life.on_heir(), "not before it serves itself");
        life.on_ready();
        assert!(life.on_heir());
        assert!(!life.on_heir(), "one at a time");
        assert_eq!(life.stage().gate(Guests::Clients), Gate::Open);
        assert_eq!(life.stage().gate(Guests::Agents), Gate::Shut);
        assert!(life.on_heir_gone());
        assert_eq!(life.stage(), Stage::Serving);
        assert!(!life.on_heir_ready(), "it was given up");
        assert!(life.on_heir() && life.on_heir_ready());
        assert_eq!(life.stage().gate(Guests::Clients), Gate::Shut);
        assert!(life.on_heir_gone());
        life.on_end(None);
        assert!(!life.on_heir() && !life.on_heir_gone());
        assert_eq!(life.stage().gate(Guests::Clients), Gate::Closed);
    }

    #[test]
    fn an_end_without_an_heir_takes_those_who_had_come() {
        let quiet = Duration::from_millis(5);
        let ending = Stage::Ending(Some(quiet));
        assert_eq!(ending.gate(Guests::Clients), Gate::Closing(quiet));
        assert_eq!(ending.gate(Guests::Operators), Gate::Open);
    }
}

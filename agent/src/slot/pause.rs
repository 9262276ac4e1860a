use std::{sync::Arc, time::Duration};

use tracing::{info, warn};

use super::{Leaving, Slot};
use crate::{LinkAge, RunError, board::Why, choice::Failures, connection::ConnectFailure, session::Ended};

/// Pause after the gateway refused credentials that it used to accept, has no room for another link, or gave our place
/// to another agent.
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// A link that is sent away sooner than this was no good one.
const HASTY: Duration = Duration::from_secs(1);

/// What a slot makes of it when there is no link any more, or none came about.
impl Slot {
    /// Takes note of why a slot has to connect again. Returns the pause before it does.
    pub(super) fn on_left(&mut self, leaving: Leaving, lasted: Duration) -> Duration {
        let board = Arc::clone(&self.shared.board);
        self.backoff.on_connected_for(lasted);
        let (why, pause) = match leaving {
            // A gateway that sends every link away at once is not asked again without a pause.
            Leaving::Replace(_) if lasted < HASTY => (Why::Drained, HASTY.mul_f64(self.shared.draw())),
            Leaving::Replace(spread) => (Why::Drained, spread.mul_f64(self.shared.draw())),
            Leaving::Ousted => {
                let reason = "another agent took this one's place; trying again in a minute";
                warn!(link = self.number, "{reason}");
                (Why::Replaced, self.offline(reason.to_owned(), LONG_PAUSE))
            }
            Leaving::Ended(ended) => {
                if let Ended::Cut(_) = &ended {
                    self.on_cut(lasted);
                }
                let why = if let Ended::Silent(_) = ended { Why::Silent } else { Why::Lost };
                let pause = self.backoff.on_lost(link::now(), || self.shared.draw());
                board.on_offline(self.number, ended.to_string(), pause);
                (why, pause)
            }
            Leaving::Moved(_) | Leaving::Shutdown => return Duration::ZERO,
        };
        board.on_reconnect(self.number, why);
        pause
    }

    fn on_cut(&self, age: Duration) {
        if self.shared.config.link_age != LinkAge::Learned {
            return;
        }
        if let Some(age) = self.ages().on_death(age, link::now()) {
            self.shared.lessons.nudge();
            info!(?age, "links are cut at this age on their way; replacing each ahead of it from now on");
        }
    }

    /// Decides whether to go on after no address accepted us, and after which pause. A gateway that answered and will
    /// not have us counts more than one that cannot be reached; else the best address speaks for all.
    pub(super) fn on_failure(&mut self, failures: &Failures<ConnectFailure>) -> Result<Duration, RunError> {
        let weight = |(index, failure): &&(usize, ConnectFailure)| (!failure.is_final(), *index);
        let (index, failure) = failures.iter().min_by_key(weight).expect("a configuration names a gateway");
        let reason = format!("{}: {failure}", self.shared.config.gateways[*index]);
        if self.number > 0 {
            let unwanted = failure.is_final() || failure.is_limit();
            let at_least = if unwanted { Some(LONG_PAUSE) } else { failure.retry_after() };
            return Ok(self.offline(reason, at_least.unwrap_or_default()));
        }
        if failure.is_final() {
            if self.shared.accepted.borrow().is_none() {
                return Err(RunError::Refused(reason));
            }
            warn!(reason, "the gateway no longer accepts this agent; trying again every minute");
            return Ok(self.offline(reason, LONG_PAUSE));
        }
        let pause = self.offline(reason.clone(), failure.retry_after().unwrap_or_default());
        let attempts = self.backoff.attempts();
        match self.shared.config.max_retries {
            Some(most) if attempts >= most && self.shared.board.ready() == 0 => {
                Err(RunError::Unreachable { attempts, reason })
            }
            _ => Ok(pause),
        }
    }

    /// An attempt failed. Returns the pause.
    fn offline(&mut self, reason: String, at_least: Duration) -> Duration {
        let pause = at_least + self.backoff.on_failure(link::now(), || self.shared.draw());
        self.shared.board.on_offline(self.number, reason, pause);
        pause
    }
}

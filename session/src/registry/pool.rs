use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::session::{Process, Rank, Session};

/// Requests in progress with which a link of an agent counts as well used. Up to there requests stay together, since
/// frames that leave together share a write; beyond, the agent's next link takes its share.
const TOGETHER: usize = 32;

/// What becomes of the sessions of other processes when an agent connects whose id they have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Instances {
    /// They share the requests.
    #[default]
    Pool,
    /// The newest process takes their place. They are refused for as long as it is there.
    Replace,
    /// The newest process is refused for as long as another one is there.
    Refuse,
}

/// A word that is none of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("say pool, replace or refuse")]
pub struct InvalidInstances;

impl FromStr for Instances {
    type Err = InvalidInstances;

    fn from_str(text: &str) -> Result<Self, InvalidInstances> {
        match text {
            "pool" => Ok(Self::Pool),
            "replace" => Ok(Self::Replace),
            "refuse" => Ok(Self::Refuse),
            _ => Err(InvalidInstances),
        }
    }
}

/// Another process has the id, and does not share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another instance serves this agent id")]
pub struct InUse;

/// What a look for a session finds.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This one.
    Session(Arc<Session>),
    /// There are some, but no agent's service can be asked.
    Unhealthy,
    /// There is none.
    Nobody,
}

/// The sessions of one agent id that take requests.
#[derive(Debug, Default)]
pub(super) struct Pool {
    sessions: Vec<Arc<Session>>,
    /// Processes in whose place a newer one is, the last at the end. They may come back once nobody is here.
    ousted: Vec<Process>,
}

/// More than that do not take turns on one id.
const OUSTED: usize = 16;

impl Pool {
    /// Adds a session, and returns those that it takes the place of.
    pub(super) fn admit(
        &mut self,
        session: &Arc<Session>,
        instances: Instances,
    ) -> Result<Vec<Arc<Session>>, InUse> {
        let is_rival = |other: &Session| !other.is_same_instance(session) && other.rank().is_some();
        let gives_way = match instances {
            Instances::Pool => false,
            Instances::Refuse => true,
            Instances::Replace => session.process().is_some_and(|process| self.ousted.contains(&process)),
        };
        if gives_way && self.sessions.iter().any(|other| is_rival(other)) {
            return Err(InUse);
        }
        let replaces = |other: &Session| {
            other.is_same_link(session) || instances == Instances::Replace && !other.is_same_instance(session)
        };
        let replaced: Vec<_> = self.sessions.extract_if(.., |other| replaces(other)).collect();
        for other in replaced.iter().filter(|other| !other.is_same_instance(session)) {
            self.oust(other);
        }
        self.sessions.push(Arc::clone(session));
        Ok(replaced)
    }

    /// Remembers that a newer process has the place of this one.
    fn oust(&mut self, session: &Session) {
        let Some(process) = session.process() else { return };
        self.ousted.retain(|other| *other != process);
        self.ousted.push(process);
        let surplus = self.ousted.len().saturating_sub(OUSTED);
        self.ousted.drain(..surplus);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, session: &Arc<Session>) -> bool {
        let before = self.sessions.len();
        self.sessions.retain(|other| !Arc::ptr_eq(other, session));
        self.sessions.len() < before
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Draws two among the sessions of the best rank and takes the better one. `draw` gives a number below its argument.
    pub(super) fn choose(
        &self,
        avoid: impl Fn(&Arc<Session>) -> bool,
        mut draw: impl FnMut(usize) -> usize,
    ) -> Choice {
        let mut lot: Option<Lot<'_>> = None;
        for session in self.sessions.iter().filter(|session| !avoid(session)) {
            // Asked once, for it may change at any moment.
            let Some(rank) = session.rank() else { continue };
            match &mut lot {
                Some(lot) if lot.rank == rank => lot.add(session, &mut draw),
                Some(lot) if lot.rank < rank => {}
                _ => lot = Some(Lot { rank, drawn: [session, session], seen: 1 }),
            }
        }
        match lot {
            None => Choice::Nobody,
            Some(Lot { rank: Rank::Unhealthy, .. }) => Choice::Unhealthy,
            Some(lot) => Choice::Session(Arc::clone(lot.better(draw))),
        }
    }

    /// Whether there is a session in good standing besides this one.
    pub(super) fn has_better(&self, session: &Arc<Session>) -> bool {
        self.sessions.iter().any(|other| !Arc::ptr_eq(other, session) && other.rank() == Some(Rank::Ready))
    }
}

/// Two of the sessions that have one rank, each pair as likely as any other (reservoir sampling).
struct Lot<'a> {
    rank: Rank,
    /// The same twice, as long as it is alone.
    drawn: [&'a Arc<Session>; 2],
    seen: usize,
}

impl<'a> Lot<'a> {
    fn add(&mut self, session: &'a Arc<Session>, draw: impl FnOnce(usize) -> usize) {
        self.seen += 1;
        let place = if self.seen == 2 { 1 } else { draw(self.seen) };
        if let Some(drawn) = self.drawn.get_mut(place) {
            *drawn = session;
        }
    }

    /// Among equals the first wins, so each is the first in turn.
    fn better(self, draw: impl FnOnce(usize) -> usize) -> &'a Arc<Session> {
        let [one, other] = self.drawn;
        match self.seen {
            1 => one,
            _ if draw(2) == 0 => better(one, other),
            _ => better(other, one),
        }
    }
}

/// The one of two with less in progress. Links of one process fill up one after the other.
fn better<'a>(one: &'a Arc<Session>, other: &'a Arc<Session>) -> &'a Arc<Session> {
    if one.is_same_instance(other) {
        let (first, second) = if one.connection < other.connection { (one, other) } else { (other, one) };
        let load = |session: &Session| session.in_flight() / TOGETHER;
        return if load(first) <= load(second) { first } else { second };
    }
    if other.in_flight() < one.in_flight() { other } else { one }
}

use std::{
    collections::HashMap,
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use proto::limits;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{Limiter, Rate, client_key};

/// How many strangers a gateway bears, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct LobbyLimits {
    /// Connections on which no agent was accepted yet.
    pub total: usize,
    /// Of these, from one address. Behind a proxy all agents come from one.
    pub per_address: usize,
    /// How long a connection may stay without an agent.
    pub patience: Duration,
    /// How many attempts of an address to authenticate may fail.
    pub failures: Rate,
}

impl LobbyLimits {
    /// Failed attempts of an address: so many at once, and so many a minute.
    pub const FAILURES: u32 = 10;

    /// `count` failed attempts of an address at once, and as many in each minute after that.
    ///
    /// # Panics
    /// If `count` is zero.
    pub fn failures(count: u32) -> Rate {
        Rate::new(f64::from(count) / 60.0, count).expect("more than zero a minute is a rate")
    }
}

impl Default for LobbyLimits {
    fn default() -> Self {
        let failures = Self::failures(Self::FAILURES);
        Self { total: 1000, per_address: 64, patience: limits::CONNECT_TIMEOUT, failures }
    }
}

/// Where connections wait until an agent was accepted on them. What nobody has vouched for is limited in number and in
/// time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lobby {
    limits: LobbyLimits,
    waiting: Arc<Mutex<Waiting>>,
    failures: Arc<Limiter>,
}

#[derive(Debug, Default)]
struct Waiting {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection in the lobby, or one that has left it. Its clones are one visitor, whose place is free once an agent was
/// accepted or the last of them is dropped.
#[derive(Clone, Default)]
pub struct Visitor {
    accepted: CancellationToken,
    place: Arc<Mutex<Option<Place>>>,
    /// What is known of where it comes from.
    record: Option<Record>,
}

/// How an address has fared of late.
#[derive(Clone)]
struct Record {
    address: IpAddr,
    /// Whether that is where failures come from. If not, nobody knows where they do, and they are not counted.
    is_its_own: bool,
    rate: Rate,
    failures: Arc<Limiter>,
}

/// What is counted of an address, besides the failures against each generation of credentials.
#[derive(Hash)]
struct Lines;

/// What may be said of one more refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// All of it.
    Line,
    /// All of it, and that there will be no more for a while.
    LastLine,
    /// Nothing.
    Silence,
}

struct Place {
    address: IpAddr,
    waiting: Arc<Mutex<Waiting>>,
}

impl Telling {
    /// What may be said before a `next` one.
    fn before(next: Result<(), Duration>) -> Self {
        if next.is_ok() { Self::Line } else { Self::LastLine }
    }
}

impl Lobby {
    /// An empty lobby.
    pub fn new(limits: LobbyLimits) -> Self {
        Self { limits, waiting: Arc::default(), failures: Arc::new(Limiter::new(link::now())) }
    }

    /// Takes in a connection from `address`; `None` if there is no room for it.
    pub fn enter(&self, address: IpAddr) -> Option<Visitor> {
        let mut waiting = lock(&self.waiting);
        let from_there = waiting.by_address.get(&address).copied().unwrap_or(0);
        if waiting.total >= self.limits.total || from_there >= self.limits.per_address {
            return None;
        }
        waiting.total += 1;
        waiting.by_address.insert(address, from_there + 1);
        let place = Place { address, waiting: Arc::clone(&self.waiting) };
        let failures = Arc::clone(&self.failures);
        let record = Some(Record { address, is_its_own: true, rate: self.limits.failures, failures });
        let place = Arc::new(Mutex::new(Some(place)));
        Some(Visitor { accepted: CancellationToken::new(), place, record })
    }

    /// Completes when `visitor` has waited for too long; never, if an agent is accepted before.
    ///
    /// # Cancel safety
    /// Safe, and begins to wait anew.
    pub async fn overdue(&self, visitor: &Visitor) {
        if timeout(self.limits.patience, visitor.accepted.cancelled()).await.is_ok() {
            std::future::pending().await
        }
    }
}

impl Visitor {
    /// An agent was accepted.
    pub(crate) fn accept(&self) {
        self.accepted.cancel();
        let place = lock(&self.place).take();
        drop(place);
    }

    /// The same visitor, sent by somebody who is trusted: it is `client`'s failures that count, or nobody's if nobody
    /// knows who that is.
    #[must_use]
    pub fn on_behalf_of(self, client: Option<IpAddr>) -> Self {
        let record = self.record.map(|record| match client {
            Some(address) => Record { address, ..record },
            None => Record { is_its_own: false, ..record },
        });
        Self { record, ..self }
    }

    /// Where it comes from, as far as anybody knows.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.record.as_ref().map(|record| record.address)
    }

    /// Whether its failures are counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.is_its_own)
    }

    /// Takes note of a refusal that costs whoever causes it nothing, so that strangers cannot fill a log. Their attempts are
    /// not counted by it.
    pub(crate) fn tell(&self, now: Instant) -> Telling {
        let Some(record) = &self.record else { return Telling::Line };
        let key = (client_key(record.address), Lines);
        if record.failures.take(&key, record.rate, now).is_err() {
            return Telling::Silence;
        }
        Telling::before(record.failures.check(&key, record.rate, now))
    }

    /// Whether it may try to authenticate. What failed against credentials of an earlier `generation` is forgotten: it may be
    /// right by now, and who waits for a new token to be known shall not have to wait longer.
    ///
    /// # Errors
    /// How long it must wait, because too many attempts from there have failed.
    pub(crate) fn may_try(&self, generation: u64, now: Instant) -> Result<(), Duration> {
        let Some(Record { address, is_its_own: true, rate, failures }) = &self.record else { return Ok(()) };
        failures.check((client_key(*address), generation), *rate, now)
    }

    /// An attempt failed. Returns what may be said of it.
    pub(crate) fn failed(&self, generation: u64, now: Instant) -> Telling {
        let Some(Record { address, is_its_own: true, rate, failures }) = &self.record else {
            return self.tell(now);
        };
        let key = (client_key(*address), generation);
        let _ = failures.take(key, *rate, now); // one that came too soon is no reason to wait longer
        Telling::before(failures.check(key, *rate, now))
    }

    /// Whether an agent was accepted.
    pub fn is_accepted(&self) -> bool {
        self.accepted.is_cancelled()
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").field("accepted", &self.is_accepted()).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = lock(&self.waiting);
        waiting.total -= 1;
        if let Some(count) = waiting.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                waiting.by_address.remove(&self.address);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const THERE: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn lobby(total: usize, per_address: usize) -> Lobby {
        Lobby::new(LobbyLimits { total, per_address, ..LobbyLimits::default() })
    }

    #[test]
    fn there_is_room_for_so_many() {
        let lobby = lobby(3, 2);
        let first = lobby.enter(HERE).unwrap();
        let second = lobby.enter(HERE).unwrap();
        assert!(lobby.enter(HERE).is_none());
        let third = lobby.enter(THERE).unwrap();
        assert!(lobby.enter(THERE).is_none(), "the house is full");
        drop(first.clone());
        assert!(lobby.enter(THERE).is_none(), "a clone is no visitor of its own");
        drop(first);
        assert!(lobby.enter(HERE).is_some());
        second.accept();
        second.accept();
        let _others = [lobby.enter(HERE).unwrap(), lobby.enter(HERE).unwrap()];
        assert!(lobby.enter(THERE).is_none());
        drop(second);
        assert!(lobby.enter(THERE).is_none(), "a place is free once only");
        drop((third, _others));
        assert!(lock(&lobby.waiting).by_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_who_wait_are_overdue() {
        let lobby = lobby(2, 2);
        let [stranger, agent] = [lobby.enter(HERE).unwrap(), lobby.enter(HERE).unwrap()];
        let later = Duration::from_secs(3600);
        assert!(timeout(Duration::from_secs(4), lobby.overdue(&stranger)).await.is_err());
        assert!(timeout(later, lobby.overdue(&stranger)).await.is_ok());
        agent.accept();
        assert!(timeout(later, lobby.overdue(&agent)).await.is_err());
    }

    #[test]
    fn an_address_may_fail_ten_times_and_then_ten_times_a_minute() {
        let lobby = lobby(100, 100);
        let now = link::now();
        for attempt in 1..=10 {
            let visitor = lobby.enter(HERE).unwrap();
            assert_eq!(visitor.may_try(0, now), Ok(()));
            let telling = if attempt == 10 { Telling::LastLine } else { Telling::Line };
            assert_eq!(visitor.failed(0, now), telling, "attempt {attempt}");
        }
        let again = lobby.enter(HERE).unwrap();
        let wait = again.may_try(0, now).unwrap_err();
        assert!((5..7).contains(&wait.as_secs()), "{wait:?}");
        assert_eq!(again.may_try(0, now + Duration::from_secs(7)), Ok(()));
        assert_eq!(lobby.enter(THERE).unwrap().may_try(0, now), Ok(()), "others are not meant");
        assert_eq!(again.may_try(1, now), Ok(()), "other credentials, other failures");
        assert_eq!(Visitor::default().may_try(0, now), Ok(()));
    }

    #[test]
    fn an_address_has_ten_lines_and_then_ten_a_minute_and_may_try_all_the_while() {
        let lobby = lobby(100, 100);
        let now = link::now();
        let visitor = lobby.enter(HERE).unwrap();
        let told: Vec<_> = (0..100).map(|_| visitor.tell(now)).collect();
        assert_eq!(told[..9], [Telling::Line; 9]);
        assert_eq!(told[9], Telling::LastLine);
        assert_eq!(told[10..], [Telling::Silence; 90]);
        assert_eq!(visitor.may_try(0, now), Ok(()));
        assert_eq!(visitor.tell(now + Duration::from_secs(7)), Telling::LastLine);
        assert_eq!(lobby.enter(THERE).unwrap().tell(now), Telling::Line);
        // Nobody knows who fails behind a proxy that does not say; the lines are the proxy's.
        let proxied = lobby.enter(HERE).unwrap().on_behalf_of(None);
        assert_eq!(proxied.failed(0, now), Telling::Silence);
        assert_eq!(proxied.address(), Some(HERE));
    }

    #[test]
    fn whom_a_proxy_speaks_for_is_counted_instead_of_the_proxy() {
        let lobby = lobby(100, 100);
        let now = link::now();
        let proxied = |client| lobby.enter(HERE).unwrap().on_behalf_of(client);
        for _ in 0..10 {
            proxied(Some(THERE)).failed(0, now);
            proxied(None).failed(0, now);
        }
        assert!(proxied(Some(THERE)).may_try(0, now).is_err());
        assert!(lobby.enter(THERE).unwrap().may_try(0, now).is_err());
        assert_eq!(proxied(None).may_try(0, now), Ok(()));
        assert_eq!(lobby.enter(HERE).unwrap().may_try(0, now), Ok(()));
    }
}

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use proto::TokenId;

/// Nonces that are remembered at a time.
const CAPACITY: usize = 100_000;

/// The nonces seen of late, by token. Bounded: when it is full it refuses rather than forgets. Only requests with a
/// good signature get here, so a stranger cannot fill it; and a token may hold no more than what is still free, so that
/// there is room for others whatever one of them does.
#[derive(Debug)]
pub(super) struct ReplayCache {
    kept_for: Duration,
    seen: HashSet<Key>,
    order: VecDeque<(Instant, Key)>,
    held: HashMap<TokenId, usize>,
}

type Key = (TokenId, Box<[u8]>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replay {
    Fresh,
    Seen,
    Full,
}

impl ReplayCache {
    pub(super) fn new(kept_for: Duration) -> Self {
        Self { kept_for, seen: HashSet::new(), order: VecDeque::new(), held: HashMap::new() }
    }

    pub(super) fn insert(&mut self, token: &TokenId, nonce: &[u8], now: Instant) -> Replay {
        self.forget_old(now);
        let key: Key = (token.clone(), nonce.into());
        if self.seen.contains(&key) {
            return Replay::Seen;
        }
        let held = self.held.get(token).copied().unwrap_or(0);
        if held >= CAPACITY - self.order.len() {
            return Replay::Full;
        }
        self.held.insert(token.clone(), held + 1);
        self.order.push_back((now, key.clone()));
        self.seen.insert(key);
        Replay::Fresh
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, _)) = self.order.front() {
            if now.saturating_duration_since(*at) <= self.kept_for {
                return;
            }
            if let Some((_, key)) = self.order.pop_front() {
                self.seen.remove(&key);
                self.released(&key.0);
            }
        }
    }

    fn released(&mut self, token: &TokenId) {
        if let Some(held) = self.held.get_mut(token) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_fresh_once_and_again_after_its_time() {
        let token = TokenId::parse("itk_a").unwrap();
        let other = TokenId::parse("itk_b").unwrap();
        let start = Instant::now();
        let mut cache = ReplayCache::new(Duration::from_secs(120));
        assert_eq!(cache.insert(&token, b"n", start), Replay::Fresh);
        assert_eq!(cache.insert(&token, b"n", start + Duration::from_secs(120)), Replay::Seen);
        assert_eq!(cache.insert(&other, b"n", start), Replay::Fresh);
        assert_eq!(cache.insert(&token, b"n", start + Duration::from_secs(121)), Replay::Fresh);
    }

    #[test]
    fn a_full_cache_refuses_rather_than_forgets() {
        let token = TokenId::parse("itk_a").unwrap();
        let start = Instant::now();
        let mut cache = ReplayCache::new(Duration::from_secs(120));
        for i in 0..CAPACITY / 2 {
            assert_eq!(cache.insert(&token, &i.to_be_bytes(), start), Replay::Fresh);
        }
        assert_eq!(cache.insert(&token, b"n", start), Replay::Full);
        assert_eq!(cache.insert(&token, &0usize.to_be_bytes(), start), Replay::Seen);
        assert_eq!(cache.insert(&token, b"n", start + Duration::from_secs(121)), Replay::Fresh);
        assert_eq!(cache.held.len(), 1);
    }

    #[test]
    fn no_token_takes_the_room_of_all() {
        let start = Instant::now();
        let mut cache = ReplayCache::new(Duration::from_secs(120));
        for greedy in 0..8 {
            let greedy = TokenId::parse(&format!("itk_{greedy}")).unwrap();
            while cache.insert(&greedy, &cache.order.len().to_be_bytes(), start) == Replay::Fresh {}
        }
        let modest = TokenId::parse("itk_modest").unwrap();
        for i in 0..100usize {
            assert_eq!(cache.insert(&modest, &i.to_be_bytes(), start), Replay::Fresh);
        }
        assert!(cache.order.len() <= CAPACITY);
    }
}

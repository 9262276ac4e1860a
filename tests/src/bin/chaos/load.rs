//! A load that comes at a fixed rate, whatever becomes of earlier requests.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use clap::Args;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ask::{Ask, Client},
    kind::Kind,
    tally::Tally,
};

/// What is asked, and how often.
#[derive(Args, Clone, Debug)]
pub(crate) struct Mix {
    /// Requests begun in a second
    #[arg(long, default_value_t = 200)]
    pub(crate) rate: u32,
    /// Of 20 requests, how many are streams of five seconds
    #[arg(long, default_value_t = 2)]
    pub(crate) streams: u64,
    /// Of 20 requests, how many are uploads of a second
    #[arg(long, default_value_t = 2)]
    pub(crate) uploads: u64,
    /// Of 20 requests, how many are large bodies that are read slowly
    #[arg(long, default_value_t = 0)]
    pub(crate) slow: u64,
    /// Of 20 requests, how many are given up after the first piece of the answer
    #[arg(long, default_value_t = 0)]
    pub(crate) leavers: u64,
    /// Send a request once more if a kept connection ends before it is answered, as browsers do
    #[arg(long)]
    pub(crate) browser: bool,
}

/// Where the requests go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    /// The `host` fields, in turns.
    pub(crate) hosts: Vec<String>,
}

/// Ids go on where an earlier load of this process left off.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Asks until `stop`, and waits for every outcome.
pub(crate) async fn run(target: &Target, mix: &Mix, stop: CancellationToken) -> Tally {
    let client = Arc::new(Client::new(target.addr, mix.browser));
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut clients = JoinSet::new();
    let mut clock = interval(Duration::from_secs(1) / mix.rate.max(1));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst); // the rate is what counts
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            _ = clock.tick() => {
                let ask = next(target, mix);
                let client = Arc::clone(&client);
                tally.asked += 1;
                clients.spawn(async move {
                    let begun = begin.elapsed();
                    let outcome = client.ask(&ask).await;
                    (ask, outcome, begun, begin.elapsed())
                });
            }
            Some(ended) = clients.join_next() => count(&mut tally, ended),
        }
    }
    while let Some(ended) = clients.join_next().await {
        count(&mut tally, ended);
    }
    tally
}

type Ended = (Ask, crate::ask::Outcome, Duration, Duration);

fn count(tally: &mut Tally, ended: Result<Ended, tokio::task::JoinError>) {
    // A client that panicked has no outcome, and so is found missing.
    if let Ok((ask, outcome, begun, ended)) = ended {
        tally.ended(&ask, outcome, begun, ended);
    }
}

/// Kinds, connections and hosts in turns, none in step with another.
fn next(target: &Target, mix: &Mix) -> Ask {
    let number = NEXT.fetch_add(1, Relaxed);
    let place = number * 7 % 20; // a stride without a common divisor
    let kinds = [
        (Kind::Stream, mix.streams),
        (Kind::Upload, mix.uploads),
        (Kind::Slow, mix.slow),
        (Kind::Leaver, mix.leavers),
    ];
    let mut upto = 0;
    let kind = kinds.into_iter().find(|(_, share)| {
        upto += share;
        place < upto
    });
    let host = usize::try_from(number).unwrap_or_default() % target.hosts.len().max(1);
    Ask {
        kind: kind.map_or(Kind::Small, |(kind, _)| kind),
        id: format!("{:x}-{number:x}", std::process::id()),
        host: target.hosts.get(host).cloned().unwrap_or_default(),
        keep: (number / 20).is_multiple_of(2),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_the_shares_that_were_asked_for() {
        let mix = Mix { rate: 1, streams: 2, uploads: 3, slow: 1, leavers: 4, browser: false };
        let target = Target { addr: ([127, 0, 0, 1], 1).into(), hosts: vec!["a".to_owned(), "b".to_owned()] };
        let asked: Vec<Ask> = (0..400).map(|_| next(&target, &mix)).collect();
        let count = |kind| asked.iter().filter(|ask| ask.kind == kind).count();
        let kinds = [Kind::Small, Kind::Stream, Kind::Upload, Kind::Slow, Kind::Leaver];
        assert_eq!(kinds.map(count), [200, 40, 60, 20, 80]);
        assert_eq!(asked.iter().filter(|ask| ask.keep && ask.kind == Kind::Stream).count(), 20);
        assert_eq!(asked.iter().filter(|ask| ask.host == "a").count(), 200);
    }
}

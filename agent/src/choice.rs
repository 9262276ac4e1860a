//! Which of several addresses: the first that accepts us, in the order of preference, without waiting long for one that
//! is silent.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tracing::debug;

use crate::{
    GatewayUrl,
    connection::{ConnectFailure, Connector, Ready},
};

/// For how long an address is the only one that is tried. A proxy that accepts a connection and swallows what is sent
/// would otherwise cost its whole time-out before the next one has its chance.
const HEAD_START: Duration = Duration::from_millis(1_500);

/// An accepted link, and how it was reached.
pub(crate) struct Reached {
    /// Position of the address in the order of preference.
    pub(crate) index: usize,
    pub(crate) ready: Ready,
    /// Why better addresses were not taken, if they failed by then.
    pub(crate) passed_over: Vec<(usize, ConnectFailure)>,
}

/// Tries for a slot `order`, positions in `urls`, each a head start after the one before or at once when that failed.
///
/// # Errors
/// Positions and failures, once all have failed.
///
/// # Cancel safety
/// Dropping the future closes every connection that it opened.
pub(crate) async fn first(
    connector: &Connector,
    slot: u32,
    urls: &[GatewayUrl],
    order: &[usize],
) -> Result<Reached, Failures<ConnectFailure>> {
    let (index, ready, passed_over) = staggered(order, |index| connector.connect(slot, &urls[index])).await?;
    Ok(Reached { index, ready, passed_over })
}

/// What went wrong where.
pub(crate) type Failures<E> = Vec<(usize, E)>;

/// Runs `attempt` for each position, overlapping, until one succeeds.
async fn staggered<T, E, F>(
    order: &[usize],
    attempt: impl Fn(usize) -> F + Copy,
) -> Result<(usize, T, Failures<E>), Failures<E>>
where
    F: Future<Output = Result<T, E>>,
    E: std::fmt::Display,
{
    let mut waiting = order.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let begin = |index| async move { (index, attempt(index).await) };
    running.extend(waiting.next().map(&begin));
    loop {
        tokio::select! {
            done = running.next() => match done {
                None => return Err(failures),
                Some((index, Ok(done))) => return Ok((index, done, failures)),
                Some((index, Err(failure))) => {
                    debug!(index, %failure, "cannot connect");
                    failures.push((index, failure));
                    running.extend(waiting.next().map(&begin));
                }
            },
            () = tokio::time::sleep(HEAD_START), if waiting.len() > 0 => {
                running.extend(waiting.next().map(&begin));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an address does, and after how many milliseconds; `None` is silence.
    async fn pretend(index: usize, behaviour: &[(Option<u64>, bool)]) -> Result<usize, &'static str> {
        let (after, good) = behaviour[index];
        match after {
            Some(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
        if good { Ok(index) } else { Err("no") }
    }

    async fn winner(order: &[usize], behaviour: &[(Option<u64>, bool)]) -> (Option<usize>, Vec<usize>, u128) {
        let begun = tokio::time::Instant::now();
        let outcome = staggered(order, |index| pretend(index, behaviour)).await;
        let elapsed = begun.elapsed().as_millis();
        let indices = |failures: Failures<&str>| failures.into_iter().map(|(index, _)| index).collect();
        match outcome {
            Ok((_, winner, failures)) => (Some(winner), indices(failures), elapsed),
            Err(failures) => (None, indices(failures), elapsed),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_that_accepts_wins() {
        assert_eq!(winner(&[0, 1], &[(Some(5), true), (Some(0), true)]).await, (Some(0), vec![], 5));
        assert_eq!(winner(&[1, 0], &[(Some(5), true), (Some(0), true)]).await, (Some(1), vec![], 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_passes_the_turn_on_at_once() {
        assert_eq!(winner(&[0, 1], &[(Some(5), false), (Some(10), true)]).await, (Some(1), vec![0], 15));
        assert_eq!(winner(&[0, 1], &[(Some(5), false), (Some(10), false)]).await, (None, vec![0, 1], 15));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_costs_a_head_start_and_no_more() {
        assert_eq!(winner(&[0, 1], &[(None, true), (Some(10), true)]).await, (Some(1), vec![], 1510));
        assert_eq!(winner(&[0, 1], &[(Some(1600), true), (Some(1000), true)]).await, (Some(0), vec![], 1600));
    }
}

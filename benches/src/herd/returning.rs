use std::time::{Duration, Instant};

use agent::Transport;
use anyhow::ensure;
use tokio::time::sleep;

use super::Bench;
use crate::{
    Ending,
    real::RealGateway,
    scale::{
        herd::{Record, unix_millis},
        role,
    },
};

/// Attempts are counted in steps of this length, ms.
pub(super) const STEP: u64 = 100;
/// And their rate is that of a second around them.
const SECOND: usize = 1000 / STEP as usize;
/// How long the gateway and its agents are left alone before.
const CALM: Duration = Duration::from_secs(2);
/// How long all of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How agents came back.
pub(super) struct Returning {
    pub(super) transport: Transport,
    pub(super) ending: Ending,
    /// From the gateway's end until it listened again, s.
    pub(super) away: f64,
    /// From then until the last one was accepted, s.
    pub(super) back: f64,
    /// Attempts in each step since the gateway's end.
    pub(super) attempts: Vec<u32>,
}

impl Returning {
    /// Attempts in all.
    pub(super) fn total(&self) -> u32 {
        self.attempts.iter().sum()
    }

    /// Attempts per second, from the first to the last.
    pub(super) fn mean(&self) -> f64 {
        let begin = self.attempts.iter().position(|count| *count > 0).unwrap_or_default();
        let seconds = (self.attempts.len() - begin) as f64 / SECOND as f64;
        f64::from(self.total()) / seconds.max(1.0)
    }

    /// Most attempts in any second.
    pub(super) fn most(&self) -> f64 {
        let seconds = self.attempts.windows(SECOND.min(self.attempts.len().max(1)));
        f64::from(seconds.map(|second| second.iter().sum::<u32>()).max().unwrap_or_default())
    }
}

pub(super) async fn measure(
    bench: &Bench,
    transport: Transport,
    ending: Ending,
) -> anyhow::Result<Returning> {
    let count = bench.plan.returning;
    let mut gateway = RealGateway::start(&bench.programs, transport, &[]).await?;
    let mut agents = role::herd(&gateway, transport, &bench.service, count)?;
    sleep(CALM).await;
    Record::of(&mut agents)?; // how they came the first time
    let (end, begun) = (unix_millis(), Instant::now());
    gateway.restart(ending).await?;
    let listening = unix_millis();
    let mut record = Record::default();
    // Those that were accepted by the old process after it was told to end do not count.
    while record.accepted.iter().filter(|accepted| **accepted >= listening).count() < count {
        ensure!(begun.elapsed() < PATIENCE, "{} of {count} agents are back", record.accepted.len());
        sleep(Duration::from_millis(STEP)).await;
        let Record { attempts, accepted } = Record::of(&mut agents)?;
        record.attempts.extend(attempts);
        record.accepted.extend(accepted);
    }
    gateway.child().check()?;
    let last = record.accepted.iter().max().copied().unwrap_or(listening);
    let seconds = |from: u64, to: u64| to.saturating_sub(from) as f64 / 1e3;
    Ok(Returning {
        transport,
        ending,
        away: seconds(end, listening),
        back: seconds(listening, last),
        attempts: steps(end, &record.attempts),
    })
}

/// Counts what happened in each step since `begin`.
fn steps(begin: u64, times: &[u64]) -> Vec<u32> {
    let mut steps = Vec::new();
    for time in times {
        let step = usize::try_from(time.saturating_sub(begin) / STEP).unwrap_or_default();
        if steps.len() <= step {
            steps.resize(step + 1, 0);
        }
        steps[step] += 1;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_counted_in_steps() {
        assert_eq!(steps(1000, &[1000, 1099, 1100, 1350]), [2, 1, 0, 1]);
        assert_eq!(steps(1000, &[]), [0; 0]);
    }

    #[test]
    fn a_spike_is_the_fullest_second() {
        let mut attempts = vec![0; 5];
        attempts.extend([10; 20]);
        attempts.extend([30; 10]);
        let ending = Ending::Kill;
        let returning = Returning { transport: Transport::Grpc, ending, away: 0.0, back: 0.0, attempts };
        assert_eq!((returning.total(), returning.most()), (500, 300.0));
        assert!((returning.mean() - 500.0 / 3.0).abs() < 1e-9);
    }
}

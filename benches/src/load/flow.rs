use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{io::AsyncReadExt as _, time::timeout_at};

use super::{LoadError, Request, client};

/// Read at a time.
const BUFFER: usize = 128 * 1024;

/// How fast one response came, step by step.
#[derive(Clone, Debug)]
pub struct Flow {
    /// How long each step took.
    pub step: Duration,
    /// Bytes that came during each.
    pub bytes: Vec<u64>,
}

impl Flow {
    /// Makes one request on a connection of its own, and watches what comes for `steps` steps. Heads count as bytes.
    ///
    /// # Errors
    /// [`LoadError`] if the response ends before that.
    pub async fn watch(
        addr: SocketAddr,
        request: &Request,
        step: Duration,
        steps: u32,
    ) -> Result<Self, LoadError> {
        let mut stream = client::connect(addr).await?;
        let mut buffer = vec![0; BUFFER];
        let begun = Instant::now();
        client::send(&mut stream, request).await?;
        let mut bytes = vec![0; steps as usize];
        let end = begun + step * steps;
        while let Ok(read) = timeout_at(end.into(), stream.read(&mut buffer)).await {
            let count = read?;
            if count == 0 {
                return Err(LoadError::Closed);
            }
            if let Some(during) = bytes.get_mut(index(begun.elapsed(), step)) {
                *during += count as u64;
            }
        }
        Ok(Self { step, bytes })
    }

    /// Mebibytes per second during each step.
    pub fn rates(&self) -> Vec<f64> {
        let rate = |bytes: &u64| *bytes as f64 / f64::from(1 << 20) / self.step.as_secs_f64();
        self.bytes.iter().map(rate).collect()
    }
}

fn index(elapsed: Duration, step: Duration) -> usize {
    (elapsed.as_nanos() / step.as_nanos()) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Upstream;

    #[tokio::test]
    async fn what_came_is_counted_when_it_came() {
        let upstream = Upstream::start().unwrap();
        let request = Request::get("here", 1 << 40);
        let flow = Flow::watch(upstream.addr(), &request, Duration::from_millis(100), 3).await.unwrap();
        assert!(flow.bytes.len() == 3 && flow.bytes.iter().sum::<u64>() > 0);
    }

    #[test]
    fn rates_are_by_second() {
        let flow = Flow { step: Duration::from_millis(250), bytes: vec![1 << 20, 0] };
        assert_eq!(flow.rates(), [4.0, 0.0]);
        assert_eq!(index(Duration::from_millis(249), flow.step), 0);
        assert_eq!(index(Duration::from_millis(500), flow.step), 2);
    }
}

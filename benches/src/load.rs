//! HTTP/1.1 clients that cost little themselves: requests are bytes made in advance, responses are counted and not kept.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::timeout};

mod client;
mod error;
mod flow;
mod neighbour;
mod request;
mod response;

use self::client::Client;
pub use self::{error::LoadError, flow::Flow, neighbour::Neighbour, request::Request};

/// How much longer than planned a load may last before it is an error.
const PATIENCE: Duration = Duration::from_secs(30);

/// Clients that make the same request again and again, each on a connection of its own.
#[derive(Debug)]
pub struct Load {
    /// Never empty.
    requests: Arc<[Request]>,
    clients: Vec<Client>,
}

/// When clients stop.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After the first request that ends later than this.
    Elapsed(Duration),
    /// After one request each.
    Once,
}

/// What a load did.
#[derive(Debug)]
pub struct Done {
    /// How long each request took, from the shortest to the longest; never empty.
    pub latencies: Vec<Duration>,
    /// From the first request's begin to the last one's end.
    pub elapsed: Duration,
}

impl Load {
    /// Connects `concurrency` clients and has each make one request, so that everything on the way is warm.
    ///
    /// # Errors
    /// [`LoadError`] if one of them does not get the response that is expected.
    pub async fn prepare(addr: SocketAddr, request: Request, concurrency: usize) -> Result<Self, LoadError> {
        Self::prepare_many(addr, [request].into(), concurrency).await
    }

    /// The same with any number of requests, which the clients make in turns, each from its own place among them on.
    /// They are all of the same kind.
    ///
    /// # Errors
    /// [`LoadError`] if a client does not get the response that is expected.
    ///
    /// # Panics
    /// If there are no requests.
    pub async fn prepare_many(
        addr: SocketAddr,
        requests: Arc<[Request]>,
        concurrency: usize,
    ) -> Result<Self, LoadError> {
        let mut load = Self { requests, clients: Vec::new() };
        for _ in 0..concurrency {
            load.clients.push(Client::new(addr, load.requests[0].reuse).await?);
        }
        load.run(Until::Once).await?;
        Ok(load)
    }

    /// Has the clients, connected as they are, make another request from now on.
    pub fn ask_for(&mut self, request: Request) {
        self.requests = [request].into();
    }

    /// Lets all clients go at once.
    ///
    /// # Errors
    /// [`LoadError`] if a single response is not the one that is expected.
    pub async fn run(&mut self, until: Until) -> Result<Done, LoadError> {
        let begun = Instant::now();
        let end = match until {
            Until::Elapsed(duration) => begun + duration,
            Until::Once => begun,
        };
        let mut running = JoinSet::new();
        let count = self.clients.len().max(1);
        for (index, mut client) in self.clients.drain(..).enumerate() {
            let requests = Arc::clone(&self.requests);
            running.spawn(async move {
                let place = index * requests.len() / count;
                let latencies = client.repeat(requests.iter().cycle().skip(place), end).await?;
                Ok::<_, LoadError>((client, latencies))
            });
        }
        let mut latencies = Vec::new();
        let patience = end - begun + PATIENCE;
        let collect = async {
            while let Some(ended) = running.join_next().await {
                let (client, its) = ended.expect("clients neither panic nor are aborted")?;
                self.clients.push(client);
                latencies.extend(its);
            }
            Ok::<_, LoadError>(())
        };
        timeout(patience, collect).await.map_err(|_| LoadError::Stuck(patience))??;
        let elapsed = begun.elapsed();
        latencies.sort_unstable();
        Ok(Done { latencies, elapsed })
    }
}

#[cfg(test)]
mod tests;

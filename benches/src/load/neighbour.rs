use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{io::AsyncReadExt as _, net::TcpSocket, task::JoinHandle, time};

use super::{Client, LoadError, Request};

/// How much a slow reader takes at a time.
const SIP: usize = 1024;
/// What a slow reader's system takes in advance; it is doubled there.
const RECEIVE_BUFFER: u32 = 64 * 1024;
/// Later than any load ends.
const FOREVER: Duration = Duration::from_secs(3600);

/// A client that is busy beside those that are measured. It leaves when it is dropped.
#[derive(Debug)]
pub struct Neighbour {
    task: JoinHandle<LoadError>,
}

impl Neighbour {
    /// Makes the same request again and again.
    pub fn busy(addr: SocketAddr, request: Request) -> Self {
        Self::new(async move {
            let mut client = Client::new(addr, request.reuse).await?;
            client.repeat(std::iter::repeat(&request), Instant::now() + FOREVER).await
        })
    }

    /// Makes one request, and reads `rate` bytes of its response per second.
    pub fn slow(addr: SocketAddr, request: Request, rate: u32) -> Self {
        Self::new(async move {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
            let mut stream = socket.connect(addr).await?;
            super::client::send(&mut stream, &request).await?;
            let mut sips = time::interval(Duration::from_secs(1) * SIP as u32 / rate);
            let mut buffer = [0; SIP];
            while stream.read(&mut buffer).await? > 0 {
                sips.tick().await;
            }
            Ok(Vec::new())
        })
    }

    fn new(busy: impl Future<Output = Result<Vec<Duration>, LoadError>> + Send + 'static) -> Self {
        Self { task: tokio::spawn(async { busy.await.err().unwrap_or(LoadError::Closed) }) }
    }

    /// Makes sure that it was busy until now.
    ///
    /// # Errors
    /// Why it is not, in which case nothing was measured beside it.
    pub async fn check(&mut self) -> Result<(), LoadError> {
        if self.task.is_finished() {
            return Err((&mut self.task).await.expect("a neighbour neither panics nor is aborted"));
        }
        Ok(())
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.task.abort();
    }
}

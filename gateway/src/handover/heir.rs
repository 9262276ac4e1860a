use std::{io, time::Duration};

use session::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::wire::{AGENTS, GONE, Name, READY, TAKE, YIELD, is_one_of_us, receive_sockets};
use crate::ports::Sockets;

/// How long an older process may take for an answer. One that hangs delays a start by no more.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a process that is about to hand over to another one is asked again.
const SEARCH: Duration = Duration::from_secs(4);
const SEARCH_PAUSE: Duration = Duration::from_millis(20);
/// How long the agents of an older process are waited for. They come one after the other, over five seconds at most.
const GATHERING: Duration = Duration::from_secs(6);
const GATHERING_LOOK: Duration = Duration::from_millis(10);

/// The older process, as its heir knows it.
#[derive(Debug)]
pub(crate) struct Predecessor {
    contact: Contact,
}

#[derive(Debug)]
enum Contact {
    /// There is more to say.
    Open(UnixStream),
    /// Nothing is said any more. Ends when the older process does, and holds no descriptor from then on; dropped before, it
    /// gives everything back.
    Kept(AbortOnDropHandle<()>),
}

impl Predecessor {
    /// Asks the process at the rendezvous for its sockets. `None` if there is none, or none that answers.
    pub(crate) async fn find(name: &Name) -> Option<(Self, Sockets)> {
        let end = Instant::now() + SEARCH;
        loop {
            let stream = match UnixStream::connect(name.path()).await {
                Ok(stream) => stream,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return None,
                Err(error) => {
                    warn!(%error, "cannot go to the rendezvous of an older process");
                    return None;
                }
            };
            if !is_one_of_us(&stream) {
                return None;
            }
            match answer(Self::take(stream)).await {
                Ok(found) => return Some(found),
                Err(error) if error.kind() == io::ErrorKind::TimedOut || Instant::now() > end => {
                    warn!(%error, "an older process does not hand its ports over");
                    return None;
                }
                // It is handing over to another one, or ends: there may be somebody else in a moment.
                Err(error) => debug!(%error, "an older process has left the rendezvous"),
            }
            sleep(SEARCH_PAUSE).await;
        }
    }

    async fn take(mut stream: UnixStream) -> io::Result<(Self, Sockets)> {
        stream.write_all(&[TAKE]).await?;
        let sockets = receive_sockets(&stream).await?;
        Ok((Self { contact: Contact::Open(stream) }, sockets))
    }

    /// Takes over from it, once as many agents are here as it has, or they have been waited for.
    pub(crate) async fn succeed(&mut self, registry: &Registry) {
        let Contact::Open(stream) = &mut self.contact else { return };
        match yields(stream).await {
            Ok(agents) => {
                let enough = async {
                    while registry.agents() < agents {
                        sleep(GATHERING_LOOK).await;
                    }
                };
                tokio::select! {
                    gathered = timeout(GATHERING, enough) => if gathered.is_err() {
                        let come = registry.agents();
                        info!(agents, come, "not all agents of the older process have come; not waiting any longer");
                    },
                    () = gone(stream) => warn!("the older process has gone before its agents came"),
                }
            }
            Err(error) => warn!(%error, "an older process does not leave its agents to this one"),
        }
        if let Err(error) = goes(stream).await {
            debug!(%error, "the older process says nothing");
        }
    }

    /// Waits for its end, on a task of its own.
    pub(crate) fn keep(self) -> Self {
        let contact = match self.contact {
            Contact::Open(mut stream) => {
                Contact::Kept(AbortOnDropHandle::new(tokio::spawn(async move { gone(&mut stream).await })))
            }
            kept => kept,
        };
        Self { contact }
    }

    /// Whether it would take everything back if we went.
    pub(crate) fn is_there(&self) -> bool {
        match &self.contact {
            Contact::Open(stream) => {
                matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            Contact::Kept(kept) => !kept.is_finished(),
        }
    }
}

/// Has the older process leave new agents to us and send us its own. Returns how many it has.
///
/// # Errors
/// If it is gone or does not answer.
async fn yields(stream: &mut UnixStream) -> io::Result<usize> {
    answer(async {
        stream.write_all(&[YIELD]).await?;
        if stream.read_u8().await? != AGENTS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(stream.read_u32().await? as usize)
    })
    .await
}

/// Has it leave everything to us.
///
/// # Errors
/// If it is gone or does not answer.
async fn goes(stream: &mut UnixStream) -> io::Result<()> {
    answer(async {
        stream.write_all(&[READY]).await?;
        match stream.read_u8().await? {
            GONE => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    })
    .await
}

/// Completes when it is gone.
///
/// # Cancel safety
/// Safe.
async fn gone(stream: &mut UnixStream) {
    let _ = stream.read_u8().await; // nothing is said any more
}

async fn answer<T>(question: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(ANSWER, question).await.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()))
}

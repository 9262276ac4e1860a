use std::{io, sync::Arc, time::Duration};

use session::{Acceptor, Registry};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use super::wire::{AGENTS, GONE, Name, READY, TAKE, WATCH, YIELD, is_one_of_us, send_sockets};
use crate::{pause::Pauses, ports::Ports, stage::Life};

/// How long an heir may take from one word to the next. One that hangs has nothing after that.
pub(crate) const HEIR_PATIENCE: Duration = Duration::from_secs(12);
/// Between two attempts to have the rendezvous, if one of us or somebody else has it.
const PAUSE: Duration = Duration::from_millis(100);
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// A process that hands over to a newer one once that comes.
#[derive(Clone)]
pub(crate) struct Elder {
    pub(crate) name: Name,
    pub(crate) ports: Ports,
    pub(crate) life: Life,
    pub(crate) acceptor: Acceptor,
    pub(crate) registry: Arc<Registry>,
    /// Of the clients' connections.
    pub(crate) pauses: Pauses,
}

impl Elder {
    /// Goes to the rendezvous at once, and waits there for heirs, one after the other in case they go before us. Dropping
    /// the handle leaves the rendezvous, and lets an heir know that we are gone.
    pub(crate) fn begin(self) -> AbortOnDropHandle<()> {
        let first = UnixListener::bind(self.name.path());
        AbortOnDropHandle::new(tokio::spawn(self.run(first)))
    }

    async fn run(self, first: io::Result<UnixListener>) {
        let mut first = Some(first);
        loop {
            match first.take().unwrap_or_else(|| UnixListener::bind(self.name.path())) {
                Ok(rendezvous) => {
                    if self.life.on_heir_gone() {
                        info!("the newer process is gone; this one takes everything back");
                        self.acceptor.keep_agents();
                    }
                    self.hand_over(rendezvous).await;
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => self.watch().await,
                Err(error) => {
                    warn!(%error, "no rendezvous, so a newer process will not find this one");
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Hands over to the first that comes and is ready, and waits until it is gone.
    async fn hand_over(&self, rendezvous: UnixListener) {
        let mut visits = JoinSet::new();
        let mut heir = loop {
            tokio::select! {
                visit = rendezvous.accept() => match visit {
                    Ok((stream, _nameless)) if is_one_of_us(&stream) => {
                        visits.spawn(self.clone().receive(stream));
                    }
                    Ok(_stranger) => {}
                    Err(error) => {
                        debug!(%error, "nobody can come to the rendezvous");
                        sleep(PAUSE).await;
                    }
                },
                Some(visit) = visits.join_next() => if let Ok(Some(heir)) = visit { break heir },
            }
        };
        // In this order the name is free when the heir hears of it.
        drop(rendezvous);
        info!("a newer process serves now; this one serves whom it has until it is told to end");
        let _ = heir.write_all(&[GONE]).await; // an heir that is gone is noticed next
        let _ = heir.read_u8().await;
    }

    /// Receives one visitor, and returns it if it has become the heir.
    async fn receive(self, mut stream: UnixStream) -> Option<UnixStream> {
        match timeout(HEIR_PATIENCE, stream.read_u8()).await {
            Ok(Ok(TAKE)) => {}
            Ok(Ok(WATCH)) => {
                let _ = stream.read_u8().await; // it waits for us, and we for it
                return None;
            }
            _ => return None,
        }
        send_sockets(&stream, &self.ports.sockets()).await.ok()?;
        hear(&mut stream, YIELD).await?;
        if !self.life.on_heir() {
            debug!("a newer process came at a time when there is nothing to hand over");
            return None;
        }
        let ready = self.yield_to(&mut stream).await;
        if ready.is_some() && self.life.on_heir_ready() {
            self.pauses.move_on();
            return Some(stream);
        }
        warn!("a newer process came and was not ready in time; this one goes on");
        self.life.on_heir_gone();
        self.acceptor.keep_agents();
        None
    }

    async fn yield_to(&self, heir: &mut UnixStream) -> Option<()> {
        info!("a newer process is there; agents are asked to go to it");
        let agents = u32::try_from(self.registry.agents()).unwrap_or(u32::MAX);
        self.acceptor.yield_agents();
        let mut answer = vec![AGENTS];
        answer.extend(agents.to_be_bytes());
        heir.write_all(&answer).await.ok()?;
        hear(heir, READY).await
    }

    /// Waits until the process that has the rendezvous is gone.
    async fn watch(&self) {
        let watched = async {
            let mut stream = UnixStream::connect(self.name.path()).await?;
            if !is_one_of_us(&stream) {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            stream.write_all(&[WATCH]).await?;
            stream.read_u8().await
        };
        match watched.await {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => sleep(LONG_PAUSE).await,
            _ => sleep(PAUSE).await,
        }
    }
}

async fn hear(stream: &mut UnixStream, word: u8) -> Option<()> {
    let heard = timeout(HEIR_PATIENCE, stream.read_u8()).await.ok()?.ok()?;
    (heard == word).then_some(())
}

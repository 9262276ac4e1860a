//! SIGTERM and SIGINT as the two phases of a shutdown.

use std::io;

use tokio_util::sync::CancellationToken;

/// The two phases of a shutdown. `drain` is always cancelled before `abort`.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take nothing new, and let what is in progress end.
    pub drain: CancellationToken,
    /// End at once.
    pub abort: CancellationToken,
}

/// Listens for SIGTERM and SIGINT: the first begins to drain, the second ends at once.
///
/// # Errors
/// What the system says if a handler cannot be installed.
///
/// # Panics
/// Outside a tokio runtime.
pub fn watch() -> io::Result<Shutdown> {
    let mut signals = Signals::install()?;
    let shutdown = Shutdown::default();
    let Shutdown { drain, abort } = shutdown.clone();
    // Not tracked: it listens for as long as the process lives and holds nothing that needs an orderly end.
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("shutting down; a second signal ends at once");
        drain.cancel();
        signals.next().await;
        tracing::warn!("ending at once");
        abort.cancel();
    });
    Ok(shutdown)
}

/// Does `command` at every SIGHUP, which ends the process otherwise. Where it says that the terminal is gone on which this
/// process was started, nobody wants it any more, and it begins to `drain`.
///
/// # Errors
/// What the system says if the handler cannot be installed.
///
/// # Panics
/// Outside a tokio runtime.
#[cfg(unix)]
pub fn on_hangup(drain: CancellationToken, command: impl Fn() + Send + 'static) -> io::Result<()> {
    use std::io::IsTerminal as _;

    use tokio::signal::unix::{SignalKind, signal};

    let mut hangup = signal(SignalKind::hangup())?;
    let attended = io::stderr().is_terminal();
    // Not tracked, for the same reason as above.
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if attended && !io::stderr().is_terminal() {
                drain.cancel();
            } else {
                command();
            }
        }
    });
    Ok(())
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

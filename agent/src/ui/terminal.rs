use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    palette::Palette,
    screen::{Moment, Screen},
};
use crate::{Event, Observer};

/// Events that wait for the terminal; more are left out, for an observer must not block.
const QUEUE: usize = 1024;
/// How long the end of the program waits for a terminal that takes no more text.
const GRACE: Duration = Duration::from_secs(1);

/// A terminal that shows an agent. Dropping it writes what is still waiting and leaves the cursor on a line of its own.
#[derive(Debug)]
pub struct Terminal {
    queue: Arc<Queue>,
    finished: Receiver<()>,
}

/// The way to the thread that draws. It ends once the sender is gone.
#[derive(Debug)]
struct Queue {
    events: Mutex<Option<SyncSender<Event>>>,
    missed: AtomicUsize,
}

/// Shows an agent on the terminal behind stderr: its status with the service at `upstream`, and a line per request.
///
/// A thread draws, so that neither a slow terminal nor the countdown is any business of the agent's tasks.
///
/// # Errors
/// If the system gives no thread.
pub fn terminal(upstream: String) -> io::Result<(Observer, Terminal)> {
    let (sender, events) = mpsc::sync_channel(QUEUE);
    let (finish, finished) = mpsc::channel();
    let queue = Arc::new(Queue { events: Mutex::new(Some(sender)), missed: AtomicUsize::new(0) });
    let screen = Screen::new(Palette::from_env(), &upstream);
    let drawing = Arc::clone(&queue);
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        // A terminal that is gone is no reason to end an agent, and nothing is left to tell it to.
        let _ = draw(screen, &events, &drawing.missed, io::stderr());
        let _ = finish.send(());
    })?;
    let observed = Arc::clone(&queue);
    let observer: Observer = Arc::new(move |event| observed.push(event));
    Ok((observer, Terminal { queue, finished }))
}

impl Queue {
    fn push(&self, event: Event) {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = &*events
            && let Err(TrySendError::Full(_)) = sender.try_send(event)
        {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn close(&self) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.queue.close();
        let _ = self.finished.recv_timeout(GRACE);
    }
}

/// Draws until no more events can come.
fn draw(
    mut screen: Screen,
    events: &Receiver<Event>,
    missed: &AtomicUsize,
    mut terminal: impl Write,
) -> io::Result<()> {
    loop {
        let output = match next(&screen, events) {
            Ok(event) => screen.on(event, Moment::now()),
            Err(RecvTimeoutError::Timeout) => screen.on_tick(Instant::now()),
            Err(RecvTimeoutError::Disconnected) => break,
        };
        terminal.write_all(output.as_bytes())?;
        let missed = missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            terminal.write_all(screen.on_missed(missed).as_bytes())?;
        }
        terminal.flush()?;
    }
    terminal.write_all(screen.finish().as_bytes())?;
    terminal.flush()
}

fn next(screen: &Screen, events: &Receiver<Event>) -> Result<Event, RecvTimeoutError> {
    match screen.next_tick(Instant::now()) {
        Some(pause) => events.recv_timeout(pause),
        None => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draining(in_flight: usize) -> Event {
        Event::Draining { in_flight }
    }

    #[test]
    fn what_waits_is_drawn_before_the_end() {
        let (sender, events) = mpsc::sync_channel(QUEUE);
        sender.send(draining(2)).unwrap();
        sender.send(draining(0)).unwrap();
        drop(sender);
        let mut drawn = Vec::new();
        let screen = Screen::new(Palette::PLAIN, "upstream");
        draw(screen, &events, &AtomicUsize::new(7), &mut drawn).unwrap();
        let drawn = String::from_utf8(drawn).unwrap();
        assert!(drawn.contains("2 requests") && drawn.contains("7 lines left out"), "{drawn:?}");
        assert!(drawn.contains("done") && drawn.ends_with('\n'), "{drawn:?}");
    }

    #[test]
    fn a_countdown_is_drawn_without_events() {
        let (sender, events) = mpsc::sync_channel(QUEUE);
        sender.send(Event::Offline { reason: "gone".into(), retry_in: Duration::from_millis(5) }).unwrap();
        let (written, seen) = mpsc::channel();
        let screen = Screen::new(Palette::PLAIN, "upstream");
        let drawing = thread::spawn(move || draw(screen, &events, &AtomicUsize::new(0), Pipe(written)));
        let mut drawn = String::new();
        while !drawn.contains("retrying:") {
            drawn.push_str(&seen.recv_timeout(Duration::from_secs(10)).unwrap());
        }
        drop(sender);
        drawing.join().unwrap().unwrap();
    }

    #[test]
    fn an_observer_never_waits_for_the_terminal() {
        let (sender, _events) = mpsc::sync_channel(1);
        let queue = Queue { events: Mutex::new(Some(sender)), missed: AtomicUsize::new(0) };
        for in_flight in 0..3 {
            queue.push(draining(in_flight));
        }
        assert_eq!(queue.missed.load(Ordering::Relaxed), 2);
        queue.close();
        queue.push(draining(0));
        assert_eq!(queue.missed.load(Ordering::Relaxed), 2);
    }

    struct Pipe(mpsc::Sender<String>);

    impl Write for Pipe {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(String::from_utf8_lossy(text).into_owned());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

/// Bytes of a packet. Nothing smaller is delayed by itself.
const PACKET: usize = 1460;
/// Most that waits in the proxy's own socket, on a slow way.
pub(super) const RECEIVE_WINDOW: usize = 32 * 1024;
/// Bytes in a row that arrive together take no longer than this to send.
const BURST: Duration = Duration::from_millis(1);

/// How good a way is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    /// From one end to the other.
    pub(crate) delay: Duration,
    /// Bits per second.
    pub(crate) rate: u64,
}

impl Quality {
    /// Bytes that are on their way during a round trip at full rate, also called bandwidth-delay product.
    pub(crate) fn product(self) -> usize {
        (self.rate as f64 / 8.0 * self.delay.as_secs_f64() * 2.0) as usize
    }

    /// What a round trip at least takes if the queue before it is full, and the buffer before the queue.
    pub(crate) fn behind_full_queue(self) -> Duration {
        let held = self.product() + RECEIVE_WINDOW;
        self.delay * 2 + self.time_of(held)
    }

    /// How long so many bytes take to be sent.
    pub(crate) fn time_of(self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 * 8.0 / self.rate as f64)
    }

    /// Bytes that are delayed together.
    fn burst(self) -> usize {
        ((self.rate as f64 / 8.0 * BURST.as_secs_f64()) as usize).max(PACKET)
    }
}

/// One direction of a way: bytes go onto it one after the other at its rate, and come out after its delay. Knows no clock.
///
/// ```text
/// push --[queue: waits for its turn]--> sent at the rate --[delay]--> take_due
/// ```
#[derive(Debug)]
pub(super) struct Wire {
    quality: Quality,
    /// When the last byte in the queue will have been sent.
    free_at: Instant,
    /// What is in it, by arrival.
    bursts: VecDeque<(Instant, Bytes)>,
    held: usize,
}

impl Wire {
    pub(super) fn new(quality: Quality, now: Instant) -> Self {
        Self { quality, free_at: now, bursts: VecDeque::new(), held: 0 }
    }

    /// How much may be pushed: half a product is on its way, and the queue before it holds a product, as routers' queues
    /// are made. What does not fit waits at its sender, and no less than a packet is asked of that.
    pub(super) fn room(&self) -> usize {
        let room = (self.quality.product() * 3 / 2 + PACKET).saturating_sub(self.held);
        if room < PACKET { 0 } else { room }
    }

    pub(super) fn push(&mut self, mut bytes: Bytes, now: Instant) {
        while !bytes.is_empty() {
            let burst = bytes.split_to(bytes.len().min(self.quality.burst()));
            self.free_at = self.free_at.max(now) + self.quality.time_of(burst.len());
            self.held += burst.len();
            self.bursts.push_back((self.free_at + self.quality.delay, burst));
        }
    }

    /// When the next bytes arrive, if there are any.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.bursts.front().map(|(due, _)| *due)
    }

    /// Bytes that have arrived.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Bytes> {
        self.next_due().filter(|due| *due <= now)?;
        let (_, burst) = self.bursts.pop_front()?;
        self.held -= burst.len();
        Some(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet takes 1.168 ms.
    const SLOW: Quality = Quality { delay: Duration::from_millis(20), rate: 10_000_000 };

    fn bytes(count: usize) -> Bytes {
        vec![0; count].into()
    }

    #[test]
    fn the_product_is_rate_times_round_trip() {
        assert_eq!(SLOW.product(), 50_000);
        assert_eq!(SLOW.burst(), PACKET);
        assert_eq!(SLOW.behind_full_queue().as_millis(), 106);
        assert_eq!(Quality { rate: 1_000_000_000, ..SLOW }.burst(), 125_000);
    }

    #[test]
    fn a_packet_arrives_after_it_was_sent_and_delayed() {
        let begin = Instant::now();
        let mut wire = Wire::new(SLOW, begin);
        wire.push(bytes(1250), begin + Duration::from_secs(1));
        let due = begin + Duration::from_millis(1021);
        assert_eq!(wire.next_due(), Some(due));
        assert!(wire.take_due(due - Duration::from_micros(1)).is_none());
        assert_eq!(wire.take_due(due).unwrap().len(), 1250);
        assert_eq!((wire.next_due(), wire.held), (None, 0));
    }

    #[test]
    fn packets_are_sent_one_after_the_other() {
        let begin = Instant::now();
        let mut wire = Wire::new(SLOW, begin);
        wire.push(bytes(10 * PACKET), begin);
        wire.push(bytes(PACKET), begin);
        let mut arrived = 0;
        while let Some(due) = wire.next_due() {
            arrived += 1;
            assert_eq!(due, begin + SLOW.delay + SLOW.time_of(PACKET) * arrived);
            wire.take_due(due).unwrap();
        }
        assert_eq!(arrived, 11);
    }

    #[test]
    fn what_does_not_fit_waits_at_its_sender() {
        let begin = Instant::now();
        let mut wire = Wire::new(SLOW, begin);
        assert_eq!(wire.room(), 75_000 + PACKET);
        wire.push(bytes(70_000), begin);
        assert_eq!(wire.room(), 5_000 + PACKET);
        wire.push(bytes(5_001), begin);
        assert_eq!(wire.room(), 0);
        wire.take_due(begin + SLOW.delay * 2).unwrap();
        assert_eq!(wire.room(), 2 * PACKET - 1);
    }
}

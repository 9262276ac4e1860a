use crate::random::Random;

/// Inputs are not made longer than this.
const MAX_LEN: usize = 4096;

/// Makes new inputs from known ones, the same from the same seed.
#[derive(Debug)]
pub struct Mutator {
    random: Random,
    words: &'static [&'static [u8]],
}

impl Mutator {
    /// A mutator that puts in `words` now and then.
    pub fn new(seed: u64, words: &'static [&'static [u8]]) -> Self {
        Self { random: Random::new(seed), words }
    }

    /// An input like one of `known`, or like two of them.
    pub fn next(&mut self, known: &[Vec<u8>]) -> Vec<u8> {
        let mut data = self.pick(known);
        for _ in 0..1 << self.random.below(5) {
            self.mutate(&mut data, known);
        }
        data.truncate(MAX_LEN);
        data
    }

    fn pick(&mut self, known: &[Vec<u8>]) -> Vec<u8> {
        if known.is_empty() { Vec::new() } else { known[self.random.below(known.len())].clone() }
    }

    fn mutate(&mut self, data: &mut Vec<u8>, known: &[Vec<u8>]) {
        let at = self.random.below(data.len() + 1);
        let len = 1 + self.random.below(16).min(data.len().saturating_sub(at));
        let end = (at + len).min(data.len());
        match self.random.below(9) {
            0 if at < data.len() => data[at] ^= 1 << self.random.below(8),
            1 if at < data.len() => data[at] = self.random.byte(),
            2 if at < data.len() => data[at] = self.interesting(),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                let to = self.random.below(data.len() + 1);
                data.splice(to..to, piece);
            }
            5 if !self.words.is_empty() => {
                let word = self.words[self.random.below(self.words.len())];
                data.splice(at..at, word.iter().copied());
            }
            6 => {
                let other = self.pick(known);
                let from = self.random.below(other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            7 => data.truncate(at),
            _ => {
                let bytes: Vec<u8> = (0..len).map(|_| self.random.byte()).collect();
                data.splice(at..at, bytes);
            }
        }
    }

    fn interesting(&mut self) -> u8 {
        const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\r\n\t :;,%.@/[]-_09azAZ";
        BYTES[self.random.below(BYTES.len())]
    }
}

use std::hash::Hasher;

/// Hashes UUIDs by taking them as they are. Their makers are the gateway's own random numbers; what an agent sends is only
/// looked up, never put in, so nobody can choose ids that collide.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.0 = self.0.rotate_left(32) ^ u64::from_ne_bytes(word);
        }
    }

    fn write_usize(&mut self, _length: usize) {
        // A UUID's length says nothing.
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashSet,
        hash::{BuildHasher as _, BuildHasherDefault},
    };

    use uuid::Uuid;

    use super::*;

    #[test]
    fn random_ids_spread() {
        let hasher = BuildHasherDefault::<IdHasher>::default();
        let hashes: HashSet<u64> = (0..10_000).map(|_| hasher.hash_one(Uuid::new_v4())).collect();
        let tops: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
        assert_eq!((hashes.len(), tops.len()), (10_000, 128));
    }
}

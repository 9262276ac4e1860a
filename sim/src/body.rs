//! Bodies that say whose they are: every byte follows from the request's id, its place and its direction.

use bytes::Bytes;
use uuid::Uuid;

use crate::dice::mix;

/// Which way a body travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// The bytes from `offset` on.
pub(crate) fn piece(id: Uuid, way: Way, offset: u64, length: usize) -> Bytes {
    let key = key(id, way);
    (offset..offset + length as u64).map(|place| byte(key, place)).collect::<Vec<u8>>().into()
}

/// Where `bytes` are not what stands from `offset` on.
pub(crate) fn differs(id: Uuid, way: Way, offset: u64, bytes: &[u8]) -> Option<u64> {
    let key = key(id, way);
    let wrong = bytes.iter().zip(offset..).find(|(found, place)| **found != byte(key, *place));
    wrong.map(|(_, place)| place)
}

fn key(id: Uuid, way: Way) -> u64 {
    let (high, low) = id.as_u64_pair();
    mix(high ^ low.rotate_left(17) ^ u64::from(way == Way::Up))
}

/// Cheap, for there are many; what differs from place to place by more than a step finds bytes that are missing.
fn byte(key: u64, place: u64) -> u8 {
    let step = place.wrapping_mul(0x9e37_79b9).wrapping_add(key);
    (step >> 11) as u8 ^ (step >> 29) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_others_from_elsewhere_or_of_the_other_way_are_told_from_ones_own() {
        let (id, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let whole = piece(id, Way::Down, 0, 4_000);
        assert_eq!(differs(id, Way::Down, 0, &whole), None);
        assert_eq!(differs(id, Way::Down, 1_000, &whole[1_000..]), None);
        assert!(differs(other, Way::Down, 0, &whole).is_some_and(|place| place < 8));
        assert!(differs(id, Way::Up, 0, &whole).is_some_and(|place| place < 8));
        for missing in [1, 16, 1_000] {
            assert!(differs(id, Way::Down, 0, &whole[missing..]).is_some(), "{missing}");
        }
    }
}

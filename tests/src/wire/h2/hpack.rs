//! As much of HPACK (RFC 7541) as attacks need.

use bytes::BufMut as _;

/// The name of a `:status` in the static table.
const STATUS: u8 = 8;

/// Fields as literals that are not indexed, whatever they hold.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(&mut block, name.as_ref());
        string(&mut block, value.as_ref());
    }
    block
}

/// A field as a literal that goes into the table: 0xbe repeats the newest.
pub fn indexed(name: &str, value: &str) -> Vec<u8> {
    let mut block = vec![0x40];
    string(&mut block, name.as_bytes());
    string(&mut block, value.as_bytes());
    block
}

/// A string without Huffman coding (section 5.2).
fn string(block: &mut Vec<u8>, text: &[u8]) {
    const PREFIX: usize = 0x7f;
    if text.len() < PREFIX {
        block.push(text.len() as u8);
    } else {
        block.push(PREFIX as u8);
        let mut rest = text.len() - PREFIX;
        while rest >= 0x80 {
            block.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        block.push(rest as u8);
    }
    block.put_slice(text);
}

/// The status of a response that begins with `block`. The peer was told to index nothing.
///
/// # Panics
/// If it does not begin with a status.
pub(super) fn status(mut block: &[u8]) -> u16 {
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest; // the size of the table
    }
    match block {
        [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        // Literals whose name is the static table's, of any kind.
        [first, length, text @ ..] if matches!(first & 0x3f, STATUS) => {
            let text = &text[..usize::from(length & 0x7f)];
            if length & 0x80 == 0 {
                std::str::from_utf8(text).unwrap().parse().unwrap()
            } else {
                digits(text)
            }
        }
        _ => panic!("no status: {block:x?}"),
    }
}

/// A number in Huffman code: 0 to 2 are 5 bits long, the other digits 6 (appendix B).
fn digits(code: &[u8]) -> u16 {
    let mut bits = code.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let mut next =
        |count: usize| (0..count).try_fold(0_u16, |number, _| Some(number << 1 | u16::from(bits.next()?)));
    let mut number = 0;
    for _ in 0..3 {
        let digit = match next(5) {
            Some(short @ 0..=2) => short,
            Some(long) => (long << 1 | next(1).unwrap()) - 0b01_1001 + 3,
            None => panic!("less than three digits"),
        };
        number = number * 10 + digit;
    }
    number
}

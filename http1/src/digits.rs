use bytes::BytesMut;

/// Appends a number in decimal.
pub(crate) fn write_decimal(out: &mut BytesMut, number: u64) {
    write::<10>(out, number);
}

/// Appends a number in lower-case hexadecimal.
pub(crate) fn write_hex(out: &mut BytesMut, number: u64) {
    write::<16>(out, number);
}

fn write<const RADIX: u64>(out: &mut BytesMut, mut number: u64) {
    let mut digits = [0; 20];
    let mut begin = digits.len();
    loop {
        begin -= 1;
        digits[begin] = b"0123456789abcdef"[(number % RADIX) as usize];
        number /= RADIX;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_library_writes_them() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 65_535, u64::MAX] {
            let mut out = BytesMut::new();
            write_decimal(&mut out, number);
            out.extend_from_slice(b" ");
            write_hex(&mut out, number);
            assert_eq!(out, format!("{number} {number:x}").as_bytes());
        }
    }
}

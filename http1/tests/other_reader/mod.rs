//! What somebody else's reader makes of bytes, for the tests here and for the fuzz targets.

/// Another reader of chunks, which forgives more.
pub(crate) fn dechunked(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((begin, size))) = httparse::parse_chunk_size(text) else {
            return None;
        };
        if size == 0 {
            return Some(data);
        }
        let (chunk, rest) = text[begin..].split_at_checked(usize::try_from(size).ok()?)?;
        data.extend_from_slice(chunk);
        text = rest.strip_prefix(b"\r\n")?;
    }
}

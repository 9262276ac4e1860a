use super::*;

const LIMITS: fn() -> Limits = Limits::default;

/// Reads all of a body out of pieces: the data, and the trailers if the end came.
fn read(length: BodyLength, pieces: &[&[u8]]) -> Result<(Vec<u8>, Option<Option<Fields>>), BodyError> {
    let mut reader = BodyReader::new(length, &LIMITS());
    let (mut buffer, mut data) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match reader.read(&mut buffer, 7)? {
                Read::NeedInput => break,
                Read::Data(bytes) => {
                    assert!((1..=7).contains(&bytes.len()));
                    data.extend_from_slice(&bytes);
                }
                Read::End(trailers) => return Ok((data, Some(trailers))),
            }
        }
    }
    reader.eof().map(|()| (data, None))
}

fn chunked(text: &[u8]) -> Result<(Vec<u8>, Option<Option<Fields>>), BodyError> {
    read(BodyLength::Chunked, &[text])
}

#[test]
fn bodies_end_where_they_say() {
    assert_eq!(read(BodyLength::Empty, &[b"x"]), Ok((vec![], Some(None))));
    assert_eq!(read(BodyLength::Exactly(0), &[b"x"]), Ok((vec![], Some(None))));
    assert_eq!(
        read(BodyLength::Exactly(10), &[b"01234", b"56789x"]),
        Ok((b"0123456789".to_vec(), Some(None)))
    );
    assert_eq!(read(BodyLength::UntilClose, &[b"01234", b"56789"]), Ok((b"0123456789".to_vec(), None)));
    assert_eq!(
        chunked(b"3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\nx"),
        Ok((b"abc0123456789".to_vec(), Some(None)))
    );
}

#[test]
fn a_body_that_is_cut_is_not_whole() {
    assert_eq!(read(BodyLength::Exactly(3), &[b"ab"]), Err(BodyError::Truncated));
    let whole = b"3;a\r\nabc\r\n0\r\nt: 1\r\n\r\n";
    for cut in 0..whole.len() {
        assert_eq!(chunked(&whole[..cut]), Err(BodyError::Truncated), "{cut}");
    }
    assert!(chunked(whole).unwrap().1.is_some());
}

#[test]
fn the_end_is_known_without_another_read_where_that_is_possible() {
    let mut buffer = BytesMut::from("abcd");
    let mut reader = BodyReader::new(BodyLength::Exactly(3), &LIMITS());
    assert!(!reader.is_end());
    assert_eq!(reader.read(&mut buffer, 64), Ok(Read::Data(Bytes::from("abc"))));
    assert!(reader.is_end());
    assert_eq!(reader.read(&mut buffer, 64), Ok(Read::End(None)));
    assert_eq!((reader.eof(), &buffer[..]), (Ok(()), &b"d"[..]));
    assert!(BodyReader::new(BodyLength::Empty, &LIMITS()).is_end());
}

#[test]
fn a_chunk_is_handed_on_as_it_arrives() {
    let mut buffer = BytesMut::from("ff\r\na");
    let mut reader = BodyReader::new(BodyLength::Chunked, &LIMITS());
    assert_eq!(reader.read(&mut buffer, 64), Ok(Read::Data(Bytes::from("a"))));
    assert_eq!(reader.read(&mut buffer, 64), Ok(Read::NeedInput));
}

#[test]
fn data_is_not_copied() {
    let mut buffer = BytesMut::from("3\r\nabc\r\n");
    let data = buffer[3..].as_ptr();
    let mut reader = BodyReader::new(BodyLength::Chunked, &LIMITS());
    let Ok(Read::Data(bytes)) = reader.read(&mut buffer, 64) else { panic!("no data") };
    assert_eq!(bytes.as_ptr(), data);
}

#[test]
fn trailers_are_fields_in_order() {
    let (_, trailers) = chunked(b"0\r\nB: 1\r\na:2\r\nb: 3\r\n\r\n").unwrap();
    let trailers = trailers.unwrap().unwrap();
    let fields: Vec<_> = trailers.iter().map(|field| (&field.name[..], &field.value[..])).collect();
    let expected: [(&[u8], &[u8]); 3] = [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")];
    assert_eq!(fields, expected);
}

#[test]
fn h5_sizes_are_hexadecimal_digits_and_nothing_else() {
    for text in [
        "0x5\r\n",
        "5_\r\n",
        "+5\r\n",
        "-5\r\n",
        " 5\r\n",
        "\r\n",
        "\n",
        "g\r\n",
        "5\n",
        "5;a\nb",
        "5;a\rb",
        "5\r\r",
        "5\rx",
        ";a\r\n",
        "5 5\r\n",
        "5 a\r\n",
        "5\0",
        "5;\0",
        "5;\x7f",
        "00000000000000005\r\n",
        "10000000000000000\r\n",
    ] {
        assert_eq!(chunked(text.as_bytes()), Err(BodyError::ChunkSize), "{text:?}");
    }
}

#[test]
fn h5_chunks_end_with_cr_lf() {
    for text in ["3\r\nabc\n", "3\r\nabcd", "3\r\nabc0\r\n\r\n", "3\r\nabc\r0", "3\r\nabc\r\r\n"] {
        assert_eq!(chunked(text.as_bytes()), Err(BodyError::ChunkEnd), "{text:?}");
    }
}

#[test]
fn the_largest_size_is_understood() {
    assert_eq!(chunked(b"ffffFFFFffffFFFF\r\nabc"), Err(BodyError::Truncated));
}

#[test]
fn h6_extensions_are_passed_over_up_to_their_limit() {
    for text in ["3;a\r\nabc\r\n0;b=\"c;d\";\u{e9}\r\n\r\n", "3 \t;a=b ; c\r\nabc\r\n0\t\r\n\r\n"] {
        assert_eq!(chunked(text.as_bytes()).unwrap().0, b"abc", "{text:?}");
    }
    let chunk = format!("1;{}\r\nx\r\n", "a".repeat(8 * 1024 - 1));
    assert_eq!(chunked(chunk.repeat(2).as_bytes()), Err(BodyError::Truncated), "as far as allowed");
    assert_eq!(chunked(format!("{}1;\r\n", chunk.repeat(2)).as_bytes()), Err(BodyError::ExtensionsTooLong));
    let padding = " ".repeat(16 * 1024 + 1);
    assert_eq!(chunked(format!("1{padding}").as_bytes()), Err(BodyError::ExtensionsTooLong));
}

#[test]
fn h7_trailers_are_bounded_and_as_strict_as_heads() {
    let trailers = |lines: &str| chunked(format!("0\r\n{lines}\r\n").as_bytes()).map(|_| ());
    assert_eq!(trailers(&"a: b\r\n".repeat(100)), Ok(()));
    for (lines, error) in [
        ("a: b\r\n".repeat(101), HeadError::TooManyFields),
        (format!("a: {}\r\n", "b".repeat(16 * 1024)), HeadError::TooLarge),
        ("a: b\n".to_owned(), HeadError::Malformed("line end")),
        ("a : b\r\n".to_owned(), HeadError::Malformed("field name")),
        (" a: b\r\n".to_owned(), HeadError::Malformed("field name")),
        ("a\r\n".to_owned(), HeadError::Malformed("field name")),
        ("a: b\0\r\n".to_owned(), HeadError::Malformed("field value")),
    ] {
        assert_eq!(trailers(&lines), Err(BodyError::Trailers(error)));
    }
    // Two megabytes are not waited for.
    let mut reader = BodyReader::new(BodyLength::Chunked, &LIMITS());
    let mut buffer = BytesMut::from(&b"0\r\n"[..]);
    buffer.extend_from_slice(&[b'a'; 16 * 1024 + 1]);
    assert_eq!(reader.read(&mut buffer, 1), Err(BodyError::Trailers(HeadError::TooLarge)));
}

#[test]
fn what_was_refused_stays_refused() {
    let mut buffer = BytesMut::from("3\r\nabc\n5\r\n");
    let mut reader = BodyReader::new(BodyLength::Chunked, &LIMITS());
    assert_eq!(reader.read(&mut buffer, 64), Ok(Read::Data(Bytes::from("abc"))));
    for _ in 0..2 {
        assert_eq!(reader.read(&mut buffer, 64), Err(BodyError::ChunkEnd));
    }
    assert_eq!((reader.eof(), reader.is_end()), (Err(BodyError::ChunkEnd), false));
}

#[test]
fn a_chunked_body_byte_by_byte_is_the_same_body() {
    let text = b"3;x=y\r\nabc\r\n4\r\n\r\n\r\n\r\n0\r\nt: 1\r\n\r\n";
    let bytes: Vec<&[u8]> = text.chunks(1).collect();
    assert_eq!(read(BodyLength::Chunked, &bytes), chunked(text));
}

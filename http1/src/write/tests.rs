use super::*;

fn fields(lines: &[(&'static str, &'static str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push(*name, *value);
    }
    fields
}

fn request(fields: &Fields, framing: Framing, connection: Connection<'_>) -> String {
    let mut out = BytesMut::new();
    write_request_head(&mut out, b"PUT", b"/a?b", fields, framing, connection);
    String::from_utf8(out.to_vec()).unwrap()
}

fn response(status: u16, reason: Option<&[u8]>, version: Version, connection: Connection<'_>) -> String {
    let mut out = BytesMut::new();
    write_response_head(&mut out, version, status, reason, &Fields::new(), Framing::None, connection);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn fields_are_written_as_they_are_and_in_order() {
    let fields = fields(&[("host", "a"), ("b", "1"), ("c", ""), ("b", "2")]);
    let text = request(&fields, Framing::None, Connection::KeepAlive);
    assert_eq!(text, "PUT /a?b HTTP/1.1\r\nhost: a\r\nb: 1\r\nc: \r\nb: 2\r\n\r\n");
}

#[test]
fn framing_and_connection_alone_speak_of_this_hop() {
    let fields = fields(&[
        ("content-length", "99"),
        ("transfer-encoding", "gzip"),
        ("connection", "x-secret"),
        ("upgrade", "h2c"),
    ]);
    for (framing, connection, lines) in [
        (Framing::None, Connection::KeepAlive, ""),
        (Framing::Length(0), Connection::Close, "content-length: 0\r\nconnection: close\r\n"),
        (Framing::Length(u64::MAX), Connection::KeepAlive, "content-length: 18446744073709551615\r\n"),
        (Framing::Chunked, Connection::KeepAlive, "transfer-encoding: chunked\r\n"),
        (Framing::None, Connection::Upgrade(b"websocket"), "connection: upgrade\r\nupgrade: websocket\r\n"),
    ] {
        assert_eq!(request(&fields, framing, connection), format!("PUT /a?b HTTP/1.1\r\n{lines}\r\n"));
    }
}

#[test]
fn te_is_named_as_an_option_of_the_connection() {
    let te = fields(&[("te", "trailers")]);
    let lines = |connection| request(&te, Framing::None, connection);
    assert!(lines(Connection::KeepAlive).ends_with("te: trailers\r\nconnection: te\r\n\r\n"));
    assert!(lines(Connection::Close).ends_with("connection: close, te\r\n\r\n"));
}

#[test]
fn reason_phrases_are_kept_or_the_usual_ones() {
    let line = |status, reason| response(status, reason, Version::H11, Connection::KeepAlive);
    assert_eq!(line(404, None), "HTTP/1.1 404 Not Found\r\n\r\n");
    assert_eq!(line(404, Some(b"")), "HTTP/1.1 404 \r\n\r\n");
    assert_eq!(line(404, Some(b"Gone fishing")), "HTTP/1.1 404 Gone fishing\r\n\r\n");
    assert_eq!(line(404, Some(b"a\r\nset-cookie: b")), "HTTP/1.1 404 Not Found\r\n\r\n");
    assert_eq!(line(799, None), "HTTP/1.1 799 \r\n\r\n");
    assert_eq!(line(100, None).as_bytes(), CONTINUE);
}

#[test]
fn http_1_0_is_told_that_the_connection_stays() {
    let line = |connection| response(200, None, Version::H10, connection);
    assert_eq!(line(Connection::KeepAlive), "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(line(Connection::Close), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
}

#[test]
fn trailers_stand_behind_the_last_chunk() {
    let mut out = BytesMut::new();
    crate::chunk::write_last(&mut out, Some(&fields(&[("b", "1"), ("a", "2")])));
    assert_eq!(out, "0\r\nb: 1\r\na: 2\r\n\r\n");
}

use proptest::prelude::*;

use super::*;

fn list(fields: &[(&str, &[u8])]) -> Fields {
    wire(fields).into_iter().collect()
}

fn wire(fields: &[(&str, &[u8])]) -> Vec<Header> {
    let header = |(name, value): &(&str, &[u8])| Header {
        name: Bytes::copy_from_slice(name.as_bytes()),
        value: Bytes::copy_from_slice(value),
    };
    fields.iter().map(header).collect()
}

#[test]
fn order_repetition_and_raw_octets_survive() {
    let fields: &[(&str, &[u8])] =
        &[("x-b", b"1"), ("set-cookie", b"a=1"), ("x-b", b"2"), ("set-cookie", b"b=\xff\xfe"), ("x-a", b"")];
    let sent = EndToEnd::of(list(fields)).unwrap();
    assert_eq!(sent, EndToEnd { fields: list(fields), content_length: None });
    assert_eq!(EndToEnd::from_wire(sent.fields.into_wire(), None).unwrap().fields, list(fields));
}

#[test]
fn hop_by_hop_fields_stay_behind_in_both_directions() {
    let fields: &[(&str, &[u8])] = &[
        ("connection", b"close, X-Secret"),
        ("x-secret", b"1"),
        ("keep-alive", b"5"),
        ("proxy-connection", b"x"),
        ("transfer-encoding", b"chunked"),
        ("upgrade", b"h2c"),
        ("te", b"gzip"),
        ("x-kept", b"2"),
    ];
    let kept = list(&[("x-kept", b"2")]);
    assert_eq!(EndToEnd::of(list(fields)).unwrap().fields, kept);
    assert_eq!(EndToEnd::from_wire(wire(fields), None).unwrap().fields, kept);
}

#[test]
fn te_trailers_travels() {
    for te in [&b"trailers"[..], b"gzip;q=0.5, Trailers"] {
        assert_eq!(EndToEnd::of(list(&[("te", te)])).unwrap().fields, list(&[("te", b"trailers")]));
    }
}

#[test]
fn content_length_travels_as_a_number() {
    let expected = EndToEnd { fields: Fields::new(), content_length: Some(42) };
    assert_eq!(
        EndToEnd::of(list(&[("content-length", b"42"), ("content-length", b"42")])).unwrap(),
        expected
    );
    assert_eq!(EndToEnd::from_wire(wire(&[("content-length", b"42")]), None).unwrap(), expected);
}

#[test]
fn content_length_that_is_not_one_number_is_refused() {
    for value in ["", "+5", "0x5", "5,6", "5 ", "18446744073709551616", "-1"] {
        let refused = EndToEnd::from_wire(wire(&[("content-length", value.as_bytes())]), None);
        assert_eq!(refused, Err(InvalidHeaders::ContentLength), "{value:?}");
    }
    let twins = wire(&[("content-length", b"1"), ("content-length", b"2")]);
    assert_eq!(EndToEnd::from_wire(twins, None), Err(InvalidHeaders::ContentLength));
    assert_eq!(
        EndToEnd::from_wire(wire(&[("content-length", b"1")]), Some(2)),
        Err(InvalidHeaders::ContentLength)
    );
}

#[test]
fn fields_that_http_forbids_are_refused() {
    for name in ["", " x", "x ", "a b", ":status", "x\r\n", "x\0", "h\u{e9}"] {
        assert_eq!(
            EndToEnd::from_wire(wire(&[(name, b"v")]), None),
            Err(InvalidHeaders::Name { index: 0 }),
            "{name:?}"
        );
    }
    for value in [&b"a\r\nb"[..], b"a\nb", b"a\0b", b"\x7f"] {
        let refused = EndToEnd::from_wire(wire(&[("x", value)]), None);
        assert_eq!(refused, Err(InvalidHeaders::Value { name: "x".to_owned() }), "{value:?}");
    }
}

#[test]
fn a_large_head_is_refused() {
    let many: Vec<Header> = (0..=limits::MAX_HEADERS).flat_map(|_| wire(&[("x", b"v")])).collect();
    assert_eq!(EndToEnd::from_wire(many, None), Err(InvalidHeaders::TooLarge));
    let long = wire(&[("x", &vec![b'v'; limits::MAX_HEAD_BYTES])]);
    assert_eq!(EndToEnd::from_wire(long, None), Err(InvalidHeaders::TooLarge));
}

#[test]
fn framing_and_routing_fields_do_not_pass_as_trailers() {
    let fields: &[(&str, &[u8])] =
        &[("content-length", b"5"), ("host", b"evil"), ("transfer-encoding", b"chunked"), ("x-sum", b"1")];
    assert_eq!(trailers_from_wire(wire(fields)).unwrap(), list(&[("x-sum", b"1")]));
    assert_eq!(trailers_to_wire(list(fields)).unwrap(), wire(&[("x-sum", b"1")]));
}

proptest! {
    #[test]
    fn no_wire_fields_make_it_panic(fields in prop::collection::vec((".{0,12}", prop::collection::vec(any::<u8>(), 0..20)), 0..120)) {
        let fields: Vec<Header> = fields.into_iter().map(|(name, value)| Header { name: name.into(), value: value.into() }).collect();
        let _ = trailers_from_wire(fields.clone());
        let _ = EndToEnd::from_wire(fields, None);
    }

    #[test]
    fn end_to_end_fields_survive(fields in prop::collection::vec(("x-[a-z]{1,8}", prop::collection::vec(0x20u8..0x7f, 0..20)), 0..50)) {
        let mut list = Fields::new();
        for (name, value) in fields {
            list.push(name, value);
        }
        let sent = EndToEnd::of(list.clone()).unwrap();
        prop_assert_eq!(EndToEnd::from_wire(sent.fields.into_wire(), sent.content_length).unwrap().fields, list);
    }
}

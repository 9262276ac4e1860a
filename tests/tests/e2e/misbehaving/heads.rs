//! Response heads that no HTTP client may see.

use super::*;

over_every_transport![
    fields_that_break_http_are_a_502,
    statuses_that_are_not_final_are_a_502,
    a_reason_phrase_with_a_line_end_is_a_502,
    lengths_that_contradict_each_other_are_a_502,
    trailers_that_break_http_cut_the_response,
    fields_of_one_hop_are_dropped,
    framing_is_the_gateways_own,
    too_many_interim_responses_are_a_502,
    a_head_over_the_limits_is_a_502,
];

/// Each head costs its exchange and a strike; fewer than a session survives are tried on one.
async fn assert_each_is_a_502(transport: Transport, heads: Vec<TunnelResponse>) {
    for few in heads.chunks(limits::MAX_STRIKES as usize - 1) {
        let mut scene = Scene::new(transport).await;
        for head in few {
            let id = scene.asked().await.id;
            scene.rogue.send(TunnelResponse { id: id.clone(), ..head.clone() });
            scene.assert_bad_response(&id, Reason::Protocol).await;
        }
        scene.assert_unharmed().await;
        scene.gateway.counted("upstream_bad_response", few.len() as u64).await;
    }
}

fn with_headers(headers: Vec<Header>) -> TunnelResponse {
    TunnelResponse { headers, ..frames::response("", 200) }
}

async fn fields_that_break_http_are_a_502(transport: Transport) {
    let names = ["", ":status", "x y", "x\r\ny", "x\ny", "x\0", "x:", "\u{e9}", "x\t", "(x)"];
    let values = ["a\r\nx-smuggled: 1", "a\nb", "a\rb", "a\0b", "a\x01b", "a\x7fb", "\r\n\r\n<script>"];
    let heads = names.map(|name| frames::header(name, "value")).into_iter();
    let heads = heads.chain(values.map(|value| frames::header("x-odd", value)));
    assert_each_is_a_502(transport, heads.map(|header| with_headers(vec![header])).collect()).await;
}

async fn statuses_that_are_not_final_are_a_502(transport: Transport) {
    let statuses = [0, 1, 99, 100, 101, 103, 199, 600, 999, 1000, 65_536 + 200, u32::MAX];
    assert_each_is_a_502(transport, statuses.map(|status| frames::response("", status)).into()).await;
}

async fn a_reason_phrase_with_a_line_end_is_a_502(transport: Transport) {
    let phrases = ["OK\r\nx-smuggled: 1", "OK\n", "\0", "\u{7f}"];
    let heads =
        phrases.map(|reason| TunnelResponse { reason: reason.to_owned(), ..frames::response("", 200) });
    assert_each_is_a_502(transport, heads.into()).await;
}

async fn lengths_that_contradict_each_other_are_a_502(transport: Transport) {
    let length = |value: &str| frames::header("content-length", value);
    let mut heads: Vec<_> = ["", "+5", "-5", "5,5", "0x5", "5 6", "18446744073709551616"]
        .map(|value| with_headers(vec![length(value)]))
        .into();
    heads.push(with_headers(vec![length("5"), length("6")]));
    heads.push(TunnelResponse { content_length: Some(6), ..with_headers(vec![length("5")]) });
    assert_each_is_a_502(transport, heads).await;
}

async fn trailers_that_break_http_cut_the_response(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for header in [frames::header("x y", "1"), frames::header("x-odd", "a\r\nb")] {
        let id = scene.begun().await;
        scene.rogue.send(frames::data(&id, "a body"));
        let close = frames::close(&id, Reason::Done);
        scene.rogue.send(proto::TunnelClose { trailers: vec![header], ..close });
        scene.assert_cut().await;
        assert_eq!(scene.rogue.close_of(&id).await, Reason::Protocol);
    }
    scene.assert_unharmed().await;
}

async fn fields_of_one_hop_are_dropped(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    let names = ["connection", "x-private", "keep-alive", "proxy-connection", "upgrade", "te"];
    let headers = names.map(|name| frames::header(name, "x-private"));
    scene.rogue.send(TunnelResponse { headers: headers.into(), ..frames::response(&id, 200) });
    let head = scene.response().await.head;
    for name in names {
        assert_eq!(head.value(name), None, "{name}");
    }
    scene.assert_unharmed().await;
}

async fn framing_is_the_gateways_own(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    let headers =
        ["chunked", "gzip, chunked", "identity"].map(|coding| frames::header("transfer-encoding", coding));
    let head =
        TunnelResponse { content_length: Some(5), headers: headers.into(), ..frames::response(&id, 200) };
    scene.rogue.send(TunnelResponse { body: Bytes::from_static(b"hello"), ..head });
    let response = scene.response().await;
    assert_eq!((response.head.content_length(), response.head.value("transfer-encoding")), (Some(5), None));
    assert_eq!(response.body, b"hello");
    scene.assert_unharmed().await;
}

async fn too_many_interim_responses_are_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    for status in [100, 102, 103].into_iter().cycle().take(1000) {
        scene.rogue.send(TunnelResponse {
            informational: true,
            end_stream: false,
            ..frames::response(&id, status)
        });
    }
    // 100 was not waited for, the others are passed on: at most 10 of 16, since the end of the exchange may overtake them.
    let mut interim = 0;
    let head = loop {
        let head = scene.client.reader.head().await;
        match head.status() {
            102 | 103 => interim += 1,
            _ => break head,
        }
    };
    assert!(interim <= 10, "{interim}");
    assert_eq!((head.status(), head.value("indranet-error")), (502, Some("upstream_bad_response")));
    scene.client.reader.body(&head).await.unwrap();
    assert_eq!(scene.rogue.close_of(&id).await, Reason::Protocol);
    scene.assert_unharmed().await;
}

async fn a_head_over_the_limits_is_a_502(transport: Transport) {
    let many = (0..=limits::MAX_HEADERS).map(|index| frames::header(&format!("x-{index}"), "1")).collect();
    let large = vec![frames::header("x-large", "v".repeat(limits::MAX_HEAD_BYTES))];
    assert_each_is_a_502(transport, vec![with_headers(many), with_headers(large)]).await;
}

//! Bodies that are not what was agreed or declared.

use super::*;

over_every_transport![
    a_body_shorter_than_declared_is_not_a_clean_end,
    a_body_longer_than_declared_never_exceeds_it,
    a_body_that_goes_on_past_its_declared_length_is_stopped,
    bodies_where_there_can_be_none_are_thrown_away,
    a_body_that_never_comes_is_given_up,
    a_chunk_over_the_agreed_size_cuts_the_response,
    an_inline_body_over_the_agreed_size_is_a_502,
    more_bytes_than_credit_cut_the_response_and_three_times_the_session,
    more_credit_than_an_exchange_can_hold_cuts_it,
    a_hundred_thousand_tiny_chunks_arrive,
    empty_chunks_close_the_session,
    an_agent_that_stops_an_upload_still_answers,
];

async fn a_body_shorter_than_declared_is_not_a_clean_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    let head = TunnelResponse { content_length: Some(10), ..frames::head(&id) };
    scene.rogue.send(head);
    scene.rogue.send(frames::data(&id, "short"));
    assert_eq!(scene.client.reader.head().await.content_length(), Some(10));
    assert_eq!(scene.client.reader.exactly(5).await.unwrap(), b"short");
    scene.rogue.send(frames::close(&id, Reason::Done));
    assert_eq!(scene.client.reader.rest().await, b"");
    scene.gateway.counted("truncated", 1).await;
    scene.client = scene.gateway.client().await;
    scene.assert_unharmed().await;
}

async fn a_body_longer_than_declared_never_exceeds_it(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(TunnelResponse { content_length: Some(7), ..frames::head(&id) });
    scene.rogue.send(frames::data(&id, "hello"));
    assert_eq!(scene.client.reader.head().await.content_length(), Some(7));
    assert_eq!(scene.client.reader.exactly(5).await.unwrap(), b"hello");
    scene.rogue.send(frames::last_data(&id, ", HTTP/1.1 200 OK\r\n\r\n"));
    let rest = scene.client.reader.rest().await;
    assert!(rest.len() <= 2, "{rest:?}");
    scene.gateway.counted("truncated", 1).await;
    scene.client = scene.gateway.client().await;
    scene.assert_unharmed().await;
}

async fn a_body_that_goes_on_past_its_declared_length_is_stopped(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(TunnelResponse { content_length: Some(5), ..frames::head(&id) });
    scene.rogue.send(frames::data(&id, "hello"));
    assert_eq!(scene.response().await.body, b"hello");
    scene.rogue.send(frames::data(&id, "and on"));
    assert_eq!(scene.rogue.close_of(&id).await, Reason::Cancelled);
    scene.assert_unharmed().await;
}

async fn bodies_where_there_can_be_none_are_thrown_away(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let request = Request::new(method, "/");
        for separate in [false, true] {
            scene.client.begin(&request).await;
            let id = scene.rogue.request().await.id;
            let answer = TunnelResponse { status, ..frames::answer(&id, "HTTP/1.1 200 OK\r\n\r\n") };
            if separate {
                scene.rogue.send(TunnelResponse { body: Bytes::new(), end_stream: false, ..answer });
                scene.rogue.send(frames::last_data(&id, "HTTP/1.1 200 OK\r\n\r\n"));
            } else {
                scene.rogue.send(answer);
            }
            assert_eq!(
                scene.client.reader.response(&request).await.head.status(),
                u16::try_from(status).unwrap()
            );
        }
    }
    scene.assert_unharmed().await;
}

async fn a_body_that_never_comes_is_given_up(transport: Transport) {
    let mut scene =
        Scene::with(transport, |limits| limits.terms.idle_timeout = Duration::from_millis(200)).await;
    let id = scene.begun().await;
    scene.assert_cut().await;
    assert_eq!(scene.rogue.close_of(&id).await, Reason::Timeout);
    scene.gateway.counted("truncated", 1).await;
    scene.assert_unharmed().await;
}

async fn a_chunk_over_the_agreed_size_cuts_the_response(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    scene.rogue.send(frames::data(&id, vec![b'x'; limits::MAX_CHUNK]));
    scene.rogue.send(frames::data(&id, vec![b'x'; limits::MAX_CHUNK + 1]));
    scene.assert_cut().await;
    assert_eq!(scene.rogue.close_of(&id).await, Reason::Protocol);
    scene.assert_unharmed().await;
}

async fn an_inline_body_over_the_agreed_size_is_a_502(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    let body = Bytes::from(vec![b'x'; limits::MAX_CHUNK + 1]);
    scene.rogue.send(TunnelResponse { body, ..frames::response(&id, 200) });
    scene.assert_bad_response(&id, Reason::Protocol).await;
    scene.assert_unharmed().await;
}

async fn more_bytes_than_credit_cut_the_response_and_three_times_the_session(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let chunk = Bytes::from(vec![b'x'; limits::MAX_CHUNK]);
    for round in 1..=3 {
        let id = scene.begun().await;
        // Nobody reads: what is beyond the credit and every buffer behind it has nowhere to go.
        for _ in 0..1024 {
            scene.rogue.send(frames::data(&id, chunk.clone()));
        }
        if round < 3 {
            assert_eq!(scene.rogue.close_of(&id).await, Reason::FlowControl);
            scene.assert_cut().await;
            scene.assert_unharmed().await;
        }
    }
    scene.assert_cut().await;
    scene.assert_closed(transport, farewell::PROTOCOL).await;
}

async fn more_credit_than_an_exchange_can_hold_cuts_it(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    scene.rogue.send(frames::window(&id, u32::MAX));
    scene.assert_bad_response(&id, Reason::FlowControl).await;
    let id = scene.asked().await.id;
    scene.rogue.send(TunnelResponse { window: u32::MAX, ..frames::head(&id) });
    scene.assert_bad_response(&id, Reason::FlowControl).await;
    scene.assert_unharmed().await;
}

async fn a_hundred_thousand_tiny_chunks_arrive(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.asked().await.id;
    let body = noise(100_000);
    scene.rogue.send(TunnelResponse { content_length: Some(100_000), ..frames::head(&id) });
    for byte in &body {
        scene.rogue.send(frames::data(&id, vec![*byte]));
    }
    scene.rogue.send(frames::close(&id, Reason::Done));
    assert!(scene.response().await.body == body);
    scene.assert_unharmed().await;
}

async fn empty_chunks_close_the_session(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let id = scene.begun().await;
    for _ in 0..100_000 {
        scene.rogue.send(frames::data(&id, ""));
    }
    scene.assert_cut().await;
    scene.assert_closed(transport, farewell::PROTOCOL).await;
}

async fn an_agent_that_stops_an_upload_still_answers(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let request = Request::post("/").declaring(1 << 20);
    scene.client.begin(&request).await;
    let id = scene.rogue.request().await.id;
    scene.rogue.send(frames::close(&id, Reason::StopSending));
    scene.rogue.send(frames::close(&id, Reason::StopSending));
    scene.rogue.send(frames::answer(&id, "enough"));
    assert_eq!(scene.client.reader.response(&request).await.body, b"enough");
    scene.client = scene.gateway.client().await;
    scene.assert_unharmed().await;
}

use std::time::UNIX_EPOCH;

use uuid::Uuid;

use super::*;

fn screen() -> Screen {
    Screen::new(Palette::PLAIN, "http://127.0.0.1:3000")
}

fn now() -> Moment {
    Moment { instant: Instant::now(), time: UNIX_EPOCH + Duration::from_secs(43_471) }
}

fn online() -> Event {
    Event::Online {
        public_urls: vec!["http://brave-otter.localhost:8082".into()],
        transport: "grpc",
        gateway_id: "gw-1".into(),
        gateway: "grpc://127.0.0.1:8081".into(),
    }
}

fn offline(retry_in: Duration) -> Event {
    Event::Offline { reason: "connection refused".into(), retry_in }
}

fn request(path: &str, status: Option<u16>, error: Option<&str>) -> Event {
    Event::Request {
        id: Uuid::nil(),
        method: "GET".into(),
        path: path.into(),
        status,
        duration: Duration::from_millis(12),
        bytes: 4096,
        error: error.map(str::to_owned),
        client: None,
    }
}

fn line(status: &str) -> String {
    format!("{NO_WRAP}{status}{WRAP}")
}

#[test]
fn the_first_minute_looks_as_promised() {
    let mut screen = screen();
    let status =
        "\u{25cf} online   http://brave-otter.localhost:8082  ->  http://127.0.0.1:3000     grpc \u{b7} ";
    assert_eq!(screen.on(online(), now()), line(&format!("{status}node gw-1")));
    let measured = screen.on(Event::RoundTrip(Duration::from_micros(400)), now());
    assert_eq!(measured, format!("{ERASE}{}", line(&format!("{status}0.4 ms \u{b7} node gw-1"))));
    assert_eq!(
        screen.on(request("/api/items", Some(200), None), now()),
        "\n12:04:31Z  200  GET  /api/items                   12 ms     4.1 kB\n"
    );
    assert_eq!(
        screen.on(
            request("/hook", None, Some("connect refused: is anything listening on 127.0.0.1:3000 ?")),
            now()
        ),
        "12:04:31Z  ERR  GET  /hook                     connect refused: is anything listening on 127.0.0.1:3000 ?\n"
    );
}

#[test]
fn a_round_trip_measured_further_down_is_not_shown() {
    let mut screen = screen();
    screen.on(online(), now());
    screen.on(request("/", Some(200), None), now());
    assert_eq!(screen.on(Event::RoundTrip(Duration::from_millis(1)), now()), "");
}

#[test]
fn the_countdown_is_rewritten_in_place() {
    let mut screen = screen();
    let begun = now();
    let text = |left: &str| line(&format!("\u{25cb} offline  {left}: connection refused"));
    assert_eq!(screen.on(offline(Duration::from_millis(2500)), begun), text("retrying in 3 s"));
    let mut at = begun.instant;
    for left in ["retrying in 2 s", "retrying in 1 s", "retrying"] {
        at += screen.next_tick(at).unwrap();
        assert_eq!(screen.on_tick(at), format!("{ERASE}{}", text(left)));
    }
    assert_eq!(screen.next_tick(at), None);
    let again = screen.on(Event::Connecting { gateway: "grpc://gw:8081".into() }, begun);
    assert_eq!(again, format!("{ERASE}{}", line("\u{25cb} connecting  grpc://gw:8081")));
}

#[test]
fn only_a_countdown_needs_ticks() {
    let mut screen = screen();
    for event in [online(), Event::Draining { in_flight: 1 }, offline(Duration::ZERO)] {
        screen.on(event, now());
        assert_eq!(screen.next_tick(Instant::now()), None);
    }
}

#[test]
fn a_status_that_requests_followed_stays_where_it_is() {
    let mut screen = screen();
    screen.on(online(), now());
    screen.on(request("/", Some(200), None), now());
    assert!(screen.on(offline(Duration::ZERO), now()).starts_with(NO_WRAP));
}

#[test]
fn draining_counts_down_below_the_requests() {
    let mut screen = screen();
    let draining = screen.on(Event::Draining { in_flight: 2 }, now());
    assert_eq!(draining, line("\u{25d0} draining  2 requests in progress"));
    for rest in ["1 request in progress", "done", "done"] {
        let output = screen.on(request("/", Some(200), None), now());
        assert!(output.starts_with(&format!("{ERASE}12:04:31Z  200  GET  /  ")), "{output:?}");
        assert!(
            output.ends_with(&format!("\n{}", line(&format!("\u{25d0} draining  {rest}")))),
            "{output:?}"
        );
    }
}

#[test]
fn what_came_from_outside_cannot_steer_the_terminal() {
    let evil = "\x1b[2J\r\nx\u{9b}";
    let mut screen = Screen::new(Palette::PLAIN, evil);
    let events = [
        request(evil, Some(200), None),
        request("/", None, Some(evil)),
        Event::Offline { reason: evil.into(), retry_in: Duration::ZERO },
        Event::Online {
            public_urls: vec![evil.into()],
            transport: "ws",
            gateway_id: evil.into(),
            gateway: evil.into(),
        },
    ];
    for event in events {
        let output = screen.on(event, now());
        let ours = [ERASE, NO_WRAP, WRAP, "\n"].iter().fold(output, |text, ours| text.replace(ours, ""));
        assert!(!ours.contains(char::is_control), "{ours:?}");
    }
}

#[test]
fn a_request_takes_a_bounded_line() {
    let long = "/\u{1b}".repeat(10_000);
    let output = screen().on(request(&long, None, Some(&long)), now());
    assert!(output.chars().count() < MAX_PATH + MAX_TEXT + 40, "{}", output.chars().count());
}

#[test]
fn statuses_are_coloured_by_class() {
    for (status, colour) in [
        (Some(101), "\x1b[32m"),
        (Some(204), "\x1b[32m"),
        (Some(304), "\x1b[36m"),
        (Some(404), "\x1b[33m"),
        (Some(502), "\x1b[31m"),
        (None, "\x1b[31m"),
    ] {
        let mut screen = Screen::new(Palette::COLOURED, "");
        let output = screen.on(request("/", status, None), now());
        let text = status.map_or("ERR".to_owned(), |status| status.to_string());
        assert!(output.contains(&format!("  {colour}{text}\x1b[0m  ")), "{output:?}");
    }
}

#[test]
fn the_cursor_is_left_at_the_beginning_of_a_line() {
    let mut screen = screen();
    assert_eq!(screen.finish(), "");
    screen.on(online(), now());
    assert_eq!(screen.on_missed(3), "\n3 lines left out: the terminal is too slow\n");
    screen.on(online(), now());
    assert_eq!(screen.finish(), "\n");
    assert_eq!(screen.finish(), "");
}

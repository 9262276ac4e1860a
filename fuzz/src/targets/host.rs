//! From a request's head to the agent that it is for: by one name, which whoever reads the head finds.

use std::sync::LazyLock;

use bytes::BytesMut;
use gateway::Routes;
use http1::{Limits, RequestHead, RequestParser};
use proto::AgentId;

use crate::input::Input;

pub(super) const WORDS: &[&[u8]] = &[
    b"myapp.localhost",
    b"myapp.example.com:80",
    b"shop.example.org",
    b"a.customer.example",
    b"http://",
    b"https://u@",
    b"HTTP/1.1\r\nhost: ",
    b"\r\nHost: ",
    b"\r\n\r\n",
    b"OPTIONS * ",
    b"[::1]:80",
    b"%2e",
    b".localhost.",
    b"\xc4\xb0",
];

const DOMAINS: [&str; 3] = ["localhost", "example.com", "eu.example.com"];

static ROUTES: LazyLock<Routes> = LazyLock::new(|| {
    let names =
        [("shop.example.org", "shop"), ("*.customer.example", "customer"), ("own.example.com", "other")];
    let hosts = names.map(|(name, id)| (name.parse().unwrap(), AgentId::parse(id).unwrap()));
    Routes::new(&DOMAINS.map(String::from), hosts)
});

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    match input.choice(3) {
        0 => request(input.rest()),
        1 => request(&[b"GET / HTTP/1.1\r\nhost: ", input.rest(), b"\r\n\r\n"].concat()),
        _ => {
            let target = input.bytes(300);
            let text = [b"GET ", target, b" HTTP/1.1\r\nhost: ", input.rest(), b"\r\n\r\n"].concat();
            request(&text);
        }
    }
}

fn request(text: &[u8]) {
    let Some(head) = parsed(text) else { return };
    let Ok((agent_id, authority)) = ROUTES.destination(head.clone()) else { return };
    assert_eq!(AgentId::parse(agent_id.as_str()), Ok(agent_id.clone()), "an id that is none");
    let authority = std::str::from_utf8(&authority).unwrap();
    assert_eq!(
        agent_named(authority).as_deref(),
        Some(agent_id.as_str()),
        "sent elsewhere than {authority:?} says"
    );

    let hosts: Vec<_> = head.fields.all("host").collect();
    assert_eq!(hosts.len(), 1, "a request without one Host");
    let target = std::str::from_utf8(&head.target).unwrap();
    if target.starts_with('/') || target == "*" {
        assert_eq!(hosts[0], authority, "neither the target's authority nor Host");
    } else {
        assert!(target.contains(&format!("://{authority}")), "not the target's authority");
    }
    // Who folds case or adds the dot of the root means the same agent.
    for spelling in [authority.to_ascii_uppercase(), authority.to_ascii_lowercase()] {
        let text = format!("GET / HTTP/1.1\r\nhost: {spelling}\r\n\r\n");
        let again = ROUTES.destination(parsed(text.as_bytes()).unwrap());
        assert_eq!(again.unwrap().0, agent_id, "{spelling:?} is somebody else");
    }
}

fn parsed(text: &[u8]) -> Option<RequestHead> {
    RequestParser::new(Limits::default()).parse(&mut BytesMut::from(text)).ok().flatten()
}

/// The plainest reading of an authority.
fn agent_named(authority: &str) -> Option<String> {
    // What a wildcard stands for may be any label, but nothing that ends a host name for some reader.
    let plain = |char: char| char.is_alphanumeric() || "-_.:%~".contains(char);
    assert!(authority.chars().all(plain), "{authority:?} reached an agent");
    let (host, port) = authority.split_once(':').unwrap_or((authority, "0"));
    port.parse::<u16>().ok()?;
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match host.as_str() {
        "shop.example.org" => return Some("shop".to_owned()),
        "own.example.com" => return Some("other".to_owned()),
        _ => {}
    }
    if DOMAINS.contains(&host.as_str()) {
        return None;
    }
    let (label, domain) = host.split_once('.')?;
    match domain {
        "customer.example" => Some("customer".to_owned()),
        _ => DOMAINS.contains(&domain).then(|| label.to_owned()),
    }
}

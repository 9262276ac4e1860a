use super::*;
use crate::ingress::head::Target as RequestTarget;

fn domains() -> Domains {
    Domains::new(&["localhost", "example.com", "eu.example.com"].map(String::from))
}

/// Where agents have no names but those that their ids give them.
fn found(head: &Head) -> Result<Target, IngressError> {
    domains().target(head, &Hosts::default())
}

fn head(target: &str, hosts: &[&[u8]]) -> Head {
    try_head("GET", target, hosts).unwrap()
}

fn try_head(method: &'static str, target: &str, hosts: &[&[u8]]) -> Result<Head, IngressError> {
    let mut fields = Fields::new();
    for host in hosts {
        fields.push("host", host.to_vec());
    }
    Ok(Head {
        method: method.into(),
        target: RequestTarget::parse(method.as_bytes(), target.to_owned().into())?,
        version: HttpVersion::HttpVersion11,
        fields,
        upgrade: None,
        expect_continue: false,
    })
}

fn by_host(host: impl AsRef<[u8]>) -> Result<Target, IngressError> {
    found(&head("/", &[host.as_ref()]))
}

#[test]
fn direct_children_of_a_domain_are_agents() {
    for (host, id) in [
        ("myapp.localhost", "myapp"),
        ("myapp.localhost:8082", "myapp"),
        ("myapp.localhost:0", "myapp"),
        ("MyApp.LOCALHOST", "myapp"),
        ("myapp.localhost.", "myapp"),
        ("myapp.localhost.:80", "myapp"),
        ("9.example.com", "9"),
        ("a-b.example.com", "a-b"),
        ("xn--bcher-kva.example.com", "xn--bcher-kva"),
        ("myapp.eu.example.com", "myapp"),
    ] {
        let target = by_host(host).unwrap();
        assert_eq!(target.agent_id.as_str(), id, "{host}");
        assert_eq!(target.authority, *host);
    }
}

#[test]
fn a_host_name_that_is_not_an_agents_is_not_found() {
    let long_label = format!("{}.localhost", "x".repeat(300));
    let label_of_64 = format!("{}.localhost", "x".repeat(64));
    let long_name = format!("{}localhost", "x.".repeat(4000));
    for host in [
        "localhost",
        "localhost:8082",
        "example.com",
        "eu.example.com",
        "EU.example.com.",
        "other",
        "myapp.evil.example",
        "evil.myapp.localhost",
        "a.b.eu.example.com",
        "myapplocalhost",
        "myapp.localhost.evil.example",
        "myapp.notlocalhost",
        "myapp.localhost2",
        "my_app.localhost",
        "_.localhost",
        "~myapp.localhost",
        "-myapp.localhost",
        "myapp-.localhost",
        "%6dyapp.localhost",
        "myapp%2dx.localhost",
        "www.localhost",
        "admin.localhost",
        "xn--.com",
        "\u{ff4d}yapp.localhost",
        "\u{212a}elvin.localhost",
        "b\u{fc}cher.localhost",
        "127.0.0.1",
        "127.0.0.1:8082",
        "[::1]",
        "[::1]:8082",
        "[2001:db8::1]",
        &long_label,
        &label_of_64,
        &long_name,
    ] {
        assert_eq!(by_host(host), Err(IngressError::AgentNotFound), "{host:.80}");
    }
}

#[test]
fn what_is_not_a_host_name_is_a_bad_request() {
    for host in [
        "",
        ":80",
        ".",
        "..",
        ".localhost",
        ".myapp.localhost",
        "myapp..localhost",
        "myapp.localhost..",
        "user@myapp.localhost",
        "user:password@myapp.localhost",
        "myapp.localhost,other.localhost",
        "myapp.localhost, other.localhost",
        "my app.localhost",
        " myapp.localhost",
        "myapp.localhost ",
        "my\tapp.localhost",
        "myapp.localhost/",
        "myapp.localhost/path",
        "myapp.localhost#",
        "myapp.localhost?",
        "myapp.localhost\\",
        "myapp.localhost;",
        "myapp.localhost=",
        "my*app.localhost",
        "*.localhost",
        "http://myapp.localhost",
        "http:myapp.localhost",
        "\"myapp.localhost\"",
        "'myapp.localhost'",
        "<myapp>.localhost",
        "{myapp}.localhost",
        "myapp.localhost:",
        "myapp.localhost:http",
        "myapp.localhost:65536",
        "myapp.localhost:+80",
        "myapp.localhost:-1",
        "myapp.localhost:80:80",
        "::1",
        "[::1",
        "::1]",
        "[]",
        "[::1]x",
        "[::1]:",
        "[::1]:x",
        "[myapp].localhost",
        "[127.0.0.1]",
        "[fe80::1%25eth0]",
        "[v1.x]",
        "myapp%0d%0a.localhost",
        "myapp%00.localhost",
        "myapp%20.localhost",
        "myapp%2f.localhost",
        "user%40myapp.localhost",
        "myapp%.localhost",
        "myapp%6.localhost",
        "myapp%zz.localhost",
        "myapp%+6.localhost",
        "myapp%\u{fc}.localhost",
        "myapp.localhost%",
        "\u{3002}localhost",
        "\u{200b}myapp.localhost",
    ] {
        assert_eq!(by_host(host), Err(IngressError::BadHost), "{host:?}");
    }
    assert_eq!(by_host(b"my\xffapp.localhost"), Err(IngressError::BadHost));
    assert_eq!(by_host(b"\x80"), Err(IngressError::BadHost));
}

#[test]
fn no_host_and_two_hosts_are_bad_requests() {
    for version in [HttpVersion::HttpVersion10, HttpVersion::HttpVersion11, HttpVersion::HttpVersion2] {
        for hosts in [&[] as &[&[u8]], &[b"a.localhost", b"a.localhost"], &[b"a.localhost", b"b.localhost"]] {
            let mut head = head("/", hosts);
            head.version = version;
            assert_eq!(found(&head), Err(IngressError::BadHost), "{version:?} {hosts:?}");
        }
    }
}

#[test]
fn an_absolute_target_wins_over_host() {
    for uri in ["http://a.localhost/x", "https://a.localhost", "HTTP://a.localhost/"] {
        let target = found(&head(uri, &[b"b.localhost"])).unwrap();
        assert_eq!((target.agent_id.as_str(), &target.authority[..]), ("a", &b"a.localhost"[..]), "{uri}");
    }
    let target = found(&head("http://A.localhost:80/", &[b"nobody.example"])).unwrap();
    assert_eq!((target.agent_id.as_str(), &target.authority[..]), ("a", &b"A.localhost:80"[..]));
    let other = found(&head("http://nobody.example/", &[b"a.localhost"]));
    assert_eq!(other, Err(IngressError::AgentNotFound));
}

#[test]
fn an_absolute_target_excuses_no_bad_host() {
    let hosts: [&[&[u8]]; 4] = [&[], &[b"a.localhost", b"a.localhost"], &[b"a b"], &[b""]];
    for hosts in hosts {
        let target = found(&head("http://a.localhost/", hosts));
        assert_eq!(target, Err(IngressError::BadHost), "{hosts:?}");
    }
}

#[test]
fn a_bad_authority_is_a_bad_request() {
    for target in ["http://user@a.localhost/", "http://a..localhost/"] {
        let target = found(&head(target, &[b"a.localhost"]));
        assert_eq!(target, Err(IngressError::BadHost));
    }
    assert_eq!(try_head("GET", "ftp://a.localhost/", &[]).err(), Some(IngressError::BadHost));
}

#[test]
fn a_target_is_a_path_or_a_url() {
    for target in ["a.localhost", "a.localhost:80", "", "x", "*", "/#x", "/a#", "?a=b", "//#"] {
        let bad = try_head("GET", target, &[b"a.localhost"]).err();
        assert!(matches!(bad, Some(IngressError::BadTarget | IngressError::BadHost)), "{target} {bad:?}");
    }
}

#[test]
fn http_2_needs_no_host_but_no_contradiction_either() {
    let with = |hosts: &[&[u8]]| {
        let mut head = head("http://a.localhost/", hosts);
        head.version = HttpVersion::HttpVersion2;
        found(&head).map(|target| target.agent_id.to_string())
    };
    assert_eq!(with(&[]), Ok("a".into()));
    assert_eq!(with(&[b"A.localhost"]), Ok("a".into()));
    assert_eq!(with(&[b"b.localhost"]), Err(IngressError::BadHost));
    assert_eq!(with(&[b"a.localhost", b"a.localhost"]), Err(IngressError::BadHost));
}

#[test]
fn connect_is_not_for_tunnels() {
    let refused = try_head("CONNECT", "a.localhost:443", &[b"a.localhost"]).err();
    assert_eq!(refused, Some(IngressError::MethodNotAllowed));
}

#[test]
fn options_for_the_whole_service_are_routed_by_host() {
    let head = try_head("OPTIONS", "*", &[b"a.localhost"]).unwrap();
    assert_eq!(found(&head).unwrap().agent_id.as_str(), "a");
}

#[test]
fn no_other_field_routes() {
    for field in ["x-forwarded-host", "forwarded", "x-host", "x-original-host", "x-forwarded-server"] {
        let mut head = head("/", &[b"a.localhost"]);
        head.fields.push(field, "b.localhost");
        assert_eq!(found(&head).unwrap().agent_id.as_str(), "a", "{field}");
    }
}

#[test]
fn every_octet_has_its_place() {
    for octet in 0..=u8::MAX {
        let value = [b"my", &[octet] as &[u8], b"app.localhost"].concat();
        if !proto::fields::is_field_value(&value) {
            continue;
        }
        let head = head("/", &[&value]);
        let expected = match octet {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => Ok(()),
            b'_' | b'~' | b'.' => Err(IngressError::AgentNotFound),
            _ => Err(IngressError::BadHost),
        };
        assert_eq!(found(&head).map(drop), expected, "{octet:#x}");
    }
}

/// The agent of a host, where agents have names of their own.
fn owner(host: &str) -> Option<String> {
    let mut hosts = Hosts::default();
    for (pattern, id) in [
        ("shop.example.org", "shop"),
        ("*.customer.example", "customers"),
        ("vip.customer.example", "vip"),
        ("example.com", "front"),
        ("taken.example.com", "taker"),
        ("*.example.com", "any"),
    ] {
        assert_eq!(hosts.add(pattern.parse().unwrap(), AgentId::parse(id).unwrap()), None);
    }
    let domains = Domains::new(&["example.com".to_owned()]);
    domains.target(&head("/", &[host.as_bytes()]), &hosts).ok().map(|target| target.agent_id.to_string())
}

#[test]
fn agents_have_names_of_their_own() {
    for (host, id) in [
        ("shop.example.org", Some("shop")),
        ("Shop.Example.ORG.:8082", Some("shop")),
        ("a.customer.example", Some("customers")),
        ("A.CUSTOMER.EXAMPLE", Some("customers")),
        ("vip.customer.example", Some("vip")),
        ("customer.example", None),
        ("a.b.customer.example", None),
        ("a.shop.example.org", None),
        ("example.org", None),
        ("xcustomer.example", None),
    ] {
        assert_eq!(owner(host).as_deref(), id, "{host}");
    }
}

#[test]
fn a_name_of_ones_own_goes_before_an_id_and_that_before_a_wildcard() {
    assert_eq!(owner("example.com").as_deref(), Some("front"));
    assert_eq!(owner("taken.example.com").as_deref(), Some("taker"));
    assert_eq!(owner("other.example.com").as_deref(), Some("other"));
    assert_eq!(owner("no_id.example.com").as_deref(), Some("any"));
}

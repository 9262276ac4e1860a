use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response, header};
use uuid::Uuid;

use super::*;

const ID: Uuid = Uuid::from_u128(0x0f8f_ad5b_d9cb_469f_a165_7086_7728_950e);

/// Every variant, with the row it must have.
const TABLE: [(IngressError, u16, &str, &str); 27] = [
    (IngressError::BadHost, 400, "bad_host", "3"),
    (IngressError::BadRequest, 400, "bad_request", "3"),
    (IngressError::BadTarget, 400, "bad_target", "3"),
    (IngressError::ExpectationFailed, 417, "expectation_failed", "3"),
    (IngressError::UnsupportedVersion, 400, "unsupported_version", "3"),
    (IngressError::BadFraming, 400, "bad_framing", "3"),
    (IngressError::MethodNotAllowed, 405, "method_not_allowed", "12"),
    (IngressError::Misdirected, 421, "misdirected_request", "14"),
    (IngressError::AgentNotFound, 404, "agent_not_found", "5"),
    (IngressError::AgentUnhealthy, 503, "agent_unhealthy", "14"),
    (IngressError::AgentOffline { retry_after: None }, 404, "agent_offline", "5"),
    (IngressError::AgentOffline { retry_after: Some(Duration::from_secs(7)) }, 503, "agent_offline", "14"),
    (
        IngressError::HttpsOnly { location: Bytes::from_static(b"https://a.example/x") },
        308,
        "https_only",
        "9",
    ),
    (IngressError::Unauthorized, 401, "unauthorized", "16"),
    (IngressError::Forbidden, 403, "forbidden", "7"),
    (IngressError::RateLimited { retry_after: Duration::from_millis(2100) }, 429, "rate_limited", "8"),
    (IngressError::LoopDetected, 508, "loop_detected", "13"),
    (IngressError::ClientGone, 400, "client_cancelled", "3"),
    (IngressError::BodyTooLarge, 413, "body_too_large", "8"),
    (IngressError::UriTooLong, 414, "uri_too_long", "8"),
    (IngressError::HeadTooLarge, 431, "head_too_large", "8"),
    (IngressError::Overloaded, 503, "overloaded", "14"),
    (IngressError::Draining, 503, "draining", "14"),
    (IngressError::UpstreamRefused, 502, "upstream_refused", "14"),
    (IngressError::UpstreamBadResponse, 502, "upstream_bad_response", "14"),
    (IngressError::TunnelLost, 502, "tunnel_lost", "14"),
    (IngressError::ResponseTimeout, 504, "response_timeout", "4"),
];

fn request(name: HeaderName, value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(name, value.parse().unwrap())])
}

fn accepting(accept: &'static str) -> HeaderMap {
    request(header::ACCEPT, accept)
}

fn field(response: &Response<Bytes>, name: &str) -> String {
    let value = response.headers().get(name).unwrap_or_else(|| panic!("no {name}"));
    value.to_str().unwrap().to_owned()
}

fn body(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).unwrap()
}

#[test]
fn every_error_has_its_row() {
    for (error, status, code, _) in TABLE {
        let response = respond(&error, ID, &HeaderMap::new(), Pages::Pretty);
        assert_eq!(response.status(), status, "{code}");
        assert_eq!((error.explanation().status, error.code()), (response.status(), code));
        if status == 308 {
            assert!(!response.headers().contains_key("indranet-error"), "a redirect is no error");
        } else {
            assert_eq!(field(&response, "indranet-error"), code);
        }
        assert_eq!(field(&response, "x-request-id"), ID.to_string());
        assert_eq!(field(&response, "cache-control"), "no-store");
        assert_eq!(field(&response, "content-length"), response.body().len().to_string());
    }
}

#[test]
fn text_is_one_line() {
    for (error, status, code, _) in TABLE {
        for headers in [HeaderMap::new(), accepting("*/*")] {
            let response = respond(&error, ID, &headers, Pages::Pretty);
            assert_eq!(field(&response, "content-type"), "text/plain; charset=utf-8");
            let text = body(&response);
            assert!(text.starts_with(&format!("{status} {code}: ")), "{text}");
            assert!(text.ends_with(&format!("(request {ID})\n")), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }
}

#[test]
fn json_is_a_problem_document() {
    let response = respond(&IngressError::UpstreamRefused, ID, &accepting("application/json"), Pages::Pretty);
    assert_eq!(field(&response, "content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(
        problem,
        serde_json::json!({
            "type": "urn:indranet:error:upstream_refused",
            "title": "Service unreachable",
            "status": 502,
            "detail": texts::REFUSED.to_string(),
            "instance": format!("urn:uuid:{ID}"),
            "code": "upstream_refused",
            "side": "service",
            "request_id": ID.to_string(),
        })
    );
}

#[test]
fn a_browser_gets_a_page_without_gaps() {
    for (error, status, code, _) in TABLE {
        let response = respond(&error, ID, &accepting("text/html,*/*;q=0.8"), Pages::Pretty);
        assert_eq!(field(&response, "content-type"), "text/html; charset=utf-8");
        let page = body(&response);
        assert!(page.contains(&format!("<title>{status} ")) && page.contains(code), "{page}");
        for gap in [
            "{status}",
            "{title}",
            "{happened}",
            "{advice}",
            "{words}",
            "{code}",
            "{side}",
            "{request_id}",
            "<agent>",
        ] {
            assert!(!page.contains(gap), "{gap} in the page of {code}");
        }
    }
}

#[test]
fn retry_after_is_there_where_waiting_helps() {
    for (error, _, code, _) in TABLE {
        let response = respond(&error, ID, &HeaderMap::new(), Pages::Pretty);
        let expected = match error {
            IngressError::AgentOffline { retry_after: Some(_) } => Some("7"),
            IngressError::RateLimited { .. } => Some("3"),
            IngressError::Overloaded => Some("1"),
            IngressError::Draining | IngressError::AgentUnhealthy => Some("5"),
            _ => None,
        };
        let sent = response.headers().get("retry-after").map(|value| value.to_str().unwrap());
        assert_eq!(sent, expected, "{code}");
    }
}

#[test]
fn a_refused_method_names_the_others() {
    let response = respond(&IngressError::MethodNotAllowed, ID, &HeaderMap::new(), Pages::Pretty);
    assert!(field(&response, "allow").contains("GET"));
}

#[test]
fn a_grpc_call_gets_trailers_only() {
    for (error, _, code, grpc_status) in TABLE {
        for content_type in ["application/grpc", "application/grpc+proto", "Application/GRPC;x=y"] {
            let response = respond(&error, ID, &request(header::CONTENT_TYPE, content_type), Pages::Pretty);
            assert_eq!(response.status(), 200);
            assert_eq!(field(&response, "content-type"), "application/grpc");
            assert_eq!(field(&response, "grpc-status"), grpc_status, "{code}");
            assert_eq!(field(&response, "grpc-message"), error.explanation().text.to_string());
            assert!(response.body().is_empty() && !response.headers().contains_key("content-length"));
        }
    }
}

#[test]
fn only_grpc_counts_as_grpc() {
    let web = respond(
        &IngressError::Draining,
        ID,
        &request(header::CONTENT_TYPE, "application/grpc-web+proto"),
        Pages::Pretty,
    );
    assert_eq!(field(&web, "content-type"), "application/grpc-web");
    for content_type in ["application/grpcx", "application/json", "text/application/grpc"] {
        let response =
            respond(&IngressError::Draining, ID, &request(header::CONTENT_TYPE, content_type), Pages::Pretty);
        assert_eq!(response.status(), 503, "{content_type}");
    }
}

#[test]
fn nothing_of_the_request_is_in_the_response() {
    let mut headers = accepting("text/html, x/<script>alert(1)</script>");
    headers.insert(header::HOST, "<script>".parse().unwrap());
    let response = respond(&IngressError::BadHost, ID, &headers, Pages::Pretty);
    assert!(!format!("{response:?}").contains("script"));
}

#[test]
fn a_page_may_use_its_own_style_and_nothing_else() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use sha2::{Digest as _, Sha256};

    let response = respond(&IngressError::TunnelLost, ID, &accepting("text/html"), Pages::Pretty);
    let (_, style) = body(&response).split_once("<style>").unwrap();
    let (style, _) = style.split_once("</style>").unwrap();
    let hash = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = field(&response, "content-security-policy");
    assert!(policy.contains(&format!("style-src 'sha256-{hash}'")), "{policy} for sha256-{hash}");
    assert!(policy.starts_with("default-src 'none';"));
    for outside in ["http://", "https://", "src=", "url(", "style=", "<script"] {
        assert!(!body(&response).contains(outside), "{outside}");
    }
}

#[test]
fn a_page_shows_whose_side_it_is() {
    let page = |error| body(&respond(&error, ID, &accepting("text/html"), Pages::Pretty)).to_owned();
    assert!(page(IngressError::UpstreamRefused).contains("<ol class=\"service\""));
    assert!(page(IngressError::TunnelLost).contains("<ol class=\"agent\""));
    assert!(page(IngressError::Draining).contains("<ol class=\"gateway\""));
    assert!(page(IngressError::BadHost).contains("<ol class=\"client\""));
}

#[test]
fn plain_pages_are_what_programs_get() {
    let browser = accepting("text/html,*/*;q=0.8");
    let response = respond(&IngressError::TunnelLost, ID, &browser, Pages::Plain);
    assert_eq!(field(&response, "content-type"), "text/plain; charset=utf-8");
    let json = respond(&IngressError::TunnelLost, ID, &accepting("application/json"), Pages::Plain);
    assert_eq!(field(&json, "content-type"), "application/problem+json");
}

#[test]
fn who_must_sign_in_is_told_how() {
    let response = respond(&IngressError::Unauthorized, ID, &HeaderMap::new(), Pages::Pretty);
    assert!(field(&response, "www-authenticate").starts_with("Basic realm="));
}

#[test]
fn a_redirect_names_its_destination() {
    let location = Bytes::from_static(b"https://a.example/x?y");
    let response = respond(&IngressError::HttpsOnly { location }, ID, &HeaderMap::new(), Pages::Pretty);
    assert_eq!(
        (response.status().as_u16(), field(&response, "location").as_str()),
        (308, "https://a.example/x?y")
    );
}

#[test]
fn an_authority_reads_what_it_looks_for_and_nothing_else() {
    let error = IngressError::AcmeChallenge { answer: Bytes::from_static(b"token.key") };
    for accept in ["*/*", "text/html", "application/json"] {
        let response = respond(&error, ID, &accepting(accept), Pages::Pretty);
        assert_eq!((response.status().as_u16(), body(&response)), (200, "token.key"));
        assert_eq!(field(&response, "content-length"), "9");
        assert_eq!(response.headers().get("indranet-error"), None);
    }
}

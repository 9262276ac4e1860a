use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refusal(status: u16, body: &serde_json::Value) -> Refusal {
    Refusal::read(StatusCode::from_u16(status).unwrap(), body.to_string().as_bytes(), None)
}

#[test]
fn what_it_says_is_shown_with_the_remedy() {
    let limited = refusal(
        429,
        &json!({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates", "instance": "https://ca.example/limits"}),
    );
    assert_eq!(
        limited.to_string(),
        "the authority answers with status 429: too many certificates (rateLimited), see https://ca.example/limits"
    );
    assert!(limited.is("rateLimited") && limited.is_for_now());
    assert!(limited.remedy().unwrap().contains("--acme-staging"));
    let bound = refusal(403, &json!({"type": "urn:ietf:params:acme:error:externalAccountRequired"}));
    let remedy = bound.remedy().unwrap();
    assert!(remedy.contains("--acme-eab-kid") && remedy.contains("--acme-eab-key-file"), "{remedy}");
    assert!(!bound.is_for_now());
}

#[test]
fn each_name_has_its_own_part() {
    let several = refusal(
        400,
        &json!({"type": "urn:ietf:params:acme:error:compound", "detail": "two",
            "subproblems": [{"type": "urn:ietf:params:acme:error:caa", "detail": "one", "identifier": {"type": "dns", "value": "a"}}]}),
    );
    assert_eq!(several.to_string(), "the authority answers with status 400: two (compound); one (caa)");
    assert!(several.remedy().unwrap().contains("CAA"));
}

#[test]
fn what_does_not_explain_itself_is_an_error_all_the_same() {
    for body in ["", "<html>", "[]", "null", r#"{"type": 7}"#] {
        let refusal = Refusal::read(StatusCode::BAD_GATEWAY, body.as_bytes(), None);
        assert_eq!(
            refusal.to_string(),
            "the authority answers with status 502: it does not say why",
            "{body}"
        );
        assert!(refusal.is_for_now());
    }
}

#[test]
fn its_texts_are_cut_and_cleaned() {
    let long = refusal(400, &json!({"detail": format!("a\nb\u{1b}[31m{}", "x".repeat(9999))}));
    let shown = long.to_string();
    assert!(shown.contains("a b [31m") && shown.len() < 600 && !shown.contains(char::is_control), "{shown}");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(status in 400u16..1000, body in prop::collection::vec(any::<u8>(), 0..200)) {
        let refusal = Refusal::read(StatusCode::from_u16(status).unwrap(), &body, None);
        let _ = (refusal.to_string(), refusal.remedy());
    }
}

use serde::Serialize;
use uuid::Uuid;

use super::Explanation;

/// A problem document (RFC 9457) with three members of our own: `code`, `side` and `request_id`.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    instance: String,
    code: &'a str,
    side: &'a str,
    request_id: String,
}

pub(super) fn json(explanation: &Explanation, request_id: Uuid) -> String {
    let problem = Problem {
        r#type: format!("urn:indranet:error:{}", explanation.code),
        title: explanation.title,
        status: explanation.status.as_u16(),
        detail: explanation.text.to_string(),
        instance: format!("urn:uuid:{request_id}"),
        code: explanation.code,
        side: explanation.side.as_str(),
        request_id: request_id.to_string(),
    };
    let mut text = serde_json::to_string_pretty(&problem).expect("texts and numbers always have a JSON form");
    text.push('\n');
    text
}

pub(super) fn text(explanation: &Explanation, request_id: Uuid) -> String {
    let Explanation { status, code, text, .. } = explanation;
    format!("{} {code}: {text} (request {request_id})\n", status.as_u16())
}

pub(super) fn html(explanation: &Explanation, request_id: Uuid) -> String {
    include_str!("page.html")
        .replace("{status}", explanation.status.as_str())
        .replace("{title}", &escaped(explanation.title))
        .replace("{happened}", &escaped(explanation.text.happened))
        .replace("{advice}", &escaped(explanation.text.advice))
        .replace("{words}", explanation.side.words())
        .replace("{code}", explanation.code)
        .replace("{side}", explanation.side.as_str())
        .replace("{request_id}", &request_id.to_string())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

//! What an authority says when it does not do what it was asked for (RFC 8555, section 6.7), and what helps.

use std::{fmt, time::Duration};

use http::StatusCode;
use serde::Deserialize;

mod remedy;

/// What all kinds of errors of this protocol begin with.
const KINDS: &str = "urn:ietf:params:acme:error:";
/// So much of a text is shown, so that nobody fills the log.
const LONGEST: usize = 500;

/// An answer that is an error. Its texts are the authority's, cut and without control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Of the answer; `None` for an error that stands inside an answer.
    status: Option<StatusCode>,
    complaint: Complaint,
    /// Each about one name of several.
    parts: Vec<Complaint>,
    /// When it wants to be asked again, within bounds.
    pub(super) retry_after: Option<Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Complaint {
    /// What is wrong, such as `rateLimited`; kinds of other protocols stand here whole.
    kind: Option<String>,
    detail: Option<String>,
    /// Where to read more.
    instance: Option<String>,
}

/// RFC 7807, with the additions of RFC 8555, section 6.7.1.
#[derive(Deserialize)]
struct Document {
    r#type: Option<String>,
    detail: Option<String>,
    instance: Option<String>,
    #[serde(default)]
    subproblems: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    r#type: Option<String>,
    detail: Option<String>,
}

impl Refusal {
    /// Reads an answer. One that does not explain itself, such as that of a proxy in between, is no less an error.
    pub(super) fn read(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let refusal = Self { status: Some(status), retry_after, ..Self::default() };
        let Ok(document) = serde_json::from_slice::<Document>(body) else { return refusal };
        let Document { r#type, detail, instance, subproblems } = document;
        let parts = subproblems.into_iter().take(10);
        Self {
            complaint: Complaint { instance: instance.map(clean), ..Complaint::new(r#type, detail) },
            parts: parts.map(|part| Complaint::new(part.r#type, part.detail)).collect(),
            ..refusal
        }
    }

    /// Whether it is of a kind like `rateLimited`.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.complaint.kind.as_deref() == Some(kind)
    }

    /// Whether the same may be granted later: the authority has much to do, or is ill.
    pub(super) fn is_for_now(&self) -> bool {
        let is_busy = |status: StatusCode| {
            status.is_server_error()
                || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        };
        self.status.is_some_and(is_busy) || self.is("rateLimited")
    }

    /// What helps, if anything that we know of does.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        let kinds = std::iter::once(&self.complaint).chain(&self.parts);
        kinds.filter_map(|complaint| complaint.kind.as_deref()).find_map(remedy::of)
    }
}

impl From<instant_acme::Problem> for Refusal {
    fn from(problem: instant_acme::Problem) -> Self {
        let parts = problem.subproblems.into_iter().take(10);
        Self {
            complaint: Complaint::new(problem.r#type, problem.detail),
            parts: parts.map(|part| Complaint::new(part.r#type, part.detail)).collect(),
            ..Self::default()
        }
    }
}

impl Complaint {
    fn new(kind: Option<String>, detail: Option<String>) -> Self {
        let kind = kind.map(|kind| clean(kind.strip_prefix(KINDS).unwrap_or(&kind).to_owned()));
        Self { kind, detail: detail.map(clean), instance: None }
    }
}

/// Others read logs by lines, and terminals obey control characters.
pub(super) fn clean(text: String) -> String {
    text.chars().take(LONGEST).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or("it does not say why"))?;
        if let Some(kind) = &self.kind {
            write!(f, " ({kind})")?;
        }
        match &self.instance {
            Some(instance) => write!(f, ", see {instance}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "the authority answers with status {}: ", status.as_u16())?;
        }
        self.complaint.fmt(f)?;
        self.parts.iter().try_for_each(|part| write!(f, "; {part}"))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests;

use agent::{HostField, Route};

use super::{
    host::{host_and_port, redacted},
    settings::RouteSettings,
    target::{self, Protocol, TargetError},
};

/// Why a text is no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RouteError {
    #[error("`{0}` is not a route; write --route /prefix=target, e.g. /api=4000")]
    Shape(String),
    #[error("`{0}` is not the beginning of a path; write it like /api, without query")]
    Prefix(String),
    #[error("there are two routes for {0}")]
    Twice(String),
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The routes given as flags, or else those of the file.
pub(super) fn routes(
    flags: &[String],
    file: Vec<RouteSettings>,
    protocol: Option<Protocol>,
) -> Result<Vec<Route>, RouteError> {
    let given = if flags.is_empty() {
        file
    } else {
        flags.iter().map(|text| flag(text)).collect::<Result<_, _>>()?
    };
    let mut routes: Vec<Route> = Vec::new();
    for RouteSettings { prefix, target, strip_prefix } in given {
        let upstream = target::parse(&target, protocol)?;
        let prefix = parse_prefix(&prefix)?;
        if routes.iter().any(|route| route.prefix == prefix) {
            return Err(RouteError::Twice(prefix));
        }
        routes.push(Route { prefix, upstream, strip_prefix });
    }
    Ok(routes)
}

/// A target never holds an equals sign; a prefix may.
fn flag(text: &str) -> Result<RouteSettings, RouteError> {
    let (prefix, target) = text.rsplit_once('=').ok_or_else(|| RouteError::Shape(redacted(text)))?;
    Ok(RouteSettings { prefix: prefix.to_owned(), target: target.to_owned(), strip_prefix: false })
}

/// A prefix ends with a segment: `/api/` means the same as `/api`.
fn parse_prefix(text: &str) -> Result<String, RouteError> {
    let visible = text.bytes().all(|byte| byte > b' ' && byte != 0x7f && !matches!(byte, b'?' | b'#'));
    if !text.starts_with('/') || !visible {
        return Err(RouteError::Prefix(text.to_owned()));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// Reads what the service shall see as host: `preserve`, `upstream` or a name. Nothing comes back for what is no name.
pub(super) fn host_field(text: &str) -> Option<HostField> {
    match text {
        "preserve" => Some(HostField::Preserve),
        "upstream" => Some(HostField::Upstream),
        name => host_and_port(name).map(|_| HostField::Named(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use agent::Upstream;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Vec<Route>, RouteError> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        routes(&flags, Vec::new(), None)
    }

    #[test]
    fn a_prefix_and_a_target_are_a_route() {
        let route = |prefix: &str, port| Route {
            prefix: prefix.to_owned(),
            upstream: Upstream::http("127.0.0.1", port),
            strip_prefix: false,
        };
        assert_eq!(
            parse(&["/api=4000", "/a/b/=http://127.0.0.1:1", "/=2", "/a=b=3"]),
            Ok(vec![route("/api", 4000), route("/a/b", 1), route("", 2), route("/a=b", 3)])
        );
    }

    #[test]
    fn everything_else_says_what_is_wrong() {
        for (flags, part) in [
            (&["/api"][..], "write --route /prefix=target"),
            (&["api=1"], "write it like /api"),
            (&["=1"], "write it like /api"),
            (&["/a?b=1"], "without query"),
            (&["/a b=1"], "without query"),
            (&["/a=1", "/a/=2"], "two routes for /a"),
            (&["/a=ftp://x"], "is not a local service"),
        ] {
            let error = parse(flags).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn flags_hide_the_file() {
        let file = vec![RouteSettings { prefix: "/f".into(), target: "1".into(), strip_prefix: true }];
        assert!(routes(&[], file.clone(), None).unwrap()[0].strip_prefix);
        assert_eq!(routes(&["/g=2".into()], file, None).unwrap()[0].prefix, "/g");
    }

    #[test]
    fn a_host_is_a_word_or_a_name() {
        assert_eq!(host_field("preserve"), Some(HostField::Preserve));
        assert_eq!(host_field("upstream"), Some(HostField::Upstream));
        assert_eq!(host_field("Web:80"), Some(HostField::Named("Web:80".to_owned())));
        for text in ["", "a b", "http://web", "web/", "a\"b"] {
            assert_eq!(host_field(text), None, "{text}");
        }
    }
}

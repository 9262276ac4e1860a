use http::{HeaderMap, header::ACCEPT};

/// The form of an error's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One line.
    Text,
    /// A page for a browser.
    Html,
    /// `application/problem+json` (RFC 9457).
    Json,
}

impl Format {
    /// The form that `accept` prefers: the highest quality, then a named type before a wildcard, then what comes
    /// first. Text if there is no preference.
    pub(super) fn preferred(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let mut best = (0, false, Self::Text);
        for (quality, named, format) in values.flat_map(|value| value.split(',')).filter_map(range) {
            if (quality, named) > (best.0, best.1) {
                best = (quality, named, format);
            }
        }
        best.2
    }
}

/// Reads one media range (RFC 9110, section 12.5.1): its quality in thousandths, whether it names a type, and the form
/// that it stands for.
fn range(range: &str) -> Option<(u16, bool, Format)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (named, format) = match media_type.as_str() {
        "text/html" | "application/xhtml+xml" => (true, Format::Html),
        "text/plain" => (true, Format::Text),
        "application/*" => (false, Format::Json),
        "*/*" | "text/*" => (false, Format::Text),
        _ if is_json(&media_type) => (true, Format::Json),
        _ => return None,
    };
    let quality = parts.find_map(|parameter| parameter.strip_prefix("q=").or(parameter.strip_prefix("Q=")));
    let quality = quality.map_or(Ok(1.0), str::parse::<f32>).ok()?;
    // A cast from a float saturates, and makes zero of what is not a number.
    let quality = (quality.clamp(0.0, 1.0) * 1000.0) as u16;
    (quality > 0).then_some((quality, named, format))
}

fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || media_type.starts_with("application/") && media_type.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preferred_form_is_found() {
        use Format::{Html, Json, Text};
        for (accept, format) in [
            ("", Text),
            ("*/*", Text),
            ("text/*", Text),
            ("image/png", Text),
            ("application/json", Json),
            ("application/problem+json", Json),
            ("APPLICATION/JSON; charset=utf-8", Json),
            ("application/vnd.api+json", Json),
            ("application/json, text/plain, */*", Json),
            ("*/*, application/json", Json),
            ("application/json;q=0.5, */*", Text),
            ("application/*", Json),
            ("text/plain, application/json", Text),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Html),
            ("text/html;q=0.3, application/json;q=0.4", Json),
            ("text/html;q=0, */*;q=0.1", Text),
            ("application/json;q=0", Text),
            ("application/json;q=nan", Text),
            ("application/json;q=x", Text),
            (",;,", Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().unwrap());
            assert_eq!(Format::preferred(&headers), format, "{accept}");
        }
        assert_eq!(Format::preferred(&HeaderMap::new()), Text);
    }

    #[test]
    fn several_accept_fields_count_as_one() {
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, "text/plain;q=0.1".parse().unwrap());
        headers.append(ACCEPT, "application/json".parse().unwrap());
        assert_eq!(Format::preferred(&headers), Format::Json);
    }
}

use http::{HeaderMap, Response, StatusCode};

use super::body::{Body, whole};

/// The page at `/`, with the header fields of the request for it.
pub(super) fn page(headers: &HeaderMap) -> Response<Body> {
    let rows: String = headers
        .iter()
        .map(|(name, value)| {
            let value = escaped(&String::from_utf8_lossy(value.as_bytes()));
            format!("<tr><th>{name}</th><td>{value}</td></tr>\n")
        })
        .collect();
    let page = include_str!("page.html").replace("{headers}", &rows);
    whole(StatusCode::OK, "text/html; charset=utf-8", page)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_a_field_stays_text() {
        assert_eq!(escaped("<b title=\"&\">"), "&lt;b title=&quot;&amp;&quot;&gt;");
    }
}

//! `GET /metrics`.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::answer::{Refused, guarded};
use super::state::ApiState;
use crate::metrics::Format;

/// What the metrics are, in the form that is asked for.
pub(super) async fn metrics(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let format = wanted(&headers);
    let scrape = api.within_deadline(api.backend.metrics()).await?;
    let text = scrape.encode(format).map_err(|_| {
        let (code, message) = ("metrics", "the metrics can't be written");
        let next = "report it: this is a bug";
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, code, message, next)
    })?;
    let mut response = Response::new(Body::from(text));
    let content_type = HeaderValue::from_static(format.content_type());
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(guarded(response))
}

/// OpenMetrics for whoever likes it at least as well as plain text; plain text for everybody else.
fn wanted(headers: &HeaderMap) -> Format {
    let (mut open, mut text) = (0.0, 0.0);
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.trim().parse::<f32>().unwrap_or(0.0),
                "version" => version = Some(value.trim().trim_matches('"')),
                _ => {}
            }
        }
        match &*media {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => {
                open = quality.max(open);
            }
            "text/plain" | "text/*" | "*/*" => text = quality.max(text),
            _ => {}
        }
    }
    if open > 0.0 && open >= text { Format::OpenMetrics } else { Format::Prometheus }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_one_that_is_liked_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html", Format::Prometheus),
            ("text/plain;version=0.0.4", Format::Prometheus),
            (prometheus, Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=2.0.0, */*", Format::Prometheus),
            ("application/openmetrics-text;q=0.2, text/plain;q=0.3", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("application/openmetrics-text;q=nonsense", Format::Prometheus),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(wanted(&headers), format, "{accept}");
        }
        assert_eq!(wanted(&HeaderMap::new()), Format::Prometheus);
    }
}

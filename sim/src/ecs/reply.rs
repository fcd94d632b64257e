//! An answer in the making.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::error::ApiError;

/// A status and what goes with it.
#[derive(Debug)]
pub(super) struct Reply {
    status: u16,
    content: Content,
    header: Option<(&'static str, String)>,
}

#[derive(Debug)]
enum Content {
    Nothing,
    Json(Value),
    Text(String),
}

impl Reply {
    pub(super) fn with(status: u16, body: Value) -> Self {
        Self {
            status,
            content: Content::Json(body),
            header: None,
        }
    }

    pub(super) fn ok(body: Value) -> Self {
        Self::with(200, body)
    }

    pub(super) fn text(text: String) -> Self {
        Self {
            content: Content::Text(text),
            ..Self::empty(200)
        }
    }

    pub(super) fn empty(status: u16) -> Self {
        Self {
            status,
            content: Content::Nothing,
            header: None,
        }
    }

    pub(super) fn with_header(self, name: &'static str, value: String) -> Self {
        Self {
            header: Some((name, value)),
            ..self
        }
    }

    pub(super) fn render(
        answer: Result<Self, ApiError>,
        request_id: &str,
    ) -> Response<Full<Bytes>> {
        let refused = |error: ApiError| Self::with(error.status, error.body(request_id));
        answer.unwrap_or_else(refused).into_response(request_id)
    }

    fn into_response(self, request_id: &str) -> Response<Full<Bytes>> {
        let (text, kind) = match self.content {
            Content::Nothing => (String::new(), "application/json"),
            Content::Json(body) => (body.to_string(), "application/json"),
            Content::Text(text) => (text, "text/plain"),
        };
        let mut response = raw(self.status, kind, text);
        let headers = response.headers_mut();
        let more = [Some(("x-request-id", request_id.to_owned())), self.header];
        for (name, value) in more.into_iter().flatten() {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// A body of any kind, as a proxy or a broken service would send it.
pub(super) fn raw(status: u16, kind: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

//! HTTP as every call here uses it.

use super::error::EcsError;
use reqwest::{Client, Response, Url, redirect, retry};

/// One TLS stack and one crypto library; no proxy, no redirect, no retry but our own.
pub(super) fn client(endpoint: &str) -> Result<Client, EcsError> {
    build(endpoint).map_err(|error| EcsError::Setup(chain(&error)))
}

fn build(endpoint: &str) -> reqwest::Result<Client> {
    // Fails only where one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never());
    if endpoint.starts_with("http://") {
        // Without TLS no root certificate is needed, and the machine may have none.
        return builder.tls_certs_only([]).build();
    }
    builder.https_only(true).build()
}

/// As it stands in the `Host` header: with the port, unless it is the scheme's own.
pub(super) fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

pub(super) fn request_id(response: &Response) -> Option<String> {
    let id = response.headers().get("x-request-id")?;
    Some(id.to_str().ok()?.chars().take(64).collect())
}

pub(super) fn failed(operation: &'static str, error: reqwest::Error) -> EcsError {
    let connect = error.is_connect();
    let why = chain(&error.without_url());
    if connect {
        EcsError::NoConnection { operation, why }
    } else {
        EcsError::Lost { operation, why }
    }
}

/// An error with its causes: the outermost alone says only that sending failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

/// Reads the whole body: one that is cut off is an error, as is one that does not end.
pub(super) async fn whole(
    operation: &'static str,
    mut response: Response,
    most: usize,
) -> Result<Vec<u8>, EcsError> {
    let mut whole = Vec::new();
    while let Some(part) = response
        .chunk()
        .await
        .map_err(|error| failed(operation, error))?
    {
        if whole.len() + part.len() > most {
            return Err(EcsError::Garbled {
                operation,
                why: format!("more than {most} bytes"),
                request_id: request_id(&response),
            });
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole)
}

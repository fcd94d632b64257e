//! One signed call, answered whole within its deadline.

use super::brake::Brake;
use super::error::{EcsError, Refusal};
use super::permission;
use super::services::{Service, Services};
use super::sign::{Credentials, Signable, canonical_query};
use crate::clock::Clock;
use crate::config;
use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect, retry};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One finished call, for `obs_scaler_ecs_requests_total` and its duration.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which call, such as `list`, `create` or `job`.
    pub operation: &'static str,
    /// The HTTP status of a success; of a failure the cloud's code, or `no_connection`, `lost`,
    /// `garbled`.
    pub code: String,
    /// How long it took.
    pub seconds: f64,
}

/// Is told of every finished call.
pub type Observer = Arc<dyn Fn(Call) + Send + Sync>;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

const CONTENT_TYPE: &str = "application/json";

/// A call to be made.
pub(super) struct Ask<'a> {
    pub(super) operation: &'static str,
    pub(super) service: Service,
    pub(super) method: Method,
    /// From the root on, of characters that need no encoding.
    pub(super) path: String,
    pub(super) query: &'a [(&'a str, &'a str)],
    /// The body; a read has none.
    pub(super) body: Option<&'a str>,
    /// The `X-Client-Token`.
    pub(super) token: Option<&'a str>,
    /// Whether a success may come without a document.
    pub(super) bare: bool,
    /// Whether it changes nothing.
    pub(super) reads: bool,
}

impl<'a> Ask<'a> {
    /// A read.
    pub(super) fn get(operation: &'static str, service: Service, path: String) -> Self {
        Self {
            operation,
            service,
            method: Method::GET,
            path,
            query: &[],
            body: None,
            token: None,
            bare: false,
            reads: true,
        }
    }

    /// A call with a body.
    pub(super) fn post(
        operation: &'static str,
        service: Service,
        path: String,
        body: &'a str,
    ) -> Self {
        Self {
            method: Method::POST,
            body: Some(body),
            reads: false,
            ..Self::get(operation, service, path)
        }
    }

    /// A deletion; its success may come without a document.
    pub(super) fn delete(operation: &'static str, service: Service, path: String) -> Self {
        Self {
            method: Method::DELETE,
            bare: true,
            reads: false,
            ..Self::get(operation, service, path)
        }
    }
}

/// What came back: a success, whole.
#[derive(Debug)]
pub(super) struct Answer {
    operation: &'static str,
    status: u16,
    request_id: Option<String>,
    /// The body.
    pub(super) body: Value,
}

impl Answer {
    /// The error of an answer that says too little.
    pub(super) fn garbled(&self, why: String) -> EcsError {
        EcsError::Garbled {
            operation: self.operation,
            why,
            request_id: self.request_id.clone(),
        }
    }
}

/// The way to the cloud.
pub(super) struct Transport {
    http: Client,
    pub(super) services: Services,
    pub(super) project: String,
    credentials: Credentials,
    brake: Brake,
    clock: Clock,
    timeout: Duration,
    pub(super) max_answer: usize,
    pub(super) observer: Option<Observer>,
}

impl Transport {
    pub(super) fn new(config: &config::Ecs, clock: Clock) -> Result<Self, EcsError> {
        Ok(Self {
            http: client(&config.endpoint).map_err(|error| EcsError::Setup(chain(&error)))?,
            services: Services::of(&config.endpoint)?,
            project: config.project_id.clone(),
            credentials: Credentials {
                access_key: config.access_key.clone(),
                secret_key: config.secret_key.clone(),
                security_token: None,
            },
            brake: Brake::default(),
            clock,
            timeout: config.timeout,
            max_answer: MAX_ANSWER,
            observer: None,
        })
    }

    /// Makes the call and tells the observer of it. While the cloud does not accept our key, no call is
    /// made, and the refusal is given again.
    ///
    /// # Errors
    /// Any [`EcsError`] of a call; no answer within the deadline is [`EcsError::Lost`].
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, EcsError> {
        debug_assert!(permission::is_known(ask.operation), "{}", ask.operation);
        let begun = Instant::now();
        if let Some(refusal) = self.brake.standing(begun) {
            return Err(refusal);
        }
        let result = match tokio::time::timeout(self.timeout, self.tries(ask)).await {
            Ok(result) => result,
            Err(_) => Err(EcsError::Lost {
                operation: ask.operation,
                why: format!("not whole within {:?}", self.timeout),
            }),
        };
        self.brake.note(result.as_ref().map(|_| ()), Instant::now());
        if let Some(observer) = &self.observer {
            let code = match &result {
                Ok(answer) => answer.status.to_string(),
                Err(error) => error.code(),
            };
            observer(Call {
                operation: ask.operation,
                code,
                seconds: begun.elapsed().as_secs_f64(),
            });
        }
        result
    }

    /// A read whose connection broke is made once more.
    async fn tries(&self, ask: &Ask<'_>) -> Result<Answer, EcsError> {
        let broke = |error: &EcsError| {
            matches!(error, EcsError::NoConnection { .. } | EcsError::Lost { .. })
        };
        match self.once(ask).await {
            Err(error) if ask.reads && broke(&error) => self.once(ask).await,
            result => result,
        }
    }

    async fn once(&self, ask: &Ask<'_>) -> Result<Answer, EcsError> {
        let sent = self.request(ask)?.send().await;
        let response = sent.map_err(|error| failed(ask.operation, error))?;
        let status = response.status().as_u16();
        let request_id = request_id(&response);
        let bytes = self.read(ask.operation, response).await?;
        let body = serde_json::from_slice::<Value>(&bytes);
        let refusal = Refusal::read(
            ask.operation,
            status,
            request_id.clone(),
            body.as_ref().ok(),
        );
        if let Some(refusal) = refusal {
            return Err(EcsError::Refused(Box::new(self.redacted(refusal))));
        }
        if ask.bare && body.is_err() {
            return Ok(Answer {
                operation: ask.operation,
                status,
                request_id,
                body: Value::Null,
            });
        }
        let body = body.map_err(|error| EcsError::Garbled {
            operation: ask.operation,
            why: error.to_string(),
            request_id: request_id.clone(),
        })?;
        Ok(Answer {
            operation: ask.operation,
            status,
            request_id,
            body,
        })
    }

    fn request(&self, ask: &Ask<'_>) -> Result<RequestBuilder, EcsError> {
        let mut text = format!("{}{}", self.services.base(ask.service), ask.path);
        if !ask.query.is_empty() {
            text = format!("{text}?{}", canonical_query(ask.query));
        }
        let url = Url::parse(&text).map_err(|error| EcsError::Invalid(error.to_string()))?;
        let host = host(&url);
        let mut headers = vec![
            ("content-type", CONTENT_TYPE),
            ("host", host.as_str()),
            ("x-project-id", self.project.as_str()),
        ];
        headers.extend(ask.token.map(|token| ("x-client-token", token)));
        let signable = Signable {
            method: ask.method.as_str(),
            path: url.path(),
            query: ask.query,
            headers: &headers,
            body: ask.body.unwrap_or_default().as_bytes(),
        };
        let date = self.clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let signed = self.credentials.sign(&signable, &date);
        let mut request = self.http.request(ask.method.clone(), url.clone());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        for (name, value) in signed {
            request = request.header(name, value);
        }
        Ok(match ask.body {
            Some(body) => request.body(body.to_owned()),
            None => request,
        })
    }

    /// Reads the whole body: one that is cut off is an error, as is one that does not end.
    async fn read(
        &self,
        operation: &'static str,
        mut response: Response,
    ) -> Result<Vec<u8>, EcsError> {
        let mut whole = Vec::new();
        while let Some(part) = response
            .chunk()
            .await
            .map_err(|error| failed(operation, error))?
        {
            if whole.len() + part.len() > self.max_answer {
                return Err(EcsError::Garbled {
                    operation,
                    why: format!("more than {} bytes", self.max_answer),
                    request_id: request_id(&response),
                });
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    }

    /// The gateway names the access key in its words when it does not know it.
    fn redacted(&self, mut refusal: Refusal) -> Refusal {
        let key = self.credentials.access_key.expose_secret();
        if !key.is_empty() {
            refusal.message = refusal.message.replace(key, "(access key)");
        }
        refusal
    }
}

/// One TLS stack and one crypto library; no proxy, no redirect, no retry but our own.
fn client(endpoint: &str) -> reqwest::Result<Client> {
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
fn host(url: &Url) -> String {
    let name = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{name}:{port}"),
        None => name.to_owned(),
    }
}

fn request_id(response: &Response) -> Option<String> {
    let id = response.headers().get("x-request-id")?;
    Some(id.to_str().ok()?.chars().take(64).collect())
}

fn failed(operation: &'static str, error: reqwest::Error) -> EcsError {
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

//! A call and its answer.

use super::error::EcsError;
use super::services::Service;
use reqwest::Method;
use serde_json::Value;

/// What is read of a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wants {
    /// Its document.
    Document,
    /// Nothing: it may come without a document.
    Nothing,
    /// This status, with which anything may come: the documents do not say what.
    Status(u16),
}

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
    /// What is read of a success.
    pub(super) wants: Wants,
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
            wants: Wants::Document,
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

    /// A deletion, of whose success nothing is read.
    pub(super) fn delete(operation: &'static str, service: Service, path: String) -> Self {
        Self {
            method: Method::DELETE,
            wants: Wants::Nothing,
            reads: false,
            ..Self::get(operation, service, path)
        }
    }
}

/// What came back: a success, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) operation: &'static str,
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
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

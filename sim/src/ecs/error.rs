//! Refusals in the forms that the real cloud gives them (huawei-ecs reference §5).

use serde_json::{Value, json};

/// A refused call: its HTTP status and which form of body it has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    code: String,
    message: String,
    origin: Origin,
}

/// Who refuses: the API gateway in front of ECS, or ECS itself. Their bodies differ.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Origin {
    Gateway,
    Service,
}

impl ApiError {
    pub(super) fn service(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            origin: Origin::Service,
        }
    }

    pub(super) fn gateway(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            origin: Origin::Gateway,
        }
    }

    /// A body that cannot be read, or that lacks something: `Ecs.0005` (DOC24 错误码.md).
    pub(super) fn illegal(what: impl Into<String>) -> Self {
        Self::service(400, "Ecs.0005", what)
    }

    /// A server that is not there (any more, or yet): 404 `Ecs.0114`.
    pub(super) fn no_server(id: &str) -> Self {
        Self::service(
            404,
            "Ecs.0114",
            format!("Instance[{id}] could not be found."),
        )
    }

    /// The JSON body; the gateway's form repeats the request's id.
    pub(super) fn body(&self, request_id: &str) -> Value {
        match self.origin {
            Origin::Service => json!({"error": {"code": self.code, "message": self.message}}),
            Origin::Gateway => json!({
                "error_msg": self.message,
                "error_code": self.code,
                "request_id": request_id,
            }),
        }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.code
    }
}

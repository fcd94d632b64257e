//! Refusals in the forms that the real cloud gives them (huawei-ecs reference §5).

use serde_json::{Value, json};

/// A refused call: its HTTP status and which form of body it has.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    code: String,
    message: String,
    form: Form,
}

/// Who refuses: their bodies differ.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// The API gateway, and the billing service, whose errors have the same fields.
    Gateway,
    /// ECS, EVS and IMS.
    Service,
    /// VPC: the fields stand by themselves.
    Bare,
    /// Nova's: named after what happened, with the status as its code.
    Nova,
    /// IAM's: the status as its code.
    Iam,
}

impl ApiError {
    fn of(form: Form, status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            form,
        }
    }

    pub(super) fn service(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::of(Form::Service, status, code, message)
    }

    pub(super) fn gateway(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::of(Form::Gateway, status, code, message)
    }

    pub(super) fn bare(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self::of(Form::Bare, status, code, message)
    }

    pub(super) fn iam(status: u16, message: impl Into<String>) -> Self {
        Self::of(Form::Iam, status, "Unauthorized", message)
    }

    /// `{"itemNotFound": …}`: what is left of Nova has no codes of its own.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::of(Form::Nova, 404, "itemNotFound", message)
    }

    /// By its code alone: whose code it is shows the form.
    pub(super) fn coded(status: u16, code: &str, message: impl Into<String>) -> Self {
        match code.split('.').next() {
            Some("APIGW" | "CBC") => Self::gateway(status, code, message),
            Some("VPC") => Self::bare(status, code, message),
            _ => Self::service(status, code, message),
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
        match self.form {
            Form::Service => json!({"error": {"code": self.code, "message": self.message}}),
            Form::Gateway => json!({
                "error_msg": self.message,
                "error_code": self.code,
                "request_id": request_id,
            }),
            Form::Bare => json!({"code": self.code, "message": self.message}),
            Form::Nova => json!({&self.code: {"code": self.status, "message": self.message}}),
            Form::Iam => json!({"error":
                {"code": self.status, "message": self.message, "title": self.code}}),
        }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> &str {
        &self.code
    }
}

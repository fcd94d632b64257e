//! What to do about a call that the cloud did not answer as hoped.

use super::finding::Finding;
use crate::ecs::{self, EcsError};
use crate::model::Class;

/// The finding of a failed call.
pub(super) fn refused(what: impl Into<String>, error: &EcsError) -> Finding {
    Finding::fail(what, error.to_string(), "an answer", mend(error))
}

/// Whether no other call will fare better: the key is not known, or nobody is there.
pub(super) fn ends_all(error: &EcsError) -> bool {
    match error {
        EcsError::Refused(refusal) => refusal.status == 401,
        EcsError::NoConnection { .. } | EcsError::Lost { .. } | EcsError::Setup(_) => true,
        _ => false,
    }
}

pub(super) fn allow(action: &str) -> String {
    format!(
        "allow {action} in the policy of the program's user (docs/iam-policy.json), in the project of ecs.project_id"
    )
}

fn mend(error: &EcsError) -> String {
    let EcsError::Refused(refusal) = error else {
        return match error {
            EcsError::NoConnection { .. } | EcsError::Lost { .. } | EcsError::Setup(_) => {
                "check ecs.endpoint, the name service, and that https may leave this machine"
            }
            EcsError::Invalid(_) => "correct the configuration",
            _ => "try again; if it stays, ask the cloud's support with the request's id",
        }
        .to_owned();
    };
    if refusal.status == 401 {
        return "check the credentials under `ecs` (the key exists and is enabled, its secret is the right one) and the clock".to_owned();
    }
    match (error.class(), ecs::action(refusal.operation)) {
        (Class::Permission, Some(action)) => allow(action),
        (Class::Permission, None) => {
            "check ecs.project_id and the rights of the program's user".to_owned()
        }
        (Class::Account, _) => {
            "put the account right: its balance, its budget, its verification".to_owned()
        }
        (Class::Quota, _) => {
            "ask the cloud for a larger quota, or lower scaling.ceiling_vcpus".to_owned()
        }
        (Class::Capacity, _) => "wait, or name further flavors or zones".to_owned(),
        (Class::Request, _) => {
            "correct the configuration: the cloud will refuse every order of this kind".to_owned()
        }
        _ => "try again in a minute".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::Refusal;

    fn refusal(operation: &'static str, status: u16, code: &str) -> EcsError {
        EcsError::Refused(Box::new(Refusal {
            operation,
            status,
            code: code.to_owned(),
            detail: None,
            message: "no".to_owned(),
            request_id: None,
            said_so: true,
        }))
    }

    #[test]
    fn a_missing_right_is_named() {
        let error = refusal("limits", 403, "Ecs.0110");
        let finding = refused("quota", &error);
        assert!(
            finding.mend.contains("allow ecs:cloudServerQuotas:get"),
            "{finding}"
        );
        assert!(!ends_all(&error));
    }

    #[test]
    fn a_key_that_is_refused_ends_all_other_questions() {
        let error = refusal("list", 401, "APIGW.0301");
        assert!(ends_all(&error));
        let finding = refused("list", &error);
        assert!(finding.mend.contains("credentials"), "{finding}");
        let nobody = EcsError::NoConnection {
            operation: "list",
            why: "refused".to_owned(),
        };
        assert!(ends_all(&nobody));
    }
}

//! The project's quota.

use super::client::EcsClient;
use super::error::EcsError;
use super::services::Service;
use crate::model::{Limit, Quota};
use serde_json::Value;

impl EcsClient {
    /// What the project may have, and has: `GET /v1/{project}/cloudservers/limits`.
    ///
    /// # Errors
    /// Any error of the call, and an answer without one of the numbers.
    pub async fn quota(&self) -> Result<Quota, EcsError> {
        let path = self.v1("/cloudservers/limits");
        let answer = self.get("limits", Service::Ecs, path).await?;
        read(&answer.body).map_err(|why| answer.garbled(why))
    }
}

fn read(answer: &Value) -> Result<Quota, String> {
    let absolute = answer.get("absolute").unwrap_or(&Value::Null);
    Ok(Quota {
        instances: limit(absolute, "maxTotalInstances", "totalInstancesUsed")?,
        cores: limit(absolute, "maxTotalCores", "totalCoresUsed")?,
        ram_mib: limit(absolute, "maxTotalRAMSize", "totalRAMUsed")?,
    })
}

/// -1 is no end (page "Querying Specifications and Expansion Details About Quotas").
fn limit(absolute: &Value, max: &str, used: &str) -> Result<Limit, String> {
    let number = |key: &str| {
        let number = absolute.get(key).and_then(Value::as_i64);
        number.ok_or_else(|| format!("no number {key}"))
    };
    let unlawful = |key: &str, number: i64| format!("{key} is {number}");
    let (most, in_use) = (number(max)?, number(used)?);
    Ok(Limit {
        max: match most {
            -1 => None,
            _ => Some(u64::try_from(most).map_err(|_| unlawful(max, most))?),
        },
        used: u64::try_from(in_use).map_err(|_| unlawful(used, in_use))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Value {
        json!({"absolute": {"maxTotalInstances": 200, "totalInstancesUsed": 12,
            "maxTotalCores": -1, "totalCoresUsed": 384,
            "maxTotalRAMSize": 1_048_576, "totalRAMUsed": 524_288, "limit_by_flavor": []}})
    }

    #[test]
    fn minus_one_is_no_end_and_not_a_number() {
        let quota = read(&answer()).unwrap();
        assert_eq!(quota.instances.left(), Some(188));
        assert_eq!((quota.cores.max, quota.cores.used), (None, 384));
        assert_eq!(quota.ram_mib.left(), Some(524_288));
    }

    #[test]
    fn a_number_that_is_missing_is_an_error_and_not_zero() {
        for key in ["maxTotalInstances", "totalCoresUsed", "totalRAMUsed"] {
            for wrong in [json!(null), json!("12"), json!(-2), json!(1.5)] {
                let mut odd = answer();
                odd["absolute"][key] = wrong;
                assert!(read(&odd).unwrap_err().contains(key));
            }
        }
        assert!(read(&json!({})).is_err());
    }
}

//! Which call a request is (huawei-ecs reference §1, and the guides of VPC, EVS, IMS and BSS). All services
//! answer at one address here; the paths of the real ones do not overlap.

use hyper::Method;
use serde::{Deserialize, Serialize};

use super::encoding;
use super::order::Api;

/// A call that the simulator knows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    Create { api: Api },
    Delete,
    Power,
    Job(String),
    List,
    FlatList,
    ListByTag,
    Show(String),
    Tags(String),
    AllTags,
    ChangeTags(String),
    AutoTerminate(String),
    Flavors,
    Limits,
    Zones,
    KeyPair(String),
    Vpc(String),
    Subnet(String),
    SecurityGroup(String),
    Addresses(String),
    Ports,
    DeletePort(String),
    Volumes,
    Volume(String),
    DeleteVolume(String),
    Image,
    Price,
    IamToken,
    MetadataToken,
    SecurityKey,
}

/// A kind of call, as faults name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `POST …/cloudservers`, v1 and v1.1
    Create,
    /// `GET …/cloudservers/detail`, v1 and v1.1, and the search by tag
    List,
    /// `POST …/cloudservers/delete`
    Delete,
    /// `GET …/jobs/{id}`
    Job,
    /// `POST …/cloudservers/action`
    Power,
    /// `GET …/cloudservers/{id}`
    Show,
    /// `POST …/cloudservers/{id}/tags/action`
    Tags,
    /// `GET …/cloudservers/{id}/tags` and `GET …/cloudservers/tags`
    ShowTags,
    /// `POST …/cloudservers/{id}/actions/update-auto-terminate-time`
    AutoTerminate,
    /// `GET …/cloudservers/flavors`
    Flavors,
    /// `GET …/cloudservers/limits`
    Limits,
    /// `GET …/os-availability-zone`
    Zones,
    /// `GET …/os-keypairs/{name}`
    KeyPair,
    /// `GET …/vpcs/{id}`, `…/subnets/{id}`, `…/security-groups/{id}`
    Network,
    /// `GET /v2.0/network-ip-availabilities/{id}`
    Addresses,
    /// `GET …/ports`
    Ports,
    /// `DELETE …/ports/{id}`
    DeletePort,
    /// `GET …/cloudvolumes/detail` and `…/cloudvolumes/{id}`
    Volumes,
    /// `DELETE …/cloudvolumes/{id}`
    DeleteVolume,
    /// `GET /v2/cloudimages`
    Image,
    /// `POST /v2/bills/ratings/on-demand-resources`
    Price,
    /// `POST /v3/auth/tokens`
    IamToken,
    /// The metadata service: `PUT /meta-data/latest/api/token`, `GET /openstack/latest/securitykey`
    Metadata,
}

impl Operation {
    /// Every one.
    pub const ALL: [Self; 23] = [
        Self::Create,
        Self::List,
        Self::Delete,
        Self::Job,
        Self::Power,
        Self::Show,
        Self::Tags,
        Self::ShowTags,
        Self::AutoTerminate,
        Self::Flavors,
        Self::Limits,
        Self::Zones,
        Self::KeyPair,
        Self::Network,
        Self::Addresses,
        Self::Ports,
        Self::DeletePort,
        Self::Volumes,
        Self::DeleteVolume,
        Self::Image,
        Self::Price,
        Self::IamToken,
        Self::Metadata,
    ];
}

impl Route {
    /// The call, and the project if the path names one; None if there is no such route.
    pub(super) fn of(method: &Method, path: &str) -> Option<(Option<String>, Self)> {
        let path = String::from_utf8(encoding::decode(path)).ok()?;
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        if let Some(route) = Self::without_project(method.as_str(), &parts) {
            return Some((None, route));
        }
        let [version, project, rest @ ..] = parts.as_slice() else {
            return None;
        };
        let route = Self::of_servers(method.as_str(), version, rest)
            .or_else(|| Self::of_one_server(method.as_str(), version, rest))
            .or_else(|| Self::of_neighbours(method.as_str(), version, rest))?;
        Some((Some((*project).to_owned()), route))
    }

    fn without_project(method: &str, parts: &[&str]) -> Option<Self> {
        Some(match (method, parts) {
            ("GET", ["v2.0", "network-ip-availabilities", id]) => Self::Addresses((*id).to_owned()),
            ("GET", ["v2", "cloudimages"]) => Self::Image,
            ("POST", ["v2", "bills", "ratings", "on-demand-resources"]) => Self::Price,
            ("POST", ["v3", "auth", "tokens"]) => Self::IamToken,
            ("PUT", ["meta-data", "latest", "api", "token"]) => Self::MetadataToken,
            ("GET", ["openstack", "latest", "securitykey"]) => Self::SecurityKey,
            _ => return None,
        })
    }

    /// Who asks for a key has none yet.
    pub(super) fn is_open(&self) -> bool {
        matches!(
            self,
            Self::IamToken | Self::MetadataToken | Self::SecurityKey
        )
    }

    fn of_servers(method: &str, version: &str, rest: &[&str]) -> Option<Self> {
        Some(match (method, version, rest) {
            ("POST", "v1", ["cloudservers"]) => Self::Create { api: Api::V1 },
            ("POST", "v1.1", ["cloudservers"]) => Self::Create { api: Api::V1_1 },
            ("POST", "v1", ["cloudservers", "delete"]) => Self::Delete,
            ("POST", "v1", ["cloudservers", "action"]) => Self::Power,
            ("GET", "v1", ["jobs", id]) => Self::Job((*id).to_owned()),
            ("GET", "v1", ["cloudservers", "detail"]) => Self::List,
            ("GET", "v1.1", ["cloudservers", "detail"]) => Self::FlatList,
            ("POST", "v1", ["cloudservers", "resource_instances", "action"]) => Self::ListByTag,
            ("GET", "v1", ["cloudservers", "flavors"]) => Self::Flavors,
            ("GET", "v1", ["cloudservers", "limits"]) => Self::Limits,
            ("GET", "v1", ["cloudservers", "tags"]) => Self::AllTags,
            _ => return None,
        })
    }

    fn of_one_server(method: &str, version: &str, rest: &[&str]) -> Option<Self> {
        let ("v1", ["cloudservers", id, what @ ..]) = (version, rest) else {
            return None;
        };
        let id = (*id).to_owned();
        Some(match (method, what) {
            ("GET", []) => Self::Show(id),
            ("GET", ["tags"]) => Self::Tags(id),
            ("POST", ["tags", "action"]) => Self::ChangeTags(id),
            ("POST", ["actions", "update-auto-terminate-time"]) => Self::AutoTerminate(id),
            _ => return None,
        })
    }

    /// What stands beside the servers: Nova's old calls, VPC, EVS.
    fn of_neighbours(method: &str, version: &str, rest: &[&str]) -> Option<Self> {
        let id = rest.last().map(|id| (*id).to_owned())?;
        Some(match (method, version, rest) {
            ("GET", "v2.1", ["os-availability-zone"]) => Self::Zones,
            ("GET", "v2.1", ["os-keypairs", _]) => Self::KeyPair(id),
            ("GET", "v1", ["vpcs", _]) => Self::Vpc(id),
            ("GET", "v1", ["subnets", _]) => Self::Subnet(id),
            ("GET", "v1", ["security-groups", _]) => Self::SecurityGroup(id),
            ("GET", "v1", ["ports"]) => Self::Ports,
            ("DELETE", "v1", ["ports", _]) => Self::DeletePort(id),
            ("GET", "v2", ["cloudvolumes", "detail"]) => Self::Volumes,
            ("GET", "v2", ["cloudvolumes", _]) => Self::Volume(id),
            ("DELETE", "v2", ["cloudvolumes", _]) => Self::DeleteVolume(id),
            _ => return None,
        })
    }

    pub(super) fn operation(&self) -> Operation {
        match self {
            Self::Create { .. } => Operation::Create,
            Self::Delete => Operation::Delete,
            Self::Power => Operation::Power,
            Self::Job(_) => Operation::Job,
            Self::List | Self::FlatList | Self::ListByTag => Operation::List,
            Self::Show(_) => Operation::Show,
            Self::Tags(_) | Self::AllTags => Operation::ShowTags,
            Self::ChangeTags(_) => Operation::Tags,
            Self::AutoTerminate(_) => Operation::AutoTerminate,
            Self::Flavors => Operation::Flavors,
            Self::Limits => Operation::Limits,
            Self::Zones => Operation::Zones,
            Self::KeyPair(_) => Operation::KeyPair,
            Self::Vpc(_) | Self::Subnet(_) | Self::SecurityGroup(_) => Operation::Network,
            Self::Addresses(_) => Operation::Addresses,
            Self::Ports => Operation::Ports,
            Self::DeletePort(_) => Operation::DeletePort,
            Self::Volumes | Self::Volume(_) => Operation::Volumes,
            Self::DeleteVolume(_) => Operation::DeleteVolume,
            Self::Image => Operation::Image,
            Self::Price => Operation::Price,
            Self::IamToken => Operation::IamToken,
            Self::MetadataToken | Self::SecurityKey => Operation::Metadata,
        }
    }
}

impl Operation {
    /// Whether it changes something: the cloud counts such calls on their own.
    pub(super) fn writes(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Delete
                | Self::Power
                | Self::Tags
                | Self::AutoTerminate
                | Self::DeletePort
                | Self::DeleteVolume
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_path_names_the_project_and_the_call() {
        let of = |method: Method, path| Route::of(&method, path);
        let found = of(Method::GET, "/v1/p/cloudservers/detail").unwrap();
        assert_eq!(found, (Some("p".to_owned()), Route::List));
        let found = of(Method::POST, "/v1.1/p/cloudservers").unwrap();
        assert_eq!(found.1, Route::Create { api: Api::V1_1 });
        let found = of(Method::GET, "/v2/cloudimages").unwrap();
        assert_eq!(found, (None, Route::Image));
        assert_eq!(of(Method::DELETE, "/v1/p/cloudservers/detail"), None);
        assert_eq!(of(Method::GET, "/"), None);
    }

    #[test]
    fn all_operations_are_every_one_that_a_fault_can_name() {
        let refused = serde_json::from_str::<Operation>("\"no such call\"").unwrap_err();
        let text = refused.to_string();
        // ``unknown variant `no such call`, expected one of `create`, `list`, …``
        let known: BTreeSet<&str> = text.split('`').skip(3).step_by(2).collect();
        let names = Operation::ALL.map(|one| serde_json::to_value(one).unwrap());
        let all: BTreeSet<&str> = names.iter().filter_map(|name| name.as_str()).collect();
        assert_eq!(all, known);
    }
}

//! `GET …/cloudservers/detail`: filters and pages (huawei-ecs reference §4, ListServersDetails).

use serde_json::{Value, json};

use super::encoding;
use super::error::ApiError;
use super::server::Server;

/// What a list call asks for.
#[derive(Debug)]
pub(super) struct Query {
    /// The page's number, from 1 (0 is 1); not the number of a server.
    page: usize,
    limit: usize,
    marker: Option<String>,
    ids: Vec<String>,
    tests: Vec<Test>,
}

/// A filter that both lists have.
#[derive(Debug)]
pub(super) enum Test {
    Name(String),
    Status(String),
    Flavor(String),
    Tag(String),
    NotTag(String),
    IpPart(String),
    Ip(String),
    EnterpriseProject(String),
    Reservation(String),
}

impl Query {
    pub(super) fn parse(query: &str) -> Result<Self, ApiError> {
        let mut asked = Self {
            page: 1,
            limit: 25,
            marker: None,
            ids: Vec::new(),
            tests: Vec::new(),
        };
        for (name, value) in encoding::pairs(query) {
            let text = String::from_utf8_lossy(&value).into_owned();
            asked.take(&String::from_utf8_lossy(&name), text)?;
        }
        Ok(asked)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        if value.is_empty() {
            return Ok(());
        }
        match name {
            "offset" => self.page = number(name, &value)?.max(1),
            "limit" => self.limit = limit(&value)?,
            "marker" => self.marker = Some(value),
            "server_id" => self.ids.extend(value.split(',').map(str::to_owned)),
            _ => self.tests.extend(Test::of(name, value)),
        }
        Ok(())
    }

    /// The page that is asked for, out of the visible servers, newest first.
    pub(super) fn answer(&self, servers: &[&Server], project: &str) -> Result<Value, ApiError> {
        if !self.ids.is_empty() {
            return Ok(self.by_id(servers, project));
        }
        let fits = |server: &&&Server| self.tests.iter().all(|test| test.holds(server));
        let all: Vec<&Server> = servers.iter().filter(fits).copied().collect();
        let skip = self.skip(&all)?;
        let page: Vec<Value> = all
            .iter()
            .skip(skip)
            .take(self.limit)
            .map(|server| server.view(project))
            .collect();
        Ok(json!({"count": all.len(), "servers": page}))
    }

    fn skip(&self, all: &[&Server]) -> Result<usize, ApiError> {
        let Some(marker) = &self.marker else {
            return Ok((self.page - 1).saturating_mul(self.limit));
        };
        let at = all.iter().position(|server| server.id == *marker);
        at.map(|at| at + 1)
            .ok_or_else(|| ApiError::illegal(format!("marker [{marker}] not found")))
    }

    /// `server_id` overrides every other filter; an unknown id comes back with a fault only.
    fn by_id(&self, servers: &[&Server], project: &str) -> Value {
        let view = |id: &String| match servers.iter().find(|server| server.id == *id) {
            Some(server) => server.view(project),
            None => json!({"id": id, "fault":
                {"code": 404, "message": format!("Instance[{id}] could not be found.")}}),
        };
        let found: Vec<Value> = self.ids.iter().map(view).collect();
        json!({"count": found.len(), "servers": found})
    }
}

impl Test {
    pub(super) fn of(name: &str, value: String) -> Vec<Self> {
        let each =
            |make: fn(String) -> Self| value.split(',').map(|v| make(v.to_owned())).collect();
        match name {
            "tags" => return each(Self::Tag),
            "not-tags" => return each(Self::NotTag),
            _ => {}
        }
        let test = match name {
            "name" => Self::Name(value),
            "status" => Self::Status(value),
            "flavor" => Self::Flavor(value),
            "ip" => Self::IpPart(value),
            "ip_eq" => Self::Ip(value),
            "enterprise_project_id" => Self::EnterpriseProject(value),
            "reservation_id" => Self::Reservation(value),
            _ => return Vec::new(),
        };
        vec![test]
    }

    pub(super) fn holds(&self, server: &Server) -> bool {
        match self {
            Self::Name(pattern) => fuzzy(&server.name, pattern),
            Self::Status(status) => has_status(server.status(), status),
            Self::Flavor(id) => server.flavor.id == id,
            Self::Tag(tag) => has_tag(server, tag),
            Self::NotTag(key) => !server.tags.iter().any(|tag| tag.key == *key),
            Self::IpPart(part) => ip(server).is_some_and(|ip| ip.contains(part)),
            Self::Ip(whole) => ip(server).is_some_and(|ip| ip == *whole),
            Self::EnterpriseProject(id) => {
                id == "all_granted_eps" || server.order.enterprise_project() == id
            }
            Self::Reservation(id) => server.reservation == *id,
        }
    }
}

/// The filter is wider than its word (DOC24 查询云服务器详情列表): ACTIVE has those that reboot, too.
fn has_status(status: &str, wanted: &str) -> bool {
    let rebooting = ["REBOOT", "HARD_REBOOT"].contains(&status);
    status.eq_ignore_ascii_case(wanted) || wanted.eq_ignore_ascii_case("ACTIVE") && rebooting
}

fn ip(server: &Server) -> Option<String> {
    server
        .ip
        .filter(|_| server.addressed)
        .map(|ip| ip.to_string())
}

/// `k=v`, or `k` alone for any value.
fn has_tag(server: &Server, wanted: &str) -> bool {
    let fits = |tag: &super::order::Tag| match wanted.split_once('=') {
        Some((key, value)) => tag.key == key && tag.value == value,
        None => tag.key == wanted,
    };
    server.tags.iter().any(fits)
}

/// Whether the name contains the pattern, in which `.` stands for any character.
fn fuzzy(name: &str, pattern: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    name.windows(pattern.len().max(1))
        .any(|part| part.iter().zip(&pattern).all(|(n, p)| *p == '.' || n == p))
}

pub(super) fn number(name: &str, text: &str) -> Result<usize, ApiError> {
    text.parse()
        .map_err(|_| ApiError::illegal(format!("{name}: {text:?} is not a number")))
}

fn limit(text: &str) -> Result<usize, ApiError> {
    match number("limit", text)? {
        limit @ 1..=1000 => Ok(limit),
        limit => Err(ApiError::illegal(format!(
            "limit: {limit}, must be 1 to 1000"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_in_a_name_filter_is_any_character() {
        assert!(fuzzy("bw-kp-0001", "kp.00"));
        assert!(!fuzzy("bw-kp-0001", "kpx00"));
        assert!(!fuzzy("bw", "bw-kp"));
    }

    #[test]
    fn page_zero_is_page_one_and_a_limit_has_bounds() {
        assert_eq!(Query::parse("offset=0").unwrap().page, 1);
        assert_eq!(Query::parse("").unwrap().limit, 25);
        assert!(Query::parse("limit=1001").is_err());
        assert!(Query::parse("limit=0").is_err());
    }
}

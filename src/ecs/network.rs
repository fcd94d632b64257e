//! The network that servers are put into (VPC).

use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use serde_json::Value;

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// Its name.
    pub name: String,
    /// Its addresses, such as `192.168.0.0/24`.
    pub cidr: String,
    /// The VPC that it is part of.
    pub vpc_id: String,
}

impl EcsClient {
    /// The name of a VPC; `None` where there is none: `GET /v1/{project}/vpcs/{id}`.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn vpc(&self, id: &str) -> Result<Option<String>, EcsError> {
        let parts = self.part("vpc", "vpcs", id, ["name"]).await?;
        Ok(parts.map(|[name]| name))
    }

    /// A subnet by its network id; `None` where there is none: `GET /v1/{project}/subnets/{id}`.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn subnet(&self, id: &str) -> Result<Option<Subnet>, EcsError> {
        let keys = ["name", "cidr", "vpc_id"];
        let parts = self.part("subnet", "subnets", id, keys).await?;
        Ok(parts.map(|[name, cidr, vpc_id]| Subnet { name, cidr, vpc_id }))
    }

    /// The name of a security group; `None` where there is none:
    /// `GET /v1/{project}/security-groups/{id}`.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn security_group(&self, id: &str) -> Result<Option<String>, EcsError> {
        let group = self.part("security_group", "security-groups", id, ["name"]);
        Ok(group.await?.map(|[name]| name))
    }

    /// How many addresses of a network are not used:
    /// `GET /v2.0/network-ip-availabilities/{network}`.
    ///
    /// # Errors
    /// Any error of the call, and an answer without both numbers.
    pub async fn addresses_left(&self, network: &str) -> Result<u64, EcsError> {
        let path = format!("/v2.0/network-ip-availabilities/{}", segment(network)?);
        let answer = self.get("addresses", Service::Vpc, path).await?;
        let number = |key: &str| {
            let found = answer
                .body
                .pointer(&format!("/network_ip_availability/{key}"));
            let found = found.and_then(Value::as_u64);
            found.ok_or_else(|| answer.garbled(format!("no number {key}")))
        };
        let (total, used) = (number("total_ips")?, number("used_ips")?);
        Ok(total.saturating_sub(used))
    }

    /// Some fields of a thing of VPC, which its answer has under the thing's name.
    async fn part<const N: usize>(
        &self,
        thing: &'static str,
        things: &str,
        id: &str,
        keys: [&str; N],
    ) -> Result<Option<[String; N]>, EcsError> {
        let path = self.v1(&format!("/{things}/{}", segment(id)?));
        let answer = match self.get(thing, Service::Vpc, path).await {
            Err(error) if error.is_missing() => return Ok(None),
            result => result?,
        };
        let mut found = keys.map(str::to_owned);
        for text in &mut found {
            let part = answer.body.pointer(&format!("/{thing}/{text}"));
            let part = part.and_then(Value::as_str);
            let part = part.ok_or_else(|| answer.garbled(format!("no {thing}.{text}")))?;
            *text = part.to_owned();
        }
        Ok(Some(found))
    }
}

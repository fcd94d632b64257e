//! What servers are made of, looked at one by one: for `doctor`, which changes nothing.

use super::ask::{Answer, Ask, Wants};
use super::client::{EcsClient, segment};
use super::error::EcsError;
use super::services::Service;
use crate::cloud::CreateRequest;
use crate::model::Arch;
use serde_json::{Value, json};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// `active` where servers can be made of it.
    pub status: String,
    /// For which hosts it is.
    pub arch: Arch,
    /// The least size of the system disk, in GiB.
    pub min_disk: u32,
}

/// The addresses of a network, those that the cloud keeps for itself left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// All of them.
    pub total: u64,
    /// Those in use.
    pub used: u64,
}

/// A key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// The public key, `TYPE BASE64 [COMMENT]`.
    pub public_key: String,
}

impl EcsClient {
    /// Whether the cloud would take this order: the creation with `dry_run`, which buys nothing (page
    /// "Creating an ECS (Pay-per-Use)"), and is answered 202 where a creation is answered 200. It is sent without its
    /// client token, which it must not use up.
    ///
    /// # Errors
    /// What the creation would be refused with; [`EcsError::Garbled`] for another status, which may be that of a
    /// creation; those of a call.
    pub async fn dry_run(&self, request: &CreateRequest) -> Result<(), EcsError> {
        let body = serde_json::from_str::<Value>(request.body());
        let mut body = body.map_err(|error| EcsError::Invalid(error.to_string()))?;
        if let Some(fields) = body.as_object_mut() {
            fields.insert("dry_run".to_owned(), json!(true));
        }
        let body = body.to_string();
        let ask = Ask {
            wants: Wants::Status(202),
            reads: true,
            ..Ask::post("dry_run", Service::Ecs, self.create_path(), &body)
        };
        self.transport.send(&ask).await.map(|_| ())
    }

    /// An image: `GET /v2/cloudimages?id=…` of IMS (page "Querying Images"); `None` where this account sees
    /// none of that id. `__support_arm` is set on those for Kunpeng servers alone.
    ///
    /// # Errors
    /// Any error of the call, and a record that cannot be understood.
    pub async fn image(&self, id: &str) -> Result<Option<Image>, EcsError> {
        let query = [("id", segment(id)?)];
        let ask = Ask {
            query: &query,
            ..Ask::get("image", Service::Ims, "/v2/cloudimages".to_owned())
        };
        let answer = self.transport.send(&ask).await?;
        let images = answer.body.get("images").and_then(Value::as_array);
        let images = images.ok_or_else(|| answer.garbled("no images".to_owned()))?;
        let of_id = |image: &&Value| image.get("id").and_then(Value::as_str) == Some(id);
        images
            .iter()
            .find(of_id)
            .map(|record| image(record).map_err(|why| answer.garbled(why)))
            .transpose()
    }

    /// Whether there is a VPC of this id: `GET /v1/{project}/vpcs/{id}`.
    ///
    /// # Errors
    /// Any error of the call.
    pub async fn has_vpc(&self, id: &str) -> Result<bool, EcsError> {
        let path = self.v1(&format!("/vpcs/{}", segment(id)?));
        let found = self.record("vpc", Service::Vpc, path).await?;
        Ok(found.is_some())
    }

    /// The id of the VPC that a subnet is in: `GET /v1/{project}/subnets/{id}`; `None` where there is no
    /// such subnet. The id is the network's, as in the creation of a server.
    ///
    /// # Errors
    /// Any error of the call, and an answer without it.
    pub async fn vpc_of_subnet(&self, id: &str) -> Result<Option<String>, EcsError> {
        let path = self.v1(&format!("/subnets/{}", segment(id)?));
        let Some(answer) = self.record("subnet", Service::Vpc, path).await? else {
            return Ok(None);
        };
        let vpc = answer
            .body
            .pointer("/subnet/vpc_id")
            .and_then(Value::as_str);
        let vpc = vpc.ok_or_else(|| answer.garbled("no vpc_id".to_owned()))?;
        Ok(Some(vpc.to_owned()))
    }

    /// The addresses of a network: `GET /v2.0/network-ip-availabilities/{id}` (page "Querying IP Address
    /// Usage on a Specified Network"); `None` where there is no such network.
    ///
    /// # Errors
    /// Any error of the call, and an answer without the numbers.
    pub async fn addresses(&self, id: &str) -> Result<Option<Network>, EcsError> {
        let path = format!("/v2.0/network-ip-availabilities/{}", segment(id)?);
        let Some(answer) = self.record("addresses", Service::Vpc, path).await? else {
            return Ok(None);
        };
        let number = |key: &str| {
            let path = format!("/network_ip_availability/{key}");
            let number = answer.body.pointer(&path).and_then(Value::as_u64);
            number.ok_or_else(|| answer.garbled(format!("no number {key}")))
        };
        Ok(Some(Network {
            total: number("total_ips")?,
            used: number("used_ips")?,
        }))
    }

    /// Whether there is a security group of this id: `GET /v1/{project}/security-groups/{id}`.
    ///
    /// # Errors
    /// Any error of the call.
    pub async fn has_security_group(&self, id: &str) -> Result<bool, EcsError> {
        let path = self.v1(&format!("/security-groups/{}", segment(id)?));
        let found = self.record("security_group", Service::Vpc, path).await?;
        Ok(found.is_some())
    }

    /// A key pair: `GET /v2.1/{project}/os-keypairs/{name}` (page "Querying SSH Key Pair Details"); `None`
    /// where there is none of that name.
    ///
    /// # Errors
    /// [`EcsError::Invalid`] for a name that no key pair can have; any error of the call, and an answer
    /// without a public key.
    pub async fn key_pair(&self, name: &str) -> Result<Option<KeyPair>, EcsError> {
        let lawful = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if name.is_empty() || !name.bytes().all(lawful) {
            let words = format!("{name:?} is not the name of a key pair");
            return Err(EcsError::Invalid(words));
        }
        let path = format!("/v2.1/{}/os-keypairs/{name}", self.transport.project);
        let Some(answer) = self.record("key_pair", Service::Ecs, path).await? else {
            return Ok(None);
        };
        let key = answer.body.pointer("/keypair/public_key");
        let key = key.and_then(Value::as_str);
        let key = key.ok_or_else(|| answer.garbled("no public_key".to_owned()))?;
        Ok(Some(KeyPair {
            public_key: key.trim().to_owned(),
        }))
    }

    /// What is there under a path; `None` where nothing is.
    async fn record(
        &self,
        operation: &'static str,
        service: Service,
        path: String,
    ) -> Result<Option<Answer>, EcsError> {
        match self.get(operation, service, path).await {
            Err(error) if error.is_missing() => Ok(None),
            found => found.map(Some),
        }
    }
}

fn image(record: &Value) -> Result<Image, String> {
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    let unclear = |key: &str| format!("an image without {key}");
    let min_disk = record.get("min_disk").and_then(Value::as_u64);
    let min_disk = min_disk.and_then(|gib| u32::try_from(gib).ok());
    Ok(Image {
        name: text("name").unwrap_or_default().to_owned(),
        status: text("status").ok_or_else(|| unclear("status"))?.to_owned(),
        arch: match text("__support_arm") {
            Some("true") => Arch::Aarch64,
            _ => Arch::X86_64,
        },
        min_disk: min_disk.ok_or_else(|| unclear("min_disk"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_says_for_which_hosts_it_is_and_how_large_a_disk_it_wants() {
        let read = |record: Value| image(&record);
        let arm = json!({"id": "i", "name": "w", "status": "active", "min_disk": 40, "__support_arm": "true"});
        let expected = Image {
            name: "w".to_owned(),
            status: "active".to_owned(),
            arch: Arch::Aarch64,
            min_disk: 40,
        };
        assert_eq!(read(arm), Ok(expected));
        let other = read(json!({"status": "queued", "min_disk": 1})).unwrap();
        assert_eq!(
            (other.arch, other.status.as_str()),
            (Arch::X86_64, "queued")
        );
        assert!(read(json!({"status": "active"})).is_err());
        assert!(read(json!({"min_disk": 40})).is_err());
    }
}

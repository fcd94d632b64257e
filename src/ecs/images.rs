//! Images.

use super::ask::Ask;
use super::client::EcsClient;
use super::error::EcsError;
use super::services::Service;
use crate::model::Arch;
use serde::Deserialize;
use serde_json::Value;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: String,
    /// Its state: servers can be made of one that is `active`.
    pub status: String,
    /// The smallest system disk that it goes on, in GiB.
    pub min_disk_gib: u64,
    /// What it is made for.
    pub arch: Arch,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    name: String,
    status: String,
    min_disk: u64,
    #[serde(rename = "__support_arm", default)]
    arm: Option<String>,
}

impl EcsClient {
    /// The image of this id; `None` where there is none: `GET /v2/cloudimages?id=…` (IMS). One that has
    /// `__support_arm` is for Kunpeng.
    ///
    /// # Errors
    /// Any error of the call, and an answer that cannot be understood.
    pub async fn image(&self, id: &str) -> Result<Option<Image>, EcsError> {
        let query = [("id", id)];
        let ask = Ask {
            query: &query,
            ..Ask::get("image", Service::Ims, "/v2/cloudimages".to_owned())
        };
        let answer = self.transport.send(&ask).await?;
        read(&answer.body, id).map_err(|why| answer.garbled(why))
    }
}

fn read(answer: &Value, id: &str) -> Result<Option<Image>, String> {
    let images = answer.get("images").ok_or("no images")?;
    let images = Vec::<Record>::deserialize(images).map_err(|why| why.to_string())?;
    let image = images.into_iter().find(|image| image.id == id);
    Ok(image.map(|image| Image {
        name: image.name,
        status: image.status,
        min_disk_gib: image.min_disk,
        arch: match image.arm.as_deref() {
            Some("true") => Arch::Aarch64,
            _ => Arch::X86_64,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_image_says_for_which_machines_it_is() {
        let image = |arm: Value| {
            json!({"images": [{"id": "i", "name": "worker", "status": "active", "min_disk": 40,
                "__support_arm": arm}]})
        };
        let arch = |arm: Value| read(&image(arm), "i").unwrap().unwrap().arch;
        assert_eq!(arch(json!("true")), Arch::Aarch64);
        assert_eq!(arch(json!(null)), Arch::X86_64);
        assert_eq!(read(&image(json!(null)), "j"), Ok(None));
        assert!(read(&json!({}), "i").is_err());
    }
}

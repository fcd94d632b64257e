//! Whether the calls may be made that are about one server, or about what it left: each is made of something that can
//! not be there, so that it changes nothing. For `doctor`.

use super::client::EcsClient;
use super::error::EcsError;
use crate::cloud::{LeftVolume, Leftovers};
use crate::model::{HostName, ServerId};
use jiff::Timestamp;

/// No server, volume or port has this id: the cloud's are random (version 4, RFC 9562), and this is the nil one.
const NOTHING: &str = "00000000-0000-0000-0000-000000000000";

impl EcsClient {
    /// What would be done by each call, and what the cloud says to it. That nothing is there is no error.
    pub async fn rights(&self) -> [(&'static str, Result<(), EcsError>); 7] {
        let server = ServerId::new(NOTHING);
        let servers = std::slice::from_ref(&server);
        let (volume, port) = (volume(), port());
        [
            ("show a server", self.show(&server).await.map(|_| ())),
            ("delete a server", self.delete(servers).await.map(|_| ())),
            ("tag a server", self.untag(&server, &["obs-scaler"]).await),
            (
                "list volumes",
                self.left_volumes(&HostName::new(NOTHING)).await.map(|_| ()),
            ),
            ("delete a volume", self.clear(&volume).await),
            ("list ports", self.ports_of(&server).await.map(|_| ())),
            ("delete a port", self.clear(&port).await),
        ]
        .map(|(what, said)| (what, there_is_none(said)))
    }
}

fn there_is_none(said: Result<(), EcsError>) -> Result<(), EcsError> {
    match said {
        Err(error) if error.is_missing() => Ok(()),
        said => said,
    }
}

fn volume() -> Leftovers {
    let volume = LeftVolume {
        id: NOTHING.to_owned(),
        name: String::new(),
        gib: 0,
        created: Timestamp::UNIX_EPOCH,
    };
    Leftovers {
        volumes: vec![volume],
        ports: Vec::new(),
    }
}

fn port() -> Leftovers {
    Leftovers {
        volumes: Vec::new(),
        ports: vec![NOTHING.to_owned()],
    }
}

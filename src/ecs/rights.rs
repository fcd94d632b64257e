//! Whether the calls may be made that are about one server, or about what it left. Each that changes something is made
//! of what can not be there, so that it changes nothing. For `doctor`.

use super::client::EcsClient;
use super::error::EcsError;
use crate::cloud::{LeftVolume, Leftovers};
use crate::model::{HostName, ServerId};
use jiff::Timestamp;

/// No server, volume or port has this id: the cloud's are random (version 4, RFC 9562), and this is the nil one.
const NOTHING: &str = "00000000-0000-0000-0000-000000000000";

/// What the cloud's answer tells of a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// The call was not refused: it was made, or there is nothing of that id.
    Granted,
    /// The list lacks what has to be there.
    Withheld,
    /// An empty list, with nothing there that could be in it.
    Untold,
}

impl EcsClient {
    /// What would be done by each call, and what the cloud says to it. That nothing is there is no error. `running`
    /// is a server that has a port.
    pub async fn rights(
        &self,
        running: Option<&ServerId>,
    ) -> [(&'static str, Result<Right, EcsError>); 7] {
        let server = ServerId::new(NOTHING);
        let servers = std::slice::from_ref(&server);
        let (volume, port) = (volume(), port());
        let by_refusal = [
            ("show a server", self.show(&server).await.map(|_| ())),
            ("delete a server", self.delete(servers).await.map(|_| ())),
            ("tag a server", self.untag(&server, &["obs-scaler"]).await),
            (
                "list volumes",
                self.left_volumes(&HostName::new(NOTHING)).await.map(|_| ()),
            ),
            ("delete a volume", self.clear(&volume).await),
            ("delete a port", self.clear(&port).await),
        ]
        .map(|(what, said)| (what, granted(said)));
        let [show, delete, tag, volumes, delete_volume, delete_port] = by_refusal;
        let ports = ("list ports", self.right_to_ports(running).await);
        [
            show,
            delete,
            tag,
            volumes,
            delete_volume,
            ports,
            delete_port,
        ]
    }

    /// VPC refuses nobody this list: who may not look is shown an empty one (page "Ports" of its permissions).
    async fn right_to_ports(&self, running: Option<&ServerId>) -> Result<Right, EcsError> {
        let nothing = ServerId::new(NOTHING);
        let ports = self.ports_of(running.unwrap_or(&nothing)).await?;
        Ok(match (running, ports.is_empty()) {
            (_, false) => Right::Granted,
            (Some(_), true) => Right::Withheld,
            (None, true) => Right::Untold,
        })
    }
}

fn granted(said: Result<(), EcsError>) -> Result<Right, EcsError> {
    match said {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(Right::Granted),
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

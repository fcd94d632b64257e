//! Builds that fail on request, and what the cloud's rollback leaves behind (huawei-ecs reference §2,
//! Batch & partial success).

use jiff::Timestamp;

use super::faults::{FailSub, Left};
use super::job::Cause;
use super::world::World;

impl FailSub {
    fn plain(code: &str, message: &str, leaves: Vec<Left>) -> Self {
        Self {
            sub: None,
            flavor: None,
            code: code.to_owned(),
            message: Some(message.to_owned()),
            leaves,
            times: None,
        }
    }

    /// A build that breaks off and leaves its server in ERROR.
    pub(super) fn broken() -> Self {
        let text = "Build of instance failed: failed to spawn";
        Self::plain("Ecs.0204", text, vec![Left::ErrorServer])
    }

    fn no_host() -> Self {
        Self::plain("Ecs.0219", "No valid host was found.", Vec::new())
    }

    pub(super) fn cause(&self) -> Cause {
        let text = self.message.as_deref().unwrap_or("injected");
        Cause::new(self.code.as_str(), text)
    }

    /// A rollback that failed has left what its code names (DOC24 错误码.md).
    fn leaves(&self, what: Left) -> bool {
        let by_code = match self.code.as_str() {
            "Ecs.0401" => Some(Left::Port),
            "Ecs.0402" => Some(Left::SystemDisk),
            "Ecs.0403" => Some(Left::ErrorServer),
            "Ecs.0405" => Some(Left::DataDisks),
            _ => None,
        };
        by_code == Some(what) || self.leaves.contains(&what)
    }
}

impl World {
    /// Whether a server finds no place, or is to fail before it has one; notes why.
    pub(super) fn cannot_be_placed(&mut self, id: &str, flavor: &str, zone: &str) -> bool {
        let asked_for = self.servers.get(id).and_then(|server| server.doom.as_ref());
        if let Some(doom) = asked_for {
            return !doom.leaves(Left::ErrorServer);
        }
        let short =
            self.faults.has_hidden_shortage(flavor, zone) || !self.faults.take_stock(flavor, zone);
        if let Some(server) = self.servers.get_mut(id).filter(|_| short) {
            server.doom = Some(FailSub::no_host());
        }
        short
    }

    /// It never comes to be; what the rollback leaves has no server and bills on.
    pub(super) fn gives_up(&mut self, id: &str, at: Timestamp) {
        let doom = self.servers.get(id).and_then(|server| server.doom.clone());
        let doom = doom.unwrap_or_else(FailSub::no_host);
        let mut disks = self.disks(id, at);
        disks.retain(|disk| match disk.kind {
            "root" => doom.leaves(Left::SystemDisk),
            _ => doom.leaves(Left::DataDisks),
        });
        let port = if doom.leaves(Left::Port) {
            self.addresses.take()
        } else {
            None
        };
        if let Some(server) = self.servers.get_mut(id) {
            server.volumes = disks;
            server.ip = port;
        }
        self.fails(id, doom.cause(), at);
    }
}

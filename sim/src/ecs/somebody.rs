//! What befalls a server without its owner's asking: somebody stops, starts, reboots or locks it, the cloud
//! takes it back or freezes it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::power::{Power, switch};
use super::server::{Phase, Server};
use super::world::{Event, World};

/// What is done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Hand {
    Stop,
    Start,
    Reboot,
    /// Notice now, and gone 5 minutes later; deletes are refused meanwhile.
    Reclaim,
    /// Deletes and power actions answer `Ecs.0605`.
    Lock,
    Unlock,
    /// As with arrears: `EcmResStatus` is `freeze`, and power actions answer `Ecs.0030`. Whether a frozen
    /// server can be deleted is not documented; here it can.
    Freeze,
    Thaw,
}

impl World {
    /// Does it at once to the server of this id or name; `PREFIX*` is the oldest whose name begins so.
    pub(super) fn lay_hand(
        &mut self,
        hand: Hand,
        target: &str,
        now: Timestamp,
    ) -> Result<String, ApiError> {
        let id = self
            .called(target)
            .ok_or_else(|| ApiError::no_server(target))?;
        match hand {
            Hand::Stop => self.flip(&id, Power::Stop, now)?,
            Hand::Start => self.flip(&id, Power::Start, now)?,
            Hand::Reboot => self.reboots(&id, now)?,
            Hand::Reclaim => self.reclaim(&id, now),
            Hand::Lock => self.usable(&id)?.locked = true,
            Hand::Unlock => self.usable(&id)?.locked = false,
            Hand::Freeze => self.usable(&id)?.frozen = true,
            Hand::Thaw => self.usable(&id)?.frozen = false,
        }
        Ok(id)
    }

    fn called(&self, target: &str) -> Option<String> {
        let fits = |server: &&&Server| match target.strip_suffix('*') {
            Some(prefix) => server.name.starts_with(prefix),
            None => server.id == target || server.name == target,
        };
        let all = self.visible();
        let mut usable = all.iter().filter(|server| server.can_be_addressed());
        usable.rfind(fits).map(|server| server.id.clone())
    }

    fn flip(&mut self, id: &str, power: Power, now: Timestamp) -> Result<(), ApiError> {
        let server = self.usable(id)?;
        if !power.fits(server) {
            return Err(ApiError::service(
                400,
                "Ecs.0100",
                format!("{id}: not in that state"),
            ));
        }
        server.updated_at = now;
        switch(server, power, now);
        Ok(())
    }

    fn reboots(&mut self, id: &str, now: Timestamp) -> Result<(), ApiError> {
        let server = self.usable(id)?;
        if server.phase != Phase::Active || server.task.is_some() {
            return Err(ApiError::service(
                400,
                "Ecs.0100",
                format!("{id}: not in that state"),
            ));
        }
        server.task = Some("rebooting");
        let done = now + self.span(5.0, 15.0);
        self.later(done, Event::Rebooted(id.to_owned()));
        Ok(())
    }

    pub(super) fn rebooted(&mut self, id: &str, at: Timestamp) {
        let rebooting = |server: &&mut Server| server.task == Some("rebooting");
        if let Some(server) = self.servers.get_mut(id).filter(rebooting) {
            server.task = None;
            server.updated_at = at;
        }
    }
}

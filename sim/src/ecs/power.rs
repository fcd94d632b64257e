//! `POST …/cloudservers/action`: start, stop and reboot (huawei-ecs reference §4, Power). The
//! machine behind a server, if there is one, is not touched.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::death::{Named, check_targets};
use super::error::ApiError;
use super::job::{Kind, SubRef};
use super::server::{Phase, Server, whole_seconds};
use super::world::{Event, World};

/// A change of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    Start,
    Stop,
    Reboot,
    HardReboot,
}

#[derive(Debug, Deserialize)]
enum PowerCall {
    #[serde(rename = "os-start")]
    Start { servers: Vec<Named> },
    #[serde(rename = "os-stop")]
    Stop { servers: Vec<Named> },
    #[serde(rename = "reboot")]
    Reboot {
        #[serde(rename = "type")]
        how: How,
        servers: Vec<Named>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum How {
    Soft,
    Hard,
}

impl PowerCall {
    fn parts(self) -> (Power, Vec<Named>) {
        match self {
            Self::Start { servers } => (Power::Start, servers),
            Self::Stop { servers } => (Power::Stop, servers),
            Self::Reboot {
                how: How::Soft,
                servers,
            } => (Power::Reboot, servers),
            Self::Reboot {
                how: How::Hard,
                servers,
            } => (Power::HardReboot, servers),
        }
    }
}

impl Power {
    fn kind(self) -> Kind {
        match self {
            Self::Start => Kind::Start,
            Self::Stop => Kind::Stop,
            Self::Reboot | Self::HardReboot => Kind::Reboot,
        }
    }

    fn task(self) -> &'static str {
        match self {
            Self::Start => "powering-on",
            Self::Stop => "powering-off",
            Self::Reboot => "rebooting",
            Self::HardReboot => "rebooting_hard",
        }
    }

    pub(super) fn fits(self, server: &Server) -> bool {
        let from = if self == Self::Start {
            Phase::Stopped
        } else {
            Phase::Active
        };
        server.phase == from && server.deletion.is_none()
    }
}

impl World {
    /// A power call; answers with its job. A server in another state refuses: `Ecs.0100`.
    pub(super) fn power(&mut self, body: &Value, now: Timestamp) -> Result<Value, ApiError> {
        let call = PowerCall::deserialize(body)
            .map_err(|_| ApiError::illegal("request body is illegal."))?;
        let (power, servers) = call.parts();
        check_targets(self, &servers)?;
        for target in &servers {
            let server = self.usable(&target.id)?;
            if server.frozen {
                let text = format!("{} is frozen", target.id);
                return Err(ApiError::service(400, "Ecs.0030", text));
            }
            if !power.fits(server) {
                let text = format!("the state of {} does not allow this", target.id);
                return Err(ApiError::service(400, "Ecs.0100", text));
            }
        }
        let job = self.open_job(power.kind(), servers.len(), now);
        for (index, target) in servers.iter().enumerate() {
            let sub = SubRef {
                job: job.clone(),
                index,
            };
            self.show_in_sub(&sub, &target.id);
            self.usable(&target.id)?.task = Some(power.task());
            let done = now + self.span(5.0, 15.0);
            self.later(done, Event::PowerDone(target.id.clone(), sub, power));
        }
        Ok(json!({"job_id": job}))
    }

    pub(super) fn power_done(&mut self, id: &str, sub: &SubRef, power: Power, at: Timestamp) {
        if let Some(server) = self
            .servers
            .get_mut(id)
            .filter(|server| server.deletion.is_none())
        {
            server.task = None;
            server.updated_at = at;
            switch(server, power, at);
        }
        self.end_sub(sub, Ok(()), at);
    }
}

/// The change itself.
pub(super) fn switch(server: &mut Server, power: Power, at: Timestamp) {
    match power {
        Power::Stop => {
            server.phase = Phase::Stopped;
            server.stopped_since = Some(at);
        }
        Power::Start => {
            let since = server.stopped_since.take();
            let stopped = since.map_or(0, |since| whole_seconds(since, at));
            server.free_seconds += if server.flavor.bills_when_stopped() {
                0
            } else {
                stopped
            };
            server.phase = Phase::Active;
        }
        Power::Reboot | Power::HardReboot => {}
    }
}

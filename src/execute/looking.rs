//! Looking at a worker without changing it.

use super::{Hands, NotPrepared};
use crate::config::Pool;
use crate::model::{Flavor, Member, Setup};
use crate::policy::setup;
use crate::roster::Worker;
use crate::ssh::{self, Check, Expected, ExpectedService, Finding};
use std::net::{IpAddr, SocketAddr};

const MIB_IN_GIB: u32 = 1024;

/// What somebody wants to be found, other than what the configuration says.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Instead {
    /// The processors.
    pub vcpus: Option<u32>,
    /// The memory, in GiB.
    pub ram: Option<u32>,
    /// `OBS_WORKER_INSTANCES`.
    pub instances: Option<u32>,
    /// `OBS_WORKER_JOBS`.
    pub jobs: Option<u32>,
}

impl Hands {
    /// What the machine of a member should be that has this flavor: that of its pool, where nothing else is known.
    pub(super) fn expected(
        &self,
        member: &Member,
        flavor: Option<&Flavor>,
        pool: &Pool,
    ) -> Expected {
        let checks = &self.config.checks;
        let name = flavor.map_or(&pool.flavor, |flavor| &flavor.name);
        let offer = flavor.and_then(|flavor| flavor.offer.as_ref());
        Expected {
            arch: Some(pool.arch.to_string()),
            vcpus: Some(member.vcpus.0),
            memory_gib: offer.map(|offer| offer.memory_mib / MIB_IN_GIB),
            host: member.name.clone(),
            local_disk: checks.local_disk(name, offer),
            free_gib: checks.min_free_gib,
            clock: checks.max_clock_difference,
        }
    }

    /// What is found on a worker, ours or not, that has this flavor; nothing is changed there. Ends by itself.
    pub async fn look(
        &self,
        worker: &Worker,
        ip: IpAddr,
        flavor: Option<&Flavor>,
        instead: Instead,
    ) -> Vec<Finding> {
        match self.ready_to_look(worker, ip, flavor, instead) {
            Ok((host, expected, service)) => {
                let now = self.clock.now();
                ssh::look(&self.access, &host, &expected, &service, now).await
            }
            Err(why) => vec![Finding::unknown(Check::Session, "ssh", why.to_string())],
        }
    }

    fn ready_to_look(
        &self,
        worker: &Worker,
        ip: IpAddr,
        flavor: Option<&Flavor>,
        instead: Instead,
    ) -> Result<(ssh::Pinned<SocketAddr>, Expected, ExpectedService), NotPrepared> {
        let (host, mut expected, mut service) = if let Some(member) = &worker.member {
            let pool = self.pool(&member.pool)?;
            let setup = Setup {
                instances: instead
                    .instances
                    .unwrap_or(setup::wanted(member, pool).instances),
                jobs: instead.jobs.unwrap_or(setup::wanted(member, pool).jobs),
                ..setup::wanted(member, pool)
            };
            let expected = self.expected(member, flavor, pool);
            let service = ExpectedService::of(self.settings(&setup)?);
            (self.host(member, ip)?, expected, service)
        } else {
            let addr = SocketAddr::new(ip, self.config.ssh.port);
            let host = ssh::Pinned::new(addr, self.known_pin(&worker.host, ip)?);
            (host, self.of_nobodys(worker), ExpectedService::default())
        };
        expected.vcpus = instead.vcpus.or(expected.vcpus);
        expected.memory_gib = instead.ram.or(expected.memory_gib);
        service.instances = instead.instances.or(service.instances);
        service.jobs = instead.jobs.or(service.jobs);
        Ok((host, expected, service))
    }

    /// What is known of a machine that is not ours.
    fn of_nobodys(&self, worker: &Worker) -> Expected {
        let checks = &self.config.checks;
        Expected {
            arch: worker.arch.map(|arch| arch.to_string()),
            vcpus: None,
            memory_gib: None,
            host: Some(worker.host.clone()),
            local_disk: false,
            free_gib: checks.min_free_gib,
            clock: checks.max_clock_difference,
        }
    }
}

//! Looking at a worker without changing it.

use super::{Hands, NotPrepared};
use crate::config::{Checks, Pool};
use crate::model::{Flavor, Member, Setup};
use crate::policy::setup;
use crate::roster::Worker;
use crate::ssh::{self, Check, Expected, ExpectedService, Finding};
use std::net::{IpAddr, SocketAddr};

const MIB_IN_GIB: f64 = 1024.0;

/// What the machine of a member has to be before it serves, that has this flavor: that of its pool, where nothing else is
/// known. The cloud's words of a flavor are not enough to turn a worker away: where an image never shows what they
/// promise, every next server would be bought and turned away like the first.
pub(super) fn expected(
    checks: &Checks,
    member: &Member,
    flavor: Option<&Flavor>,
    pool: &Pool,
) -> Expected {
    let name = flavor.map_or(&pool.flavor, |flavor| &flavor.name);
    Expected {
        arch: Some(pool.arch.to_string()),
        vcpus: Some(member.vcpus.0),
        memory_gib: None,
        host: member.name.clone(),
        local_disk: checks.demands_local_disk(name),
        free_gib: checks.min_free_gib,
        clock: checks.max_clock_difference,
    }
}

/// What somebody who looks wants to know besides: whether the machine is what the cloud says of its flavor.
fn promised(checks: &Checks, expected: Expected, flavor: Option<&Flavor>) -> Expected {
    let offer = flavor.and_then(|flavor| flavor.offer.as_ref());
    let memory = offer.and_then(|offer| offer.memory_mib);
    let local_disk = offer.is_some_and(|offer| checks.promises_local_disk(offer));
    Expected {
        memory_gib: memory.map(|mib| f64::from(mib) / MIB_IN_GIB),
        local_disk: expected.local_disk || local_disk,
        ..expected
    }
}

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
            let checks = &self.config.checks;
            let expected = expected(checks, member, flavor, pool);
            let expected = promised(checks, expected, flavor);
            let service = ExpectedService::of(self.settings(&setup)?);
            (self.host(member, ip)?, expected, service)
        } else {
            let addr = SocketAddr::new(ip, self.config.ssh.port);
            let host = ssh::Pinned::new(addr, self.known_pin(&worker.host, ip)?);
            (host, self.of_nobodys(worker), ExpectedService::default())
        };
        expected.vcpus = instead.vcpus.or(expected.vcpus);
        expected.memory_gib = instead.ram.map(f64::from).or(expected.memory_gib);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SecretPlace};
    use crate::model::{
        Arch, Availability, FlavorStock, Overrides, PoolName, ServerId, Stage, Vcpus,
    };
    use jiff::Timestamp;
    use secrecy::SecretString;
    use std::collections::BTreeMap;

    fn member() -> Member {
        Member {
            server: ServerId::new("s-1"),
            name: None,
            pool: PoolName::try_from("aarch64-l1").unwrap(),
            order: None,
            vcpus: Vcpus(32),
            stage: Stage::Serving,
            since: Timestamp::UNIX_EPOCH,
            reached: true,
            ordered_here: false,
            own: Overrides::default(),
            bound: None,
            due: None,
        }
    }

    /// A flavor with a local disk and 1.5 GiB, as the cloud says.
    fn flavor(pool: &Pool) -> Flavor {
        Flavor {
            name: pool.flavor.clone(),
            offer: Some(FlavorStock {
                arch: Arch::Aarch64,
                vcpus: Vcpus(32),
                memory_mib: Some(1536),
                local_disk: true,
                zones: BTreeMap::new(),
                elsewhere: Availability::OnSale,
            }),
        }
    }

    #[test]
    fn what_the_cloud_says_of_a_flavor_is_told_by_a_look_and_turns_no_worker_away() {
        let given = |_: &SecretPlace| Ok(SecretString::from("s".repeat(40)));
        let config = Config::parse(include_str!("../../config.yaml"), &given).unwrap();
        let (mut checks, member) = (config.checks, member());
        let pool = &config.policy.pools[&member.pool];
        let flavor = flavor(pool);
        let of = |expected: &Expected| (expected.memory_gib, expected.local_disk);
        let both = |checks: &Checks| {
            let serving = expected(checks, &member, Some(&flavor), pool);
            let looked = promised(checks, serving.clone(), Some(&flavor));
            (of(&serving), of(&looked))
        };
        assert_eq!(both(&checks), ((None, false), (Some(1.5), true)));
        checks.local_disks = Some([flavor.name.clone()].into());
        assert_eq!(both(&checks), ((None, true), (Some(1.5), true)));
        checks.local_disks = Some([].into());
        assert_eq!(both(&checks), ((None, false), (Some(1.5), false)));
    }
}

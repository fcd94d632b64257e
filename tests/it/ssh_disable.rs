//! A worker of code on which cordoning was not proved is left to its backends: every one that may give it jobs is
//! told, and told otherwise before its service is started again. Through the whole of the hands, against real sshds:
//! one is the worker, two are the hosts of repository servers.

use crate::sshd::{ARCH, Machine};
use obs_scaler::clock::Clock;
use obs_scaler::cloud::Cloud;
use obs_scaler::config::{Config, SecretPlace};
use obs_scaler::ecs::EcsClient;
use obs_scaler::execute::{Deed, Done, Hands};
use obs_scaler::model::{
    BackendName, HostName, Member, Overrides, PoolName, ServerId, Stage, Vcpus,
};
use obs_scaler::policy::{CheckOutcome, DrainOutcome};
use secrecy::SecretString;
use std::path::Path;
use std::sync::Arc;

/// The worker, and the hosts of its backends.
struct Farm {
    worker: Machine,
    hosts: [Machine; 2],
}

const DISABLED: &str = "workers/disable/w1:";

impl Farm {
    fn boot(forced: bool) -> Self {
        let boot = || {
            let machine = Machine::boot();
            if forced {
                machine.with_forced_command()
            } else {
                machine
            }
        };
        let farm = Self {
            worker: boot(),
            hosts: [boot(), boot()],
        };
        farm.worker.command(
            "uname",
            &format!("[ \"$1\" = -n ] && echo w1 || echo {ARCH}"),
        );
        farm.worker.command("nproc", "echo 32");
        farm.worker.write("cordoned", "1 idle unproved:c0de\n");
        for host in &farm.hosts {
            std::fs::create_dir(host.home("workers")).unwrap();
            // everybody signs in with the worker's key
            let own = host.read("authorized");
            let (options, _) = own.split_once("ssh-ed25519").unwrap();
            let line = format!("{options}{}", farm.worker.read("client.pub"));
            host.write("authorized", &line);
            // its own configuration, where nobody says where it keeps its workers
            host.command("perl", &format!("printf %s '{}'", host.home("workers")));
        }
        farm
    }

    fn known_hosts(&self) -> String {
        let machines = [&self.worker, &self.hosts[0], &self.hosts[1]];
        let line = |m: &Machine| format!("[127.0.0.1]:{} {}", m.port(), m.read("host.pub"));
        machines.map(line).concat()
    }

    fn hands(&self, forced: bool) -> Hands {
        let user = &self.worker.config("client").user;
        let [main, lts] = self
            .hosts
            .each_ref()
            .map(|host| backend_host(host, user, forced));
        self.hands_with(forced, &format!("{{ main: {main}, lts: {lts} }}"))
    }

    /// Hands that know these hosts of backends.
    fn hands_with(&self, forced: bool, backend_hosts: &str) -> Hands {
        self.worker.write("known_hosts", &self.known_hosts());
        let ssh = self.worker.config("client");
        let text = format!(
            "state_dir: {state}
owner: patient
web: {{ token_env: SECRET }}
backends:
  - {{ name: main, source_server: 'http://10.0.0.5:5352', repository_server: 'http://10.0.0.5:5252', projects: [P] }}
  - {{ name: lts, source_server: 'http://10.0.0.6:5352', repository_server: 'http://10.0.0.6:5252', projects: [Q] }}
levels: {{ never_built: l1 }}
flavors:
  {ARCH}:
    l1: &f {{ name: c7.8xlarge.4, vcpus: 32, instances: 2, jobs: 1, price: 4.2 }}
    l2: *f
    l3: *f
  {other}:
    l1: *f
    l2: *f
    l3: *f
pools:
{pools}
scaling: {{ ceiling_vcpus: 64, availability_zones: [cn-north-4a] }}
hosts: {{ resource_use: none }}
ecs:
  endpoint: http://127.0.0.1:9
  region: cn-north-4
  project_id: 0605767d5a00d5762fb7c00a3d5f1b9c
  access_key_env: SECRET
  secret_key_env: SECRET
  images: {{ aarch64: 1189efbf-d48b-46ad-a823-94b942e2a000, x86_64: 1189efbf-d48b-46ad-a823-94b942e2a001 }}
  vpc_id: 0dae26c9-9a70-4392-93f3-87d53115d171
  subnet_id: 157ee789-03ea-45b1-a698-76c92660dd83
  security_groups: [507ca48f-814c-4293-8706-300564d54620]
  key_name: patient
  root_volume_gib: 40
ssh:
  user: {user}
  port: {port}
  forced_command: {forced}
  private_key_env: KEY
  host_key_secret_env: SECRET
  known_hosts_file: {known_hosts}
  sysconfig: {sysconfig}
  backend_hosts: {backend_hosts}
",
            state = self.worker.home("state"),
            other = if ARCH.as_str() == "x86_64" { "aarch64" } else { "x86_64" },
            pools = pools(),
            user = ssh.user,
            port = self.worker.port(),
            known_hosts = self.worker.home("known_hosts"),
            sysconfig = self.worker.home("obs-server"),
        );
        let key = self.worker.read("client");
        let secrets = |place: &SecretPlace| match place {
            SecretPlace::Variable(name) if name == "KEY" => Ok(SecretString::from(key.clone())),
            _ => Ok(SecretString::from("s".repeat(32))),
        };
        let config = Config::parse(&text, &secrets).unwrap_or_else(|faults| panic!("{faults}"));
        let (config, clock) = (Arc::new(config), Clock::default());
        let client = EcsClient::new(&config.ecs, config.policy.owner.clone(), clock).unwrap();
        let cloud: Arc<dyn Cloud> = Arc::new(client);
        Hands::new(config, cloud, clock).unwrap()
    }

    fn are_told(&self) -> [bool; 2] {
        self.hosts.each_ref().map(|host| host.exists(DISABLED))
    }
}

fn backend_host(host: &Machine, user: &str, forced: bool) -> String {
    let port = host.port();
    let dir = match forced {
        true => String::new(),
        false => format!(", workers_dir: {}", host.home("workers")),
    };
    format!("{{ address: 127.0.0.1, port: {port}, user: {user}{dir} }}")
}

fn pools() -> String {
    let levels = ["l1", "l2", "l3"];
    let pool = |(arch, level): (&str, &str)| {
        let name = arch.replace('_', "-");
        format!(
            "  - {{ name: {name}-{level}, arch: {arch}, level: {level}, backends: [main, lts] }}\n"
        )
    };
    let arches = ["aarch64", "x86_64"].into_iter();
    let keys = arches.flat_map(|arch| levels.map(|level| (arch, level)));
    keys.map(pool).collect()
}

/// An adopted worker of the pool that is bound to the first backend.
fn member() -> Member {
    Member {
        server: ServerId::new("s1"),
        name: Some(HostName::new("w1")),
        pool: PoolName::try_from(format!("{ARCH}-l1").replace('_', "-")).unwrap(),
        order: None,
        vcpus: Vcpus(32),
        stage: Stage::Serving,
        since: Clock::default().now(),
        reached: true,
        ordered_here: false,
        own: Overrides::default(),
        due: None,
        bound: Some(BackendName::new("main")),
    }
}

async fn drained(hands: &Hands) -> DrainOutcome {
    let (member, ip) = (Box::new(member()), [127, 0, 0, 1].into());
    match hands.carry_out(Deed::Drain { member, ip }).await {
        Done::Drained(report) => report.outcome,
        other => panic!("{other:?}"),
    }
}

async fn checked(hands: &Hands) -> CheckOutcome {
    let (member, ip) = (Box::new(member()), [127, 0, 0, 1].into());
    let deed = Deed::Check {
        member,
        ip,
        flavor: None,
    };
    match hands.carry_out(deed).await {
        Done::Checked(report) => report.outcome,
        other => panic!("{other:?}"),
    }
}

async fn told_by_all_and_told_otherwise(forced: bool) {
    let farm = Farm::boot(forced);
    let hands = farm.hands(forced);
    let outcome = drained(&hands).await;
    assert!(
        matches!(outcome, DrainOutcome::Disabled { .. }),
        "{outcome:?}"
    );
    // bound to one by now, it may have the settings of before still
    assert_eq!(farm.are_told(), [true, true]);

    let left = farm.hosts.each_ref().map(|host| host.home(DISABLED));
    let start = format!(
        "for file in {}; do [ ! -e \"$file\" ] || echo early; done",
        left.join(" ")
    );
    farm.worker.before_start(&start);
    farm.worker.write("cordoned", "");
    assert_eq!(checked(&hands).await, CheckOutcome::Passed);
    assert_eq!(farm.are_told(), [false, false]);
    let log = farm.worker.read("log");
    assert!(log.ends_with("start\n") && !log.contains("early"), "{log}");
}

#[tokio::test]
async fn every_backend_of_a_worker_that_can_not_be_cordoned_is_told_and_told_otherwise_before_its_start()
 {
    told_by_all_and_told_otherwise(false).await;
}

#[tokio::test]
async fn backends_are_told_through_a_forced_command_too() {
    told_by_all_and_told_otherwise(true).await;
}

#[tokio::test]
async fn a_backend_whose_host_is_not_configured_keeps_no_other_from_being_told_otherwise() {
    let farm = Farm::boot(false);
    let user = &farm.worker.config("client").user;
    let main = backend_host(&farm.hosts[0], user, false);
    let hands = farm.hands_with(false, &format!("{{ main: {main} }}"));
    std::fs::create_dir(farm.hosts[0].home("workers/disable")).unwrap();
    farm.hosts[0].write(DISABLED, "");
    let outcome = drained(&hands).await;
    let DrainOutcome::Unproved(why) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(why.contains("no ssh.backend_hosts.lts"), "{why}");
    farm.worker.write("cordoned", "");
    assert_eq!(checked(&hands).await, CheckOutcome::Passed);
    assert_eq!(farm.are_told(), [false, false]);
}

#[tokio::test]
async fn a_worker_whose_backends_can_not_be_told_otherwise_is_not_started() {
    let farm = Farm::boot(false);
    let hands = farm.hands(false);
    std::fs::remove_dir(Path::new(&farm.hosts[1].home("workers"))).unwrap();
    let outcome = checked(&hands).await;
    let CheckOutcome::Failed { check, found, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(check, "registered");
    assert!(
        found.contains("lts") && found.contains("no directory"),
        "{found}"
    );
    assert_eq!(farm.worker.read("log"), "", "nothing was done on it");
}

//! ECS, against the simulated cloud.

use super::Ground;
use obs_scaler::clock::Clock;
use obs_scaler::config::{Config, Pool, SecretPlace};
use obs_scaler::ecs::EcsClient;
use obs_scaler::model::{FlavorName, ServerId, ZoneName};
use obs_sim::ecs::{FailSub, Faults, Foreign, How, Left, Operation, Options, Simulator, Spoil};
use secrecy::SecretString;

const PROJECT: &str = "0605767d5a00d5762fb7c00a3d5f1b9c";

const CONFIG: &str = "
owner: conformance
web: { token_env: SECRET }
backends: [{ name: main, source_server: 'http://127.0.0.1:9', projects: [P], \
    worker_source_server: '127.0.0.1:9', worker_repository_server: '127.0.0.1:9' }]
flavors:
  aarch64: { l1: { name: ki1.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 }, \
    l2: { name: ki1.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 }, \
    l3: { name: ki1.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 } }
  x86_64: { l1: { name: c7.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 }, \
    l2: { name: c7.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 }, \
    l3: { name: c7.8xlarge.4, vcpus: 32, instances: 7, jobs: 4 } }
pools:
  - { name: arm-l1, arch: aarch64, level: l1, backends: [main] }
  - { name: arm-l2, arch: aarch64, level: l2, backends: [main] }
  - { name: arm-l3, arch: aarch64, level: l3, backends: [main] }
  - { name: x86-l1, arch: x86_64, level: l1, backends: [main] }
  - { name: x86-l2, arch: x86_64, level: l2, backends: [main] }
  - { name: x86-l3, arch: x86_64, level: l3, backends: [main] }
ssh: { private_key_env: SECRET, host_key_secret_env: SECRET }
ecs:
  endpoint: ENDPOINT
  project_id: \"PROJECT\"
  region: cn-north-4
  CREDENTIALS
  reads_per_second: 1000
  writes_per_minute: 60000
  images: { aarch64: 1189efbf-d48b-46ad-a823-94b942e2a000, \
    x86_64: 1189efbf-d48b-46ad-a823-94b942e2a001 }
  vpc_id: 0dae26c9-9a70-4392-93f3-87d53115d171
  subnet_id: 157ee789-03ea-45b1-a698-76c92660dd83
  security_groups: [507ca48f-814c-4293-8706-300564d54620]
  key_name: conformance
";

const KEY: &str = "access_key_env: ACCESS\n  secret_key_env: SECRET";
const AGENCY: &str = "credentials: agency\n  metadata_endpoint: ENDPOINT";
const PASSWORD: &str = "credentials: password\n  iam_domain: acme\n  iam_user: scaler\n  \
    iam_password_env: SECRET";

struct Simulated {
    cloud: obs_sim::ecs::Running,
    config: Config,
}

impl Ground for Simulated {
    fn pool(&self) -> Pool {
        self.config.policy.pools.values().next().unwrap().clone()
    }

    fn zone(&self) -> ZoneName {
        ZoneName::new("cn-north-4a")
    }

    fn foreign(&self, name: &str) -> ServerId {
        let foreign = Foreign {
            name: name.to_owned(),
            flavor: "ki1.8xlarge.4".to_owned(),
            tags: vec!["a=b".to_owned()],
        };
        ServerId::new(self.cloud.add_foreign(foreign).unwrap())
    }

    fn sell_out(&self, flavor: &FlavorName, zone: &ZoneName) {
        self.cloud.set_faults(Faults {
            sold_out: vec![format!("{flavor}@{zone}")],
            ..Faults::default()
        });
    }

    fn leak(&self) {
        self.cloud.set_faults(Faults {
            fail_subs: vec![FailSub {
                sub: None,
                flavor: None,
                code: "Ecs.0219".to_owned(),
                message: None,
                leaves: vec![Left::SystemDisk, Left::Port],
                times: Some(1),
            }],
            ..Faults::default()
        });
    }

    fn cut(&self) {
        let calls = [
            Operation::List,
            Operation::Flavors,
            Operation::Limits,
            Operation::Price,
        ];
        let spoil = |operation| Spoil {
            operation,
            how: How::Truncated,
            times: None,
        };
        self.cloud.set_faults(Faults {
            spoil: calls.into_iter().map(spoil).collect(),
            ..Faults::default()
        });
    }
}

async fn simulated(credentials: &str) -> (EcsClient, Simulated) {
    let mut options = Options::new(PROJECT, "ACCESS", &"s".repeat(32));
    options.speed = 100.0;
    options.iam_user = Some("scaler".to_owned());
    let cloud = Simulator::start(options).await.unwrap();
    let text = CONFIG
        .replace("CREDENTIALS", credentials)
        .replace("ENDPOINT", &cloud.endpoint())
        .replace("PROJECT", PROJECT);
    let secrets = |place: &SecretPlace| {
        let SecretPlace::Variable(name) = place else {
            return Err("no files here".to_owned());
        };
        Ok(SecretString::from(match name.as_str() {
            "ACCESS" => "ACCESS".to_owned(),
            _ => "s".repeat(32),
        }))
    };
    let config = Config::parse(&text, &secrets).unwrap_or_else(|faults| panic!("{faults}"));
    let owner = config.policy.owner.clone();
    let client = EcsClient::new(&config.ecs, owner, Clock::default()).unwrap();
    (client, Simulated { cloud, config })
}

macro_rules! promises {
    ($($promise:ident)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let (client, ground) = simulated(KEY).await;
            super::$promise(&client, &ground).await;
        }
    )*};
}

promises! {
    a_creation_is_idempotent
    a_list_is_whole_or_an_error
    a_deletion_is_looked_at_and_done_once
    tags_go_by_key
    the_market_is_known
    the_quota_counts_what_is_bought
    a_job_says_what_failed
    leftovers_are_found_and_cleared
}

#[tokio::test]
async fn an_agency_s_keys_and_a_user_s_token_do_as_well_as_a_key() {
    for credentials in [AGENCY, PASSWORD] {
        let (client, ground) = simulated(credentials).await;
        super::a_creation_is_idempotent(&client, &ground).await;
    }
}

#[tokio::test]
async fn the_other_edition_of_the_call_does_as_well() {
    let other = format!("{KEY}\n  create_api: v1.1");
    let (client, ground) = simulated(&other).await;
    super::a_creation_is_idempotent(&client, &ground).await;
}

#[tokio::test]
async fn what_the_doctor_asks_for_is_answered() {
    let (client, ground) = simulated(KEY).await;
    let ecs = &ground.config.ecs;
    assert!(client.has_vpc(&ecs.vpc_id).await.unwrap());
    let vpc = client.vpc_of_subnet(&ecs.subnet_id).await.unwrap();
    assert_eq!(vpc.as_ref(), Some(&ecs.vpc_id));
    let group = &ecs.security_groups[0];
    assert!(client.has_security_group(group).await.unwrap());
    let addresses = client.addresses(&ecs.subnet_id).await.unwrap();
    assert!(addresses.unwrap().total > 0);
    assert!(client.key_pair(&ecs.key_name).await.unwrap().is_some());
    let image = ecs.images.values().next().unwrap();
    assert!(client.image(image).await.unwrap().is_some());
    let request = super::request(&client, &ground, 1, 1);
    client.dry_run(&request).await.unwrap();
    assert!(client.list().await.unwrap().servers.is_empty());
}

#[tokio::test]
async fn the_cloud_s_own_end_of_a_server_is_taken() {
    let (client, ground) = simulated(KEY).await;
    let created = super::bought(&client, &ground, 1, 1).await;
    let in_hours = jiff::SignedDuration::from_hours(9);
    let at = Clock::default().now().checked_add(in_hours).unwrap();
    client
        .terminate_at(&created.servers[0], Some(at))
        .await
        .unwrap();
    client
        .terminate_at(&created.servers[0], None)
        .await
        .unwrap();
}

//! A server's life, played through on a clock of its own. Test code only.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::addresses::AddressRange;
use super::birth::Outcome;
use super::order::Api;
use super::world::{Deed, Rules, World};

struct Play {
    world: World,
    now: Timestamp,
}

impl Play {
    fn with(rules: Rules) -> Self {
        let world = World::new(rules, 42, AddressRange::default());
        Self {
            world,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn new() -> Self {
        Self::with(rules())
    }

    fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
        self.world.advance(self.now);
    }

    fn buy(&mut self, count: u32, more: Value) -> (String, Vec<String>) {
        let mut server = json!({
            "name": "bw", "imageRef": "1189efbf-d48b-46ad-a823-94b942e2a000",
            "flavorRef": "c7.8xlarge.4", "vpcid": "0dae26c9-9a70-4392-93f3-87d53115d171",
            "nics": [{"subnet_id": "157ee789-03ea-45b1-a698-76c92660dd83"}],
            "root_volume": {"volumetype": "SSD", "size": 40}, "count": count,
        });
        server
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let body = json!({"server": server});
        let Outcome::Accepted(answer) = self.world.create(&body, Api::V1, None, self.now).unwrap()
        else {
            panic!("no dry run");
        };
        let ids = answer["serverIds"].as_array().unwrap().iter();
        (text(&answer["job_id"]), ids.map(text).collect())
    }

    fn delete(&mut self, id: &str, with_volumes: bool) -> String {
        let body = json!({"servers": [{"id": id}], "delete_volume": with_volumes});
        text(&self.world.delete(&body, self.now).unwrap()["job_id"])
    }

    fn job(&self, id: &str) -> Value {
        self.world.job(id).unwrap().view()
    }

    fn server(&self, id: &str) -> Option<Value> {
        self.world.shown(id).ok().map(|server| server.view("p"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn rules() -> Rules {
    Rules {
        speed: 1.0,
        machines: false,
        quota_instances: None,
        quota_cores: None,
    }
}

#[test]
fn a_create_takes_forty_to_sixty_seconds_and_shows_its_parts_one_by_one() {
    let mut play = Play::new();
    let (job, ids) = play.buy(1, json!({}));
    let id = &ids[0];
    assert!(play.server(id).is_none(), "an id, but no server yet");
    assert_eq!(play.job(&job)["entities"], json!({}));
    play.pass(10);
    let server = play.server(id).unwrap();
    assert_eq!(server["status"], "BUILD");
    assert_eq!(server["addresses"], json!({}));
    assert_eq!(play.job(&job)["status"], "RUNNING");
    play.pass(29);
    assert_eq!(play.server(id).unwrap()["status"], "BUILD");
    play.pass(21);
    let server = play.server(id).unwrap();
    assert_eq!(server["status"], "ACTIVE");
    let vpc = "0dae26c9-9a70-4392-93f3-87d53115d171";
    assert_eq!(server["addresses"][vpc][0]["addr"], "127.0.2.1");
    assert_eq!(play.job(&job)["status"], "SUCCESS");
    assert_eq!(play.job(&job)["error_code"], Value::Null);
}

#[test]
fn a_deleted_server_reads_active_and_is_listed_after_its_job_has_ended() {
    let mut play = Play::new();
    let (_, ids) = play.buy(1, json!({}));
    play.pass(60);
    let job = play.delete(&ids[0], false);
    let mut seen_after_success = false;
    for _ in 0..60 {
        play.pass(1);
        let ended = play.job(&job)["status"] == "SUCCESS";
        let Some(server) = play.server(&ids[0]) else {
            assert!(ended, "gone only after the job");
            continue;
        };
        assert_eq!(server["status"], "ACTIVE");
        assert_eq!(server["OS-EXT-STS:task_state"], "deleting");
        seen_after_success |= ended;
    }
    assert!(seen_after_success);
    assert!(play.server(&ids[0]).is_none());
}

#[test]
fn billing_runs_from_creation_to_gone_and_kept_volumes_bill_on() {
    let mut play = Play::new();
    let disks = json!({"data_volumes": [{"volumetype": "SSD", "size": 100}]});
    let (_, kept) = play.buy(1, disks.clone());
    let (_, dropped) = play.buy(1, disks);
    play.pass(600);
    play.delete(&kept[0], false);
    play.delete(&dropped[0], true);
    play.pass(3000);
    let ledger = play.world.ledger(play.now);
    assert_eq!(ledger.totals.orphan_volumes, 1);
    for server in &ledger.servers {
        let gone = server.deleted_at.unwrap();
        assert_eq!(
            server.billed_seconds,
            gone.as_second() - server.created_at.as_second()
        );
        assert!((600..660).contains(&server.billed_seconds));
        let data = server
            .volumes
            .iter()
            .find(|volume| volume.kind == "data")
            .unwrap();
        assert_eq!(data.deleted_at.is_none(), server.id == kept[0]);
        assert_eq!(data.billed_seconds > 3000, server.id == kept[0]);
    }
    let before = play.world.ledger(play.now).totals.billed_seconds;
    play.pass(100);
    assert_eq!(play.world.ledger(play.now).totals.billed_seconds, before);
}

#[test]
fn a_stopped_server_bills_on_only_with_local_disks() {
    for (flavor, billed) in [("c7.8xlarge.4", false), ("ki1.8xlarge.4", true)] {
        let mut play = Play::new();
        let (_, ids) = play.buy(1, json!({"flavorRef": flavor}));
        play.pass(60);
        let stop = json!({"os-stop": {"type": "SOFT", "servers": [{"id": ids[0]}]}});
        play.world.power(&stop, play.now).unwrap();
        play.pass(20);
        assert_eq!(play.server(&ids[0]).unwrap()["status"], "SHUTOFF");
        let before = play.world.ledger(play.now).totals.billed_seconds;
        play.pass(1000);
        let after = play.world.ledger(play.now).totals.billed_seconds;
        assert_eq!(after - before, if billed { 1000 } else { 0 }, "{flavor}");
    }
}

#[test]
fn names_continue_from_the_highest_and_wrap() {
    let mut play = Play::new();
    let names = |play: &Play| {
        let mut all: Vec<String> = play
            .world
            .servers
            .values()
            .map(|s| s.name.clone())
            .collect();
        all.sort();
        all
    };
    play.buy(1, json!({"name": "bw-9997"}));
    play.buy(3, json!({}));
    assert_eq!(names(&play), ["bw-0001", "bw-9997", "bw-9998", "bw-9999"]);
    let mut play = Play::new();
    play.buy(2, json!({"isAutoRename": true}));
    assert_eq!(names(&play), ["bw", "bw"]);
}

#[test]
fn quota_is_loose_at_submission_and_strict_in_the_job() {
    let mut play = Play::with(Rules {
        quota_instances: Some(3),
        ..rules()
    });
    let (first, _) = play.buy(2, json!({}));
    let (second, _) = play.buy(2, json!({}));
    play.pass(60);
    let views = [play.job(&first), play.job(&second)];
    let subs = views
        .iter()
        .flat_map(|view| view["entities"]["sub_jobs"].as_array().unwrap());
    let mut codes: Vec<String> = subs.map(|sub| sub["error_code"].to_string()).collect();
    codes.sort();
    assert_eq!(codes, ["\"Ecs.0001\"", "null", "null", "null"]);
    assert_eq!(play.world.ledger(play.now).totals.servers_created, 3);
    assert_eq!(
        play.world.ledger(play.now).totals.vcpu_committed_max,
        4 * 32
    );
    assert_eq!(play.world.ledger(play.now).totals.vcpu_alive_max, 3 * 32);
}

#[test]
fn a_server_is_gone_only_when_its_machine_is() {
    let mut play = Play::with(Rules {
        machines: true,
        ..rules()
    });
    let (job, ids) = play.buy(1, json!({"user_data": "aGVsbG8="}));
    let id = &ids[0];
    play.pass(60);
    assert_eq!(play.server(id).unwrap()["status"], "BUILD", "it boots");
    let Some(Deed::Boot(boot)) = play.world.take_deeds().pop() else {
        panic!("a boot was expected");
    };
    assert_eq!(
        (boot.ip.as_str(), boot.arch, boot.vcpus),
        ("127.0.2.1", "x86_64", 32)
    );
    assert_eq!(boot.user_data, b"hello");
    let deletion = play.delete(id, false);
    assert_eq!(
        play.job(&job)["status"],
        "FAIL",
        "deleted while it was built"
    );
    play.pass(100);
    assert!(play.server(id).is_some(), "the boot has not returned");
    play.world.booted(id, Ok(()), play.now);
    assert_eq!(play.world.take_deeds(), [Deed::Destroy(id.clone())]);
    play.pass(100);
    assert_eq!(play.job(&deletion)["status"], "RUNNING");
    play.world.destroyed(id, Ok(()), play.now);
    assert_eq!(play.job(&deletion)["status"], "SUCCESS");
    play.pass(10);
    assert!(play.server(id).is_none());
}

#[test]
fn a_machine_that_would_not_go_keeps_its_server() {
    let mut play = Play::with(Rules {
        machines: true,
        ..rules()
    });
    let (_, ids) = play.buy(1, json!({}));
    play.pass(60);
    play.world.booted(&ids[0], Ok(()), play.now);
    let job = play.delete(&ids[0], false);
    play.world.destroyed(&ids[0], Err("stuck".into()), play.now);
    let view = play.job(&job);
    assert_eq!(view["entities"]["sub_jobs"][0]["error_code"], "Ecs.0501");
    play.pass(1000);
    let server = play.server(&ids[0]).unwrap();
    assert_eq!(server["OS-EXT-STS:task_state"], Value::Null);
}

#[test]
fn auto_terminate_time_deletes_without_being_asked() {
    let mut play = Play::new();
    let (_, ids) = play.buy(1, json!({"auto_terminate_time": "1970-01-01T01:00:30Z"}));
    play.pass(3599);
    assert_eq!(
        play.server(&ids[0]).unwrap()["OS-EXT-STS:task_state"],
        Value::Null
    );
    play.pass(60);
    assert!(play.server(&ids[0]).is_none());
}

#[test]
fn one_seed_gives_one_course_of_events() {
    let course = || {
        let mut play = Play::new();
        let (job, ids) = play.buy(3, json!({}));
        play.pass(47);
        (
            play.job(&job),
            ids.iter().map(|id| play.server(id)).collect::<Vec<_>>(),
        )
    };
    assert_eq!(course(), course());
}

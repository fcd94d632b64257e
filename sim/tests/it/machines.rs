use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use obs_sim::ecs::Running;
use serde_json::json;

use super::client::{Client, cloud_with, order};

/// A directory of its own, and in it a program that notes how it is called.
struct Rig {
    dir: PathBuf,
}

impl Rig {
    fn new(name: &str, script: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("obs-sim-test-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("machine");
        let text = format!(
            "#!/bin/sh\nD={}\necho \"$@\" >>$D/calls\n{script}\n",
            dir.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    async fn cloud(&self) -> (Running, Client) {
        cloud_with(|options| options.machines = Some(self.dir.join("machine"))).await
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).unwrap_or_default()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

const KEEP_USER_DATA: &str = r#"while [ $# -gt 0 ]; do
  [ "$1" = --user-data ] && { cp "$2" $D/data; echo "$2" >$D/path; }; shift
done"#;

#[tokio::test]
async fn a_server_is_active_when_its_machine_has_booted() {
    let rig = Rig::new("boot", KEEP_USER_DATA);
    let (cloud, client) = rig.cloud().await;
    let id = client
        .buy(&order(1, json!({"user_data": "I2Nsb3VkLWNvbmZpZwo="})))
        .await
        .remove(0);
    let server = client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    assert_eq!(server["status"], "ACTIVE");
    assert_eq!(rig.read("data"), "#cloud-config\n");
    let expected = format!(
        "boot --id {id} --name bw --ip 127.0.2.1 --arch aarch64 --vcpus 32 --memory 131072 --user-data {} --key-name build-key\n",
        rig.read("path").trim()
    );
    assert_eq!(rig.read("calls"), expected);
    client.delete(&id).await;
    assert_eq!(rig.read("calls"), format!("{expected}destroy --id {id}\n"));
    let path = rig.read("path");
    assert!(
        !Path::new(path.trim()).exists(),
        "user data does not outlive its machine"
    );
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_failed_boot_leaves_an_error_with_a_fault() {
    let rig = Rig::new(
        "fail",
        r#"[ "$1" = destroy ] || { echo no disk >&2; exit 3; }"#,
    );
    let (cloud, client) = rig.cloud().await;
    let answer = client
        .create(&order(1, json!({})), None)
        .await
        .unwrap()
        .json();
    let job = client.job_end(answer["job_id"].as_str().unwrap()).await;
    let id = answer["serverIds"][0].as_str().unwrap();
    assert_eq!(job["status"], "FAIL");
    let server = client.get(&format!("cloudservers/{id}")).await.json()["server"].clone();
    assert_eq!(server["status"], "ERROR");
    assert!(
        server["fault"]["message"]
            .as_str()
            .unwrap()
            .contains("no disk")
    );
    client.delete(id).await;
    client.gone(id).await;
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_stays_until_destroy_succeeds() {
    let rig = Rig::new("stuck", r#"[ "$1" = boot ] || [ -e $D/let-go ]"#);
    let (cloud, client) = rig.cloud().await;
    let id = client.buy(&order(1, json!({}))).await.remove(0);
    let job = client.delete(&id).await;
    assert_eq!(job["entities"]["sub_jobs"][0]["error_code"], "Ecs.0501");
    assert_eq!(client.get(&format!("cloudservers/{id}")).await.status, 200);
    fs::write(rig.dir.join("let-go"), "").unwrap();
    assert_eq!(client.delete(&id).await["status"], "SUCCESS");
    client.gone(&id).await;
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn stopping_destroys_every_machine() {
    let rig = Rig::new("stop", "sleep 0.3");
    let (cloud, client) = rig.cloud().await;
    client.buy(&order(1, json!({}))).await;
    client.create(&order(2, json!({})), None).await.unwrap();
    while rig.read("calls").matches("boot").count() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    cloud.stop().await.unwrap();
    assert_eq!(
        rig.read("calls").matches("destroy").count(),
        3,
        "booting ones included"
    );
}

//! What may be wrong with a cloud, and how `doctor` says so.

use super::{ARM, ARM_IMAGE, GROUP, SUBNET, VPC, X86};
use serde_json::{Value, json};

/// A fault, the checks that fail for it, and what each of them says.
pub(super) type Case = (Value, &'static [&'static str], &'static str);

/// Calls that are not allowed, by the simulator's names of them, with what fails and the action to allow.
const FORBIDDEN: [(&str, &[&str], &str); 16] = [
    ("list", &["list of servers"], "allow ecs:cloudServers:list"),
    ("limits", &["quota"], "allow ecs:cloudServerQuotas:get"),
    ("flavors", &["flavors"], "allow ecs:cloudServerFlavors:get"),
    (
        "image",
        &["image of aarch64", "image of x86_64"],
        "allow ims:images:list",
    ),
    (
        "key_pair",
        &["key pair patient"],
        "allow ecs:serverKeypairs:get",
    ),
    (
        "create",
        &[ARM, X86],
        "allow ecs:cloudServers:createServers",
    ),
    (
        "addresses",
        &["addresses of the subnet"],
        "check ecs.project_id",
    ),
    (
        "network",
        &["VPC", "security group", "subnet"],
        "allow vpc:",
    ),
    ("price", &["prices"], "allow bss:discount:view"),
    (
        "show",
        &["right to show a server"],
        "allow ecs:cloudServers:showServer",
    ),
    (
        "delete",
        &["right to delete a server"],
        "allow ecs:cloudServers:deleteServers",
    ),
    (
        "tags",
        &["right to tag a server"],
        "allow ecs:cloudServers:batchSetServerTags",
    ),
    (
        "volumes",
        &["right to list volumes"],
        "allow evs:volumes:list",
    ),
    (
        "delete_volume",
        &["right to delete a volume"],
        "allow evs:volumes:delete",
    ),
    ("ports", &["right to list ports"], "allow vpc:ports:get"),
    (
        "delete_port",
        &["right to delete a port"],
        "allow vpc:ports:delete",
    ),
];

pub(super) fn forbidden() -> impl Iterator<Item = Case> {
    let case = |(operation, fails, words)| (json!({"forbidden": [operation]}), fails, words);
    FORBIDDEN.into_iter().map(case)
}

/// What is not there, not enough, or not paid.
pub(super) fn lacking() -> [Case; 9] {
    let missing = |id: &str| json!({"missing": [id]});
    let no_network = &["subnet", "addresses of the subnet", ARM, X86];
    let (cores, instances) = (json!({"quota_cores": 32}), json!({"quota_instances": 1}));
    [
        (missing(VPC), &["VPC", ARM, X86], "orrect "),
        (missing(SUBNET), no_network, "orrect "),
        (missing(GROUP), &["security group", ARM, X86], "orrect "),
        (
            missing("patient"),
            &["key pair patient", ARM, X86],
            "orrect ",
        ),
        (missing(ARM_IMAGE), &["image of aarch64", ARM], "orrect "),
        (cores, &["quota of vCPU", ARM, X86], "a larger quota"),
        (instances, &["quota of servers", ARM, X86], "a larger quota"),
        (json!({"arrears": true}), &[ARM, X86], "its balance"),
        (
            json!({"disabled_keys": ["AK"]}),
            &["list of servers"],
            "the credentials under `ecs`",
        ),
    ]
}

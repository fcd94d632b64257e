//! Which action of an IAM policy each call needs, as `docs/iam-policy.json` grants them and `docs/cloud.md` explains.

/// The operations, each with its action; `None` where the documents know of none. The pages are named in
/// `docs/cloud.md`, action by action.
const ACTIONS: [(&str, Option<&str>); 24] = [
    ("list", Some("ecs:cloudServers:list")),
    ("find", Some("ecs:cloudServers:list")),
    ("show", Some("ecs:cloudServers:showServer")),
    ("create", Some("ecs:cloudServers:createServers")),
    ("dry_run", Some("ecs:cloudServers:createServers")),
    ("delete", Some("ecs:cloudServers:deleteServers")),
    ("tag", Some("ecs:cloudServers:batchSetServerTags")),
    ("untag", Some("ecs:cloudServers:batchSetServerTags")),
    ("job", None),
    ("flavors", Some("ecs:cloudServerFlavors:get")),
    ("limits", Some("ecs:cloudServerQuotas:get")),
    ("key_pair", Some("ecs:serverKeypairs:get")),
    ("volumes", Some("evs:volumes:list")),
    ("delete_volume", Some("evs:volumes:delete")),
    ("ports", Some("vpc:ports:get")),
    ("delete_port", Some("vpc:ports:delete")),
    ("vpc", Some("vpc:vpcs:get")),
    ("subnet", Some("vpc:subnets:get")),
    ("addresses", None),
    ("security_group", Some("vpc:securityGroups:get")),
    ("image", Some("ims:images:list")),
    ("price", Some("bss:discount:view")),
    ("securitykey", None),
    ("token", None),
];

/// What the client can do and the program never does, so that the policy does not allow it.
const NOT_ALLOWED: (&str, &str) = ("terminate_at", "ecs:cloudServers:setAutoTerminateTime");

/// The action that an operation needs.
#[must_use]
pub fn action(operation: &str) -> Option<&'static str> {
    if operation == NOT_ALLOWED.0 {
        return Some(NOT_ALLOWED.1);
    }
    let (_, action) = ACTIONS.iter().find(|(name, _)| *name == operation)?;
    *action
}

/// Whether the policy was thought of for this operation.
pub(super) fn is_known(operation: &str) -> bool {
    operation == NOT_ALLOWED.0 || ACTIONS.iter().any(|(name, _)| *name == operation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex::Regex;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    const POLICY: &str = include_str!("../../docs/iam-policy.json");
    const DOCS: &str = include_str!("../../docs/cloud.md");

    fn needed() -> BTreeSet<&'static str> {
        ACTIONS.iter().filter_map(|(_, action)| *action).collect()
    }

    #[test]
    fn the_policy_allows_what_the_calls_need_and_nothing_else() {
        let policy: serde_json::Value = serde_json::from_str(POLICY).unwrap();
        assert_eq!(policy["Version"], "1.1");
        let mut allowed = Vec::new();
        for statement in policy["Statement"].as_array().unwrap() {
            assert_eq!(statement["Effect"], "Allow");
            let actions = statement["Action"].as_array().unwrap().iter();
            allowed.extend(actions.map(|action| action.as_str().unwrap()));
        }
        assert_eq!(allowed.len(), needed().len(), "an action stands twice");
        assert_eq!(allowed.into_iter().collect::<BTreeSet<_>>(), needed());
    }

    #[test]
    fn each_action_is_explained_with_its_calls() {
        let row = Regex::new(r"(?m)^\| `([a-z]+:[A-Za-z]+:[A-Za-z]+)` \| ([^|]+) \|").unwrap();
        let call = Regex::new("`([a-z_]+)`").unwrap();
        let mut explained = BTreeSet::new();
        for row in row.captures_iter(DOCS) {
            for call in call.captures_iter(&row[2]) {
                explained.insert((call[1].to_owned(), row[1].to_owned()));
            }
        }
        let known = ACTIONS
            .iter()
            .filter_map(|(call, action)| Some(((*call).to_owned(), (*action)?.to_owned())));
        assert_eq!(explained, known.collect());
    }

    #[test]
    fn what_is_not_allowed_is_called_by_nobody() {
        let (call, action) = NOT_ALLOWED;
        assert!(!POLICY.contains(action));
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let tests = sources.join("ecs/tests");
        let called = format!("{call}(");
        let lines = |(path, text): (PathBuf, String)| {
            let lines = text.lines().filter(|line| line.contains(&called));
            let lines = lines.map(|line| format!("{}: {}", path.display(), line.trim()));
            lines.collect::<Vec<_>>()
        };
        let mut sources = files(&sources);
        sources.retain(|(path, _)| !path.starts_with(&tests));
        let lines: Vec<String> = sources.into_iter().flat_map(lines).collect();
        let [definition] = &lines[..] else {
            panic!("{lines:#?}");
        };
        assert!(definition.contains("fn "), "{definition}");
    }

    /// The names that the sources of this room give to calls: the first argument of whatever makes one.
    #[test]
    fn every_call_of_the_client_is_in_the_table_and_every_entry_is_a_call() {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ecs");
        let makers = r"Ask::(?:get|post|delete)|self\s*\.(?:get|pages|servers|tags_action|record)|const OPERATION: &str =";
        let name = Regex::new(&format!(r#"(?:{makers})\s*\(?\s*"([a-z_]+)""#)).unwrap();
        let mut called = BTreeSet::new();
        for (_, text) in files(&room) {
            called.extend(name.captures_iter(&text).map(|found| found[1].to_owned()));
        }
        let table = ACTIONS.iter().map(|(name, _)| *name);
        let table = table.chain([NOT_ALLOWED.0]).map(ToOwned::to_owned);
        assert_eq!(called, table.collect());
    }

    /// The files below a folder, with what is in them.
    fn files(folder: &Path) -> Vec<(PathBuf, String)> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                files.extend(self::files(&path));
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path, text));
            }
        }
        files
    }
}

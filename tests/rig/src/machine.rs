//! Worker machines: those that no order bought, and what stands on the disk of any.

use crate::farm::Farm;
use crate::files;
use crate::process::script_with;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::path::Path;

impl Farm {
    /// What the settings file of each machine has as its repository servers (`OBS_REPO_SERVERS`), by host name: as a
    /// shell reads it, the last one counts.
    ///
    /// # Errors
    /// Where a machine's disk can not be read.
    pub fn repository_servers(&self) -> Result<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for machine in std::fs::read_dir(self.options().root.join("machines"))? {
            let machine = machine?.path();
            // one that is being made or taken away has not all of its files
            let (Some(name), Some(settings)) = (
                text(&machine.join("summary"))?,
                text(&machine.join("upper/etc/sysconfig/obs-server"))?,
            ) else {
                continue;
            };
            let set = settings.lines();
            let mut set = set.filter_map(|line| line.strip_prefix("OBS_REPO_SERVERS="));
            let name = name.split(' ').next().unwrap_or_default();
            let last = set.next_back().unwrap_or_default().trim_matches('"');
            all.insert(name.to_owned(), last.to_owned());
        }
        Ok(all)
    }

    /// Boots a worker that nobody bought: of this name, with one instance and so many vCPU and jobs.
    ///
    /// # Errors
    /// Where it can not be launched.
    pub async fn boot_unmanaged(&self, name: &str, ip: &str, vcpus: u32, jobs: u32) -> Result<()> {
        let data = self.options().root.join(format!("{name}.user-data"));
        let lines = [
            "OBS_SRC_SERVER=127.0.0.1:5352".to_owned(),
            "OBS_REPO_SERVERS=127.0.0.1:5252".to_owned(),
            "OBS_WORKER_INSTANCES=1".to_owned(),
            format!("OBS_WORKER_JOBS={jobs}"),
        ];
        let lines = lines.map(|line| format!("      {line}\n")).concat();
        let head = "#cloud-config\nwrite_files:\n  - path: /etc/sysconfig/obs-server\n";
        let whole = format!("{head}    append: true\n    content: |\n{lines}");
        std::fs::write(&data, whole)?;
        let (vcpus, data) = (
            vcpus.to_string(),
            data.to_str()
                .context("a path that is not UTF-8")?
                .to_owned(),
        );
        let order = [
            ["--id", name],
            ["--name", name],
            ["--ip", ip],
            ["--arch", "x86_64"],
            ["--vcpus", &vcpus],
            ["--user-data", &data],
            ["--key-name", files::KEY_NAME],
        ];
        let arguments = [&["boot"], order.as_flattened()].concat();
        let machine = self.options().script("machine.sh");
        let starts = [("RIG_IMAGE_STARTS_WORKER", "1")];
        script_with(&machine, &self.options().root, &arguments, &starts).await?;
        Ok(())
    }
}

/// The file's text; `None` where there is no such file.
fn text(file: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(read.with_context(|| file.display().to_string())?)),
    }
}

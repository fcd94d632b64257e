//! Worker machines that no order bought.

use crate::farm::Farm;
use crate::files;
use crate::process::script_with;
use anyhow::{Context as _, Result};

impl Farm {
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

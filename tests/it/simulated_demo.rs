//! The demo for who is not root runs to its end, says what is not real before anything else, and leaves
//! nothing behind, also where it is stopped or a part of it dies.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A demo that runs, without any Prometheus on its PATH.
struct Demo {
    child: Child,
    /// Where it may write.
    temporary: TempDir,
    said: PathBuf,
    _tools: TempDir,
}

impl Drop for Demo {
    /// For tests that failed: it takes its parts along, which a kill would not let it do.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("-TERM", self.child.id());
            let _status = self.child.wait();
        }
    }
}

impl Demo {
    fn start(seconds: &str) -> Self {
        let binaries = Path::new(env!("CARGO_BIN_EXE_obs-scaler"))
            .parent()
            .unwrap();
        let (tools, temporary) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for tool in ["ssh-keygen", "kill"] {
            let real = Path::new("/usr/bin").join(tool);
            std::os::unix::fs::symlink(real, tools.path().join(tool)).unwrap();
        }
        let said = tools.path().join("said");
        let child = Command::new(binaries.join("demo"))
            .args(["--simulated", "--jobs", "4", "--seconds", seconds])
            .args(["--repository", env!("CARGO_MANIFEST_DIR"), "--binaries"])
            .arg(binaries)
            .env("PATH", tools.path())
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::null())
            .stdout(fs::File::create(&said).unwrap())
            .spawn();
        Self {
            child: child.unwrap(),
            temporary,
            said,
            _tools: tools,
        }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).unwrap()
    }

    fn wait_for(&mut self, stage: &str) {
        let end = Instant::now() + Duration::from_secs(60);
        while !self.said().contains(stage) {
            assert_eq!(self.child.try_wait().unwrap(), None, "{}", self.said());
            assert!(Instant::now() < end, "never: {stage}; {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The processes that it started: each is told of its folder, or holds a log there.
    fn parts(&self) -> Vec<(u32, String)> {
        let folder = self.temporary.path().to_str().unwrap();
        let mut parts = Vec::new();
        for process in fs::read_dir("/proc").unwrap().map(Result::unwrap) {
            let Ok(pid) = process.file_name().to_str().unwrap().parse::<u32>() else {
                continue;
            };
            // it may have ended meanwhile
            let output = fs::read_link(process.path().join("fd/2")).unwrap_or_default();
            if output.starts_with(folder) {
                let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
                parts.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        parts
    }

    /// Waits for its end; whether it went right.
    fn ends(&mut self) -> bool {
        self.child.wait().unwrap().success()
    }

    fn left(&self) -> Vec<String> {
        let left = fs::read_dir(self.temporary.path()).unwrap();
        left.map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

fn signal(signal: &str, pid: u32) {
    let mut kill = Command::new("kill");
    kill.args([signal, &pid.to_string()]);
    assert!(kill.status().unwrap().success());
}

#[test]
fn it_goes_right_without_prometheus_and_says_what_is_not_real() {
    let mut demo = Demo::start("2");
    let went_right = demo.ends();
    let said = demo.said();
    assert!(went_right, "{said}");
    assert!(said.starts_with("SIMULATED: "), "{said}");
    assert!(said.contains("NO Prometheus and Alertmanager"), "{said}");
    assert!(said.contains("every job was built exactly once"), "{said}");
    assert_eq!(demo.left(), [""; 0], "{said}");
}

#[test]
fn it_leaves_nothing_where_it_is_interrupted_in_the_middle() {
    for sent in ["-INT", "-TERM"] {
        let mut demo = Demo::start("600");
        demo.wait_for("the cloud has created");
        assert_eq!(demo.parts().len(), 3, "{:?}", demo.parts());
        signal(sent, demo.child.id());
        assert!(!demo.ends(), "{}", demo.said());
        let said = demo.said();
        assert!(said.ends_with("went WRONG: interrupted\n"), "{said}");
        assert_eq!(demo.parts(), []);
        assert_eq!(demo.left(), [""; 0], "{said}");
    }
}

#[test]
fn it_names_a_part_that_died_and_leaves_its_logs_only() {
    for part in ["obs-sim obs", "obs-sim ecs", "obs-scaler --config"] {
        let mut demo = Demo::start("600");
        demo.wait_for("the cloud has created");
        let parts = demo.parts();
        let (pid, _) = parts.iter().find(|(_, line)| line.contains(part)).unwrap();
        signal("-KILL", *pid);
        assert!(!demo.ends(), "{}", demo.said());
        let said = demo.said();
        let name = part.trim_end_matches(" --config");
        assert!(said.contains(&format!("{name} ended: signal: 9")), "{said}");
        assert_eq!(demo.parts(), []);
        let left = demo.left();
        assert!(left.len() == 1 && left[0].ends_with("-logs"), "{left:?}");
    }
}

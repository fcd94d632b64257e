//! The machines behind the servers: a program that boots and destroys them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::process::Command;

use super::world::Boot;
use crate::machine::{NewMachine, StandIns};

/// A program that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// What stands behind the servers.
pub(super) enum Backing {
    /// A program that boots and destroys.
    Program(Machines),
    /// Records that answer over ssh.
    StandIns(StandIns),
}

impl Backing {
    pub(super) async fn boot(&self, boot: &Boot) -> Result<(), String> {
        match self {
            Self::Program(machines) => machines.boot(boot).await,
            Self::StandIns(machines) => machines.boot(&machine_of(boot)).await,
        }
    }

    pub(super) async fn destroy(&self, id: &str) -> Result<(), String> {
        match self {
            Self::Program(machines) => machines.destroy(id).await,
            Self::StandIns(machines) => machines.destroy(id).await,
        }
    }

    pub(super) fn clean_up(&self) {
        if let Self::Program(machines) = self {
            machines.clean_up();
        }
    }
}

fn machine_of(boot: &Boot) -> NewMachine {
    NewMachine {
        id: boot.id.clone(),
        name: boot.name.clone(),
        ip: boot.ip.clone(),
        arch: boot.arch.to_owned(),
        vcpus: boot.vcpus,
        memory_mib: boot.memory_mib,
        local_disk: boot.local_disk,
        user_data: boot.user_data.clone(),
    }
}

pub(super) struct Machines {
    program: PathBuf,
    /// A directory per machine, for its user data and the program's words.
    dir: PathBuf,
    /// One call at a time for each machine: a destroy waits for the boot.
    turns: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Machines {
    pub(super) fn new(program: PathBuf) -> io::Result<Self> {
        let dir = private_dir(&std::env::temp_dir())?;
        Ok(Self {
            program,
            dir,
            turns: Mutex::default(),
        })
    }

    /// `PROGRAM boot --id … --user-data FILE`; the error says how it ended and its last words.
    pub(super) async fn boot(&self, boot: &Boot) -> Result<(), String> {
        let dir = self.dir.join(&boot.id);
        let user_data = dir.join("user-data");
        write_private(&dir, &user_data, &boot.user_data).map_err(|e| e.to_string())?;
        let mut command = self.command("boot", &boot.id);
        command.args(["--name", &boot.name, "--ip", &boot.ip, "--arch", boot.arch]);
        command
            .args(["--vcpus", &boot.vcpus.to_string()])
            .args(["--memory", &boot.memory_mib.to_string()])
            .arg("--user-data")
            .arg(&user_data);
        if let Some(key) = &boot.key_name {
            command.args(["--key-name", key]);
        }
        self.run(command, &boot.id).await
    }

    /// `PROGRAM destroy --id …`; the machine is gone once this has returned well.
    pub(super) async fn destroy(&self, id: &str) -> Result<(), String> {
        self.run(self.command("destroy", id), id).await?;
        // What is left there is removed with the whole directory at the end.
        let _ = fs::remove_dir_all(self.dir.join(id));
        Ok(())
    }

    pub(super) fn clean_up(&self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::warn!(%error, dir = %self.dir.display(), "could not be removed");
        }
    }

    fn command(&self, verb: &str, id: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args([verb, "--id", id]);
        command
    }

    /// The program's stderr goes to a file and not to a pipe, because a machine that it leaves
    /// running would hold the pipe open; and it gets a process group of its own, so that a Ctrl-C
    /// reaches only the simulator, which then destroys in order.
    async fn run(&self, mut command: Command, id: &str) -> Result<(), String> {
        let turn = self.turn(id);
        let _held = turn.lock().await;
        let words = self.dir.join(format!("{id}.log"));
        let log = fs::File::create(&words).map_err(|e| e.to_string())?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0);
        let status = tokio::time::timeout(PATIENCE, command.status()).await;
        match status {
            Err(_) => Err(format!("no end after {} s", PATIENCE.as_secs())),
            Ok(Err(error)) => Err(format!("{}: {error}", self.program.display())),
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("{status}: {}", last_words(&words))),
        }
    }

    fn turn(&self, id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(id.to_owned()).or_default())
    }
}

impl Drop for Machines {
    /// Who forgets to stop the cloud leaves no user data behind all the same.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A new directory that only we can read: user data holds secrets.
fn private_dir(parent: &Path) -> io::Result<PathBuf> {
    let process = std::process::id();
    for attempt in 0..1000 {
        let dir = parent.join(format!("obs-sim-{process}-{attempt}"));
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| dir),
        }
    }
    Err(io::Error::other("no free name for a directory"))
}

fn write_private(dir: &Path, file: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(dir)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    file.write_all(bytes)
}

fn last_words(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    text.lines().last().unwrap_or_default().to_owned()
}

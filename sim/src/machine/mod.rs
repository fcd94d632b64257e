//! Build machines that are records: an ssh server on a loopback address in front of each, which
//! answers the commands that obs-scaler sends as the machine would, from what user data and earlier
//! commands said. Its service, once started, attaches the host to simulated OBS backends.
//!
//! Real: the sockets, the ssh protocol, the host key of the user data, the login by key. Not real:
//! everything behind; no command is run.

mod obs;
mod record;
mod ssh;
mod user_data;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::PublicKey;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use obs::Backends;
use record::Record;
use user_data::UserData;

/// What all machines of a cloud have in common.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the simulated OBS backends listen that their hosts are attached to: where there are more than one,
    /// to those that their settings name.
    pub obs: Vec<SocketAddr>,
    /// The port of their ssh servers.
    pub ssh_port: u16,
    /// The public key that opens them, `ssh-ed25519 AAAA…`: the cloud's key pair.
    pub authorized_key: String,
}

/// A machine to boot.
#[derive(Debug, Clone)]
pub struct NewMachine {
    /// The server's id.
    pub id: String,
    /// Its server's name: its host name, unless user data says otherwise.
    pub name: String,
    /// Its address, of loopback.
    pub ip: String,
    /// `uname -m` there.
    pub arch: String,
    /// Its processors.
    pub vcpus: u32,
    /// Its memory, in MiB.
    pub memory_mib: u32,
    /// Whether it builds on a local NVMe disk.
    pub local_disk: bool,
    /// What cloud-init is given.
    pub user_data: Vec<u8>,
}

struct Machine {
    name: String,
    ssh: JoinHandle<()>,
}

/// The machines that are up.
pub struct StandIns {
    obs: Backends,
    port: u16,
    authorized: PublicKey,
    machines: Mutex<BTreeMap<String, Machine>>,
}

impl StandIns {
    /// None is up yet.
    ///
    /// # Errors
    /// Where the key is none.
    pub fn new(options: &Options) -> std::io::Result<Self> {
        let authorized = PublicKey::from_openssh(options.authorized_key.trim());
        Ok(Self {
            obs: Backends::at(&options.obs),
            port: options.ssh_port,
            authorized: authorized.map_err(std::io::Error::other)?,
            machines: Mutex::default(),
        })
    }

    /// Reads the user data as cloud-init would, and starts the machine's ssh server.
    ///
    /// # Errors
    /// Says what the machine could not come up for.
    pub async fn boot(&self, new: &NewMachine) -> Result<(), String> {
        let user_data = UserData::read(&new.user_data, &new.name)?;
        let ip: IpAddr = new.ip.parse().map_err(|e| format!("{}: {e}", new.ip))?;
        if !ip.is_loopback() {
            return Err(format!("{ip} is no address of loopback"));
        }
        let listener = TcpListener::bind((ip, self.port)).await;
        let listener = listener.map_err(|e| format!("{ip}:{}: {e}", self.port))?;
        let record = Record::new(new, &user_data, self.obs.clone());
        let server = ssh::Server::new(&user_data.host_key, &self.authorized, record);
        let machine = Machine {
            name: user_data.hostname.clone(),
            ssh: tokio::spawn(ssh::serve(listener, Arc::new(server))),
        };
        self.machines().insert(new.id.clone(), machine);
        Ok(())
    }

    /// Switches a machine off, whatever it does: what it builds becomes a ghost in OBS.
    ///
    /// # Errors
    /// Where OBS could not be told.
    pub async fn destroy(&self, id: &str) -> Result<(), String> {
        let Some(machine) = self.machines().remove(id) else {
            return Ok(());
        };
        machine.ssh.abort();
        self.obs.detach(&machine.name).await
    }

    fn machines(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Machine>> {
        // A panic elsewhere does not make the list less true.
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! A worker machine for the tests: OpenSSH's own server on loopback, and behind it a folder of
//! stand-ins for the commands that are run there. Nothing of this machine is asked or changed.

use obs_scaler::config;
use obs_scaler::model::Arch;
use obs_scaler::ssh::{Access, Pin, Pinned, hands};
use secrecy::SecretString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The architecture of the worker machine: never that of the one that runs the tests, so that a
/// check which reaches that one by mistake ends at its first question.
pub(crate) const ARCH: Arch = if cfg!(target_arch = "aarch64") {
    Arch::X86_64
} else {
    Arch::Aarch64
};

const SYSTEMCTL: &str = r#"
cd "$(dirname "$0")/.." || exit
case $1 in
  is-active) cat unit; grep -qx active unit;;
  stop) echo stop >>log; : >processes; echo inactive >unit;;
  start)
    echo start >>log
    if [ -e broken ]; then echo 'Job for obsworker.service failed' >&2; exit 1; fi
    . ./obs-server
    for i in $(seq "$OBS_WORKER_INSTANCES"); do
      echo "10$i ./bs_worker --statedir /run/obs/worker/$i --jobs $OBS_WORKER_JOBS $(printf -- ' --reposerver http://%s' $OBS_REPO_SERVERS)"
    done >processes
    echo active >unit;;
esac
"#;
const PGREP: &str = r#"cd "$(dirname "$0")/.." && [ -s processes ] && cat processes"#;
const PERL: &str = r#"
cd "$(dirname "$0")/.." && cat >program || exit
case $2 in
  --undo) cat uncordoned;;
  *) echo cordon >>log && cat cordoned && exit "$(cat cordon-status)";;
esac
"#;

/// The machine. It is switched off when it is dropped.
pub(crate) struct Machine {
    dir: TempDir,
    sshd: Child,
    addr: SocketAddr,
    forced: bool,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.sshd.kill().unwrap();
        self.sshd.wait().unwrap();
    }
}

impl Machine {
    /// A machine whose service is off, and whose settings file is empty.
    pub(crate) fn boot() -> Self {
        Self::boot_with(|host| generate_key(host, &["-t", "ed25519"]))
    }

    /// A machine like that, whose host key is written to a path by `host_key`.
    pub(crate) fn boot_with(host_key: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        host_key(&dir.path().join("host"));
        for name in ["client", "other"] {
            generate_key(&dir.path().join(name), &["-t", "ed25519"]);
        }
        fs::copy(dir.path().join("client.pub"), dir.path().join("authorized")).unwrap();
        for file in ["obs-server", "processes", "cordoned", "uncordoned", "log"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        fs::write(dir.path().join("unit"), "inactive\n").unwrap();
        fs::write(dir.path().join("cordon-status"), "0").unwrap();
        let (sshd, addr) = start_sshd(dir.path());
        let machine = Self {
            dir,
            sshd,
            addr,
            forced: false,
        };
        machine.command("uname", &format!("echo {ARCH}"));
        machine.command("systemctl", SYSTEMCTL);
        machine.command("pgrep", PGREP);
        machine.command("perl", PERL);
        machine.command("sleep", "");
        machine
    }

    /// The same, with an account that has our program as its forced command and may do nothing else.
    pub(crate) fn with_forced_command(mut self) -> Self {
        let (program, hands) = (hands(&self.home("obs-server")), self.home("hands"));
        // the stand-ins go before this machine's own commands
        let path = format!("\nPATH={}:", self.home("bin"));
        assert_eq!(program.matches("\nPATH=").count(), 1);
        self.write("hands", &program.replace("\nPATH=", &path));
        fs::set_permissions(&hands, PermissionsExt::from_mode(0o755)).unwrap();
        let line = format!("restrict,command=\"{hands}\" {}", self.read("client.pub"));
        self.write("authorized", &line);
        self.forced = true;
        self
    }

    /// Where one of its files is.
    pub(crate) fn home(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Whether it has this file.
    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Where its ssh server listens, on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.addr.port()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What one of its files holds.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces one of its files.
    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Replaces one of its commands.
    pub(crate) fn command(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        fs::create_dir_all(self.path("bin")).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// What a script says as the service is started goes to its log before that.
    pub(crate) fn before_start(&self, script: &str) {
        let before =
            format!("if [ \"$1\" = start ]; then {script}; fi >>\"$(dirname \"$0\")/../log\"");
        self.command("systemctl", &format!("{before}\n{SYSTEMCTL}"));
    }

    /// The machine, with the key of this name as its pin.
    pub(crate) fn pinned(&self, name: &str) -> Pinned<SocketAddr> {
        let pin = Pin::parse(&self.read(&format!("{name}.pub")));
        Pinned::new(self.addr, pin.unwrap())
    }

    /// Access with the private key of this name.
    pub(crate) fn access(&self, name: &str) -> Access {
        Access::new(&self.config(name)).unwrap()
    }

    /// How it is reached with the private key of this name.
    pub(crate) fn config(&self, name: &str) -> config::Ssh {
        let whoami = Command::new("/usr/bin/id").arg("-un").output().unwrap();
        config::Ssh {
            user: String::from_utf8(whoami.stdout).unwrap().trim().to_owned(),
            port: self.addr.port(),
            forced_command: self.forced,
            login: config::Login::Key(SecretString::from(self.read(name))),
            host_key_secret: SecretString::from("s".repeat(32)),
            known_hosts_file: None,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(10),
            session_timeout: Duration::from_secs(60),
            sysconfig: self.path("obs-server").to_str().unwrap().to_owned(),
            proved_worker_code: Vec::new(),
            backend_hosts: std::collections::BTreeMap::new(),
        }
    }

    /// The same, as if the account had a forced command.
    pub(crate) fn forced_access(&self, name: &str) -> Access {
        let config = config::Ssh {
            forced_command: true,
            ..self.config(name)
        };
        Access::new(&config).unwrap()
    }

    /// Access with little patience.
    pub(crate) fn hasty_access(&self, patience: Duration) -> Access {
        let config = config::Ssh {
            connect_timeout: patience,
            command_timeout: patience,
            ..self.config("client")
        };
        Access::new(&config).unwrap()
    }
}

/// Makes a key pair.
pub(crate) fn generate_key(path: &Path, options: &[&str]) {
    let made = Command::new("/usr/bin/ssh-keygen")
        .args(["-q", "-C", "test", "-f"])
        .arg(path)
        .args(options)
        .args(if options.contains(&"-N") {
            &[][..]
        } else {
            &["-N", ""]
        })
        .status()
        .expect("ssh-keygen, of the package openssh-client, has to be installed");
    assert!(made.success());
}

/// Starts the server on a free port; another process may take the port first, so it is tried again.
fn start_sshd(dir: &Path) -> (Child, SocketAddr) {
    // where sshd, run by root, locks itself in; systemd's unit makes it, and none runs here
    let _ = fs::create_dir_all("/run/sshd");
    for _ in 0..5 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = free.local_addr().unwrap();
        drop(free);
        let mut sshd = spawn_sshd(dir, addr);
        let end = Instant::now() + Duration::from_secs(10);
        while sshd.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "sshd does not listen at {addr}");
            if TcpStream::connect(addr).is_ok() {
                return (sshd, addr);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let log = fs::read_to_string(dir.join("sshd.log")).unwrap();
    panic!("sshd does not start: {log}");
}

fn spawn_sshd(dir: &Path, addr: SocketAddr) -> Child {
    let home = dir.display();
    let settings = format!(
        "ListenAddress {addr}\nHostKey {home}/host\nPidFile none\nUsePAM no\nStrictModes no\n\
         PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
         AuthorizedKeysFile {home}/authorized\nSetEnv PATH={home}/bin:/usr/bin:/bin\n"
    );
    fs::write(dir.join("sshd_config"), settings).unwrap();
    Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(dir.join("sshd_config"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(dir.join("sshd.log")).unwrap())
        .spawn()
        .expect("sshd, of the package openssh-server, has to be installed")
}

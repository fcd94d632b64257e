//! A machine as a record, and what it answers to each command.

use super::NewMachine;
use super::obs::{Backends, Host, Instance};
use super::user_data::UserData;

/// What a command said and how it ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) status: u32,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Output {
    fn said(stdout: String) -> Self {
        Self {
            stdout,
            ..Self::default()
        }
    }

    fn failed(status: u32, stderr: String) -> Self {
        Self {
            status,
            stderr,
            ..Self::default()
        }
    }
}

/// The commands that a machine knows, told apart by a word that each alone holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Arch,
    Facts,
    Service,
    Start,
    Read,
    Write,
    Cordon,
    Uncordon,
    Stop,
}

/// Looked through in this order: the start asks for the state as well.
const WORDS: [(&str, Verb); 9] = [
    ("MemTotal", Verb::Facts),
    ("exec uname -m", Verb::Arch),
    (">&2 && systemctl stop obsworker", Verb::Stop),
    ("systemctl start obsworker", Verb::Start),
    ("pgrep -a -x bs_worker", Verb::Service),
    ("exec perl - --undo", Verb::Uncordon),
    ("exec perl -", Verb::Cordon),
    ("mv -f --", Verb::Write),
    ("cat -- ", Verb::Read),
];

impl Verb {
    fn of(line: &str) -> Option<Self> {
        let found = WORDS.iter().find(|(word, _)| line.contains(word));
        found.map(|(_, verb)| *verb)
    }
}

/// A machine.
pub(super) struct Record {
    name: String,
    ip: String,
    arch: String,
    vcpus: u32,
    memory_mib: u32,
    local_disk: bool,
    settings: String,
    /// The command lines of its worker processes; none while the service is off.
    processes: Vec<String>,
    /// Every backend that there is.
    all: Backends,
    /// Those that it serves: what its settings said when it was started.
    served: Backends,
}

impl Record {
    pub(super) fn new(new: &NewMachine, user_data: &UserData, all: Backends) -> Self {
        let settings = &user_data.settings;
        Self {
            name: user_data.hostname.clone(),
            ip: new.ip.clone(),
            arch: new.arch.clone(),
            vcpus: new.vcpus,
            memory_mib: new.memory_mib,
            local_disk: new.local_disk,
            settings: format!("# settings of this worker\n{settings}"),
            processes: Vec::new(),
            served: all.named(""),
            all,
        }
    }

    /// What the account's shell would say to this line, with this on its input.
    pub(super) async fn run(&mut self, line: &str, input: &str) -> Output {
        let Some(verb) = Verb::of(line) else {
            tracing::warn!(name = self.name, line, "unknown command");
            return Output::failed(
                127,
                "this machine is a record and knows no such command".into(),
            );
        };
        let done = match verb {
            Verb::Arch => Ok(format!("{}\n", self.arch)),
            Verb::Facts => self.facts(),
            Verb::Service => Ok(self.service()),
            Verb::Start => self.start().await.map(|()| String::new()),
            Verb::Read => Ok(self.settings.clone()),
            Verb::Write => {
                input.clone_into(&mut self.settings);
                Ok(String::new())
            }
            Verb::Cordon => return self.cordon().await,
            Verb::Uncordon => return self.uncordon().await,
            Verb::Stop => return self.stop().await,
        };
        match done {
            Ok(stdout) => Output::said(stdout),
            Err(why) => Output::failed(1, why),
        }
    }

    /// The system keeps a thirtieth of the memory, and it builds on 200 GiB.
    fn facts(&self) -> Result<String, String> {
        let seconds = crate::clock::now().as_second();
        let (vcpus, memory) = (self.vcpus, u64::from(self.memory_mib) * 990);
        let devices = if self.local_disk {
            "nvme0n1"
        } else {
            "vda1 vda1 vda"
        };
        let root = self.setting("OBS_WORKER_DIRECTORY");
        let root = root.unwrap_or("/var/cache/obs/worker");
        Ok(format!(
            "cpus\t{vcpus}\nmemory\t{memory}\nhost\t{}\ntime\t{seconds}\n\
             disk\t{root}\t188743680\t/\t{devices}\n",
            self.name
        ))
    }

    fn service(&self) -> String {
        let unit = if self.processes.is_empty() {
            "inactive"
        } else {
            "active"
        };
        let lines = self.processes.iter().map(|line| format!("{line}\n"));
        format!("{unit}\n{}", lines.collect::<String>())
    }

    /// The value of a setting, as the shell that sources the file has it.
    fn setting(&self, key: &str) -> Option<&str> {
        let mut values = self.settings.lines().filter_map(|line| {
            let (found, value) = line.split_once('=')?;
            (found == key).then(|| value.trim_matches('"'))
        });
        values.next_back()
    }

    fn number(&self, key: &str) -> Result<u32, String> {
        let value = self.setting(key).unwrap_or_default();
        value
            .parse()
            .map_err(|_| format!("{key}={value:?} is no number"))
    }

    /// What the init script makes of the settings of the cache and of the proxy (`OBS_WORKER_OPT`).
    fn options(&self) -> String {
        let given = |key| self.setting(key).filter(|value| !value.is_empty());
        let cache = given("OBS_CACHE_DIR").zip(given("OBS_CACHE_SIZE"));
        let cache = cache.map(|(dir, size)| format!(" --cachedir {dir} --cachesize {size}"));
        let proxy = given("OBS_WORKER_BINARIES_PROXY");
        let proxy = proxy.map(|url| format!(" --getbinariesproxy {url}"));
        [cache, proxy].into_iter().flatten().collect()
    }

    async fn start(&mut self) -> Result<(), String> {
        if !self.processes.is_empty() {
            return Ok(());
        }
        let instances = match self.number("OBS_WORKER_INSTANCES")? {
            0 => self.vcpus,
            instances => instances,
        };
        let jobs = self.number("OBS_WORKER_JOBS")?;
        let servers = self.setting("OBS_REPO_SERVERS").unwrap_or_default();
        let served = self.all.named(servers);
        let servers: String = servers
            .split_whitespace()
            .map(|server| format!(" --reposerver http://{server}"))
            .collect();
        let options = self.options();
        let host = Host {
            name: &self.name,
            ip: &self.ip,
            arch: &self.arch,
            instances,
            vcpus: self.vcpus,
        };
        served.attach(&host).await?;
        self.served = served;
        let process = |n| {
            let dir = format!("/run/obs/worker/{n}");
            format!("10{n} ./bs_worker --jobs {jobs} --statedir {dir}{servers}{options}")
        };
        self.processes = (1..=instances).map(process).collect();
        Ok(())
    }

    /// As `cordon.pl`: a line for each instance, and 75 until nothing builds. A cordoned instance of a
    /// real worker stays idle in OBS' list, and refuses; this one is `down` there.
    async fn cordon(&self) -> Output {
        if self.processes.is_empty() {
            return Output::default();
        }
        let drained = self.served.drain(&self.name).await;
        let instances = match drained {
            Ok(()) => self.served.instances(&self.name).await,
            Err(why) => Err(why),
        };
        let instances = match instances {
            Ok(instances) => instances,
            Err(why) => return Output::failed(1, why),
        };
        let building = instances.iter().any(|i| i.state == "building");
        Output {
            status: if building { 75 } else { 0 },
            ..Output::said(instances.iter().map(cordon_line).collect())
        }
    }

    async fn uncordon(&self) -> Output {
        if self.processes.is_empty() {
            return Output::default();
        }
        let taken_back = self.served.take_back(&self.name).await;
        let instances = match taken_back {
            Ok(()) => self.served.instances(&self.name).await,
            Err(why) => Err(why),
        };
        match instances {
            Ok(instances) => {
                let lines = instances
                    .iter()
                    .map(|i| format!("{} cordoned {}\n", i.number, i.state));
                Output::said(lines.collect())
            }
            Err(why) => Output::failed(1, why),
        }
    }

    async fn stop(&mut self) -> Output {
        let cordoned = self.cordon().await;
        if cordoned.status != 0 {
            return cordoned;
        }
        if let Err(why) = self.served.detach(&self.name).await {
            return Output::failed(1, why);
        }
        self.processes.clear();
        Output::default()
    }
}

/// An instance's number, and its state before and after, in the words of `cordon.pl`.
fn cordon_line(instance: &Instance) -> String {
    let words = if instance.state == "building" {
        "building building+cordoned"
    } else {
        "idle cordoned"
    };
    format!("{} {words}\n", instance.number)
}

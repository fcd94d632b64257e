//! Everything that is ever run on a worker. Values reach a command quoted, or over its input.

use super::SshError;

/// The program that cordons; see `cordon.pl`.
const CORDON: &str = include_str!("cordon.pl");

/// The unit's state in systemd's word on the first line, then a line for each worker process. `-x`
/// compares names: `-f` would find the shell that asks.
const SERVICE: &str = r#"
unit=$(systemctl is-active obsworker)
processes=$(pgrep -a -x bs_worker)
found=$?
[ "$found" -le 1 ] || exit "$found"
printf '%s\n' "$unit" "$processes"
"#;

/// Starts the service where no worker process runs, for a start beside a running build kills it.
/// systemd may call a unit active whose processes have all left: it has to be stopped first, once it
/// is sure that they are not just coming. At the end they must have stayed for 3 s.
const START: &str = r#"
runs() { pgrep -x bs_worker >/dev/null; }
comes() { for i in 1 2 3 4 5 6 7 8 9 10; do runs && return; sleep 0.3; done; return 1; }
runs && exit
if systemctl is-active --quiet obsworker; then
  comes && exit
  systemctl stop obsworker || exit
fi
systemctl start obsworker || exit
comes && sleep 3 && runs && exit
echo 'the service was started, and no bs_worker runs' >&2
exit 1
"#;

/// A stop kills what builds: so it comes right behind a cordon that says that nothing does.
const STOP: &str = "perl - >&2 && systemctl stop obsworker";

/// A copy is changed and renamed over the file, with its owner and mode; not where less arrived than
/// was sent. Arguments: the file, the number of bytes.
const WRITE: &str = r#"
file=$(readlink -f -- "$1") && new=$file.obs-scaler || exit
if [ -e "$file" ]; then cp -p -- "$file" "$new"; else (umask 022 && : >"$new"); fi || exit
cat >"$new" || exit
[ "$(wc -c <"$new")" -eq "$2" ] || { echo 'cut off on the way' >&2; exit 1; }
mv -f -- "$new" "$file"
"#;

/// A missing file reads as empty: it sets nothing. Argument: the file.
const READ: &str = r#"[ ! -e "$1" ] || cat -- "$1""#;

/// Four files of `/proc`, each behind a line that names it. All or nothing.
const RESOURCE_USE: &str = r#"
for file in stat meminfo diskstats net/dev; do
  printf '== %s\n' "$file" && cat "/proc/$file" || exit
done
"#;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command<'a> {
    /// What `uname -m` says.
    Arch,
    /// What the kernel counts of CPUs, memory, disks and network interfaces.
    ResourceUse,
    /// Whether the service is active, and the worker processes that run.
    Service,
    /// Starts the service, if no worker process runs; ends well when they run 3 s later.
    StartService,
    /// The settings file.
    ReadSettings {
        /// Its path.
        path: &'a str,
    },
    /// Writes the settings file, whole or not at all.
    WriteSettings {
        /// Its path.
        path: &'a str,
        /// Its new content.
        content: &'a str,
    },
    /// Tells every instance to finish its job and to take no other.
    Cordon,
    /// Stops the service; fails, and stops nothing, where an instance is not cordoned yet.
    StopDrainedService,
}

impl Command<'_> {
    /// Its name in errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Arch => "uname",
            Self::ResourceUse => "resource use",
            Self::Service => "service state",
            Self::StartService => "start of the service",
            Self::ReadSettings { .. } => "reading the settings",
            Self::WriteSettings { .. } => "writing the settings",
            Self::Cordon => "cordon",
            Self::StopDrainedService => "stop of the drained service",
        }
    }

    /// What the account's shell is given.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Arch => "exec uname -m".to_owned(),
            Self::ResourceUse => script(RESOURCE_USE, &[]),
            Self::Service => script(SERVICE, &[]),
            Self::StartService => script(START, &[]),
            Self::ReadSettings { path } => script(READ, &[path]),
            Self::WriteSettings { path, content } => {
                script(WRITE, &[path, &content.len().to_string()])
            }
            Self::Cordon => "exec perl -".to_owned(),
            Self::StopDrainedService => script(STOP, &[]),
        }
    }

    /// What it gets on its input.
    pub(super) const fn input(&self) -> &str {
        match self {
            Self::WriteSettings { content, .. } => content,
            Self::Cordon | Self::StopDrainedService => CORDON,
            Self::Arch
            | Self::ResourceUse
            | Self::Service
            | Self::StartService
            | Self::ReadSettings { .. } => "",
        }
    }

    /// Whether it did what it was asked to. The cordon's 75 asks for another look.
    const fn succeeded(&self, status: u32) -> bool {
        status == 0 || (matches!(self, Self::Cordon) && status == 75)
    }

    /// The output of a command that succeeded.
    pub(super) fn judge(&self, output: Output) -> Result<Output, SshError> {
        if self.succeeded(output.status) {
            return Ok(output);
        }
        Err(SshError::ExitStatus {
            command: self.name(),
            status: output.status,
            stderr: output.stderr.trim().chars().take(500).collect(),
        })
    }
}

/// What a command said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its exit status.
    pub status: u32,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

fn script(text: &str, arguments: &[&str]) -> String {
    let words = arguments.iter().map(|word| format!(" {}", quoted(word)));
    format!(
        "exec /bin/sh -c {} sh{}",
        quoted(text),
        words.collect::<String>()
    )
}

/// The text as one word of a shell's command line.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    fn run(command: &Command<'_>) -> Output {
        let mut child = Process::new("/bin/sh")
            .args(["-c", &command.line()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(command.input().as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        Output {
            status: output.status.code().unwrap().try_into().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    #[test]
    fn what_was_written_is_read_back_even_where_the_path_looks_like_a_command() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("-a 'b' $(touch oops);\"#");
        let path = file.to_str().unwrap();
        assert_eq!(run(&Command::ReadSettings { path }).stdout, "");
        for content in ["first\n", "second 'a' \"b\" $c\n"] {
            let written = run(&Command::WriteSettings { path, content });
            assert_eq!(written, Output::default());
            assert_eq!(run(&Command::ReadSettings { path }).stdout, content);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_link_stays_one() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let path = link.to_str().unwrap();
        run(&Command::WriteSettings {
            path,
            content: "new",
        });
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
    }

    #[test]
    fn a_file_that_was_cut_off_on_the_way_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "old").unwrap();
        let line = script(WRITE, &[file.to_str().unwrap(), "100"]);
        let shell = Process::new("/bin/sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .output();
        assert_eq!(shell.unwrap().status.code(), Some(1));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    }
}

//! What is run on a worker. Values reach it quoted, or over its input.

use super::SshError;
use super::hands::NAME;
use super::verb::{Input, Task, Verb};

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
    Cordon {
        /// The worker code that the protocol was proved on: digests, with commas between them.
        proved: &'a str,
    },
    /// Takes every cordoned instance back.
    Uncordon {
        /// As for the cordon.
        proved: &'a str,
    },
    /// Stops the service; fails, and stops nothing, where an instance is not cordoned yet.
    StopDrainedService {
        /// As for the cordon.
        proved: &'a str,
    },
    /// On a repository server's host: no more jobs for a worker's instances.
    Disable {
        /// The directory of workers; `-`: as the server's configuration has it.
        workers_dir: &'a str,
        /// The name of the file, which is a pattern.
        pattern: &'a str,
    },
    /// Takes that back.
    Enable {
        /// As for the disabling.
        workers_dir: &'a str,
        /// As for the disabling.
        pattern: &'a str,
    },
}

impl Command<'_> {
    pub(super) const fn verb(&self) -> Verb {
        match self {
            Self::Arch => Verb::Arch,
            Self::ResourceUse => Verb::ResourceUse,
            Self::Service => Verb::Service,
            Self::StartService => Verb::StartService,
            Self::ReadSettings { .. } => Verb::ReadSettings,
            Self::WriteSettings { .. } => Verb::WriteSettings,
            Self::Cordon { .. } => Verb::Cordon,
            Self::Uncordon { .. } => Verb::Uncordon,
            Self::StopDrainedService { .. } => Verb::StopDrainedService,
            Self::Disable { .. } => Verb::Disable,
            Self::Enable { .. } => Verb::Enable,
        }
    }

    /// In the order of the verb's own.
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::ReadSettings { path } => vec![(*path).to_owned()],
            Self::WriteSettings { path, content } => {
                vec![(*path).to_owned(), content.len().to_string()]
            }
            Self::Cordon { proved }
            | Self::Uncordon { proved }
            | Self::StopDrainedService { proved } => vec![(*proved).to_owned()],
            Self::Disable {
                workers_dir,
                pattern,
            }
            | Self::Enable {
                workers_dir,
                pattern,
            } => vec![(*workers_dir).to_owned(), (*pattern).to_owned()],
            Self::Arch | Self::ResourceUse | Self::Service | Self::StartService => Vec::new(),
        }
    }

    const fn task(&self) -> &'static Task {
        self.verb().task()
    }

    /// Its name in errors.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.task().name
    }

    /// What is sent as the line to run.
    pub(super) fn line(&self, account: Account) -> String {
        let arguments = self.arguments();
        match account {
            Account::Shell => script(self.task().text, &arguments),
            Account::Forced => {
                let word = self.task().word.to_owned();
                [vec![NAME.to_owned(), word], arguments].concat().join(" ")
            }
        }
    }

    /// What it gets on its input. An account with a forced command has our programs, and takes none.
    pub(super) const fn input(&self, account: Account) -> &str {
        match (self.task().input, self, account) {
            (Input::Content, Self::WriteSettings { content, .. }, _) => content,
            (Input::Program(program), _, Account::Shell) => program.text,
            _ => "",
        }
    }

    /// The output of a command that succeeded.
    pub(super) fn judge(&self, output: Output) -> Result<Output, SshError> {
        if self.task().well.contains(&output.status) {
            return Ok(output);
        }
        Err(SshError::ExitStatus {
            command: self.name(),
            status: output.status,
            stderr: output.stderr.trim().chars().take(500).collect(),
        })
    }
}

/// Who runs our commands on the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// An account with a shell: it is given the whole command.
    Shell,
    /// An account with a forced command, `obs-scaler-hands`: it is given a verb.
    Forced,
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

fn script(text: &str, arguments: &[String]) -> String {
    let words = arguments.iter().map(|word| format!(" {}", quoted(word)));
    format!(
        "exec /bin/sh -c {} sh{}",
        quoted(text),
        words.collect::<String>()
    )
}

/// The text as one word of a shell's command line.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod write_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command as Process, Stdio};

    fn run(command: &Command<'_>) -> Output {
        let mut child = Process::new("/bin/sh")
            .args(["-c", &command.line(Account::Shell)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(command.input(Account::Shell).as_bytes())
            .unwrap();
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
        let write = Verb::WriteSettings.task().text;
        let line = script(
            write,
            &[file.to_str().unwrap().to_owned(), "100".to_owned()],
        );
        let shell = Process::new("/bin/sh")
            .args(["-c", &line])
            .stdin(Stdio::null())
            .output();
        assert_eq!(shell.unwrap().status.code(), Some(1));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    }
}

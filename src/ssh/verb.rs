//! Everything that is ever run on a worker: one entry for each verb. From here come the line that an
//! ordinary account is given and the program that an account with a forced command has; so a verb that
//! is added here is in both.

/// What a verb is.
pub(super) struct Task {
    /// The word on the wire, where the account has a forced command.
    pub(super) word: &'static str,
    /// Its name in errors.
    pub(super) name: &'static str,
    /// What a POSIX shell is given.
    pub(super) text: &'static str,
    /// Its arguments, `$1` and on.
    pub(super) arguments: &'static [Argument],
    /// What it reads.
    pub(super) input: Input,
    /// Whether it takes more than an unprivileged account may.
    pub(super) root: bool,
    /// The exit statuses of a verb that did what it was asked to.
    pub(super) well: &'static [u32],
}

/// What may stand as an argument, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Argument {
    /// The path of the settings file, as it is configured.
    Settings,
    /// A whole number.
    Number,
    /// Digests of worker code, with commas between them.
    Codes,
    /// `-`: the directory of workers is asked for where the server has it. An account with a shell may be given its path.
    WorkersDir,
    /// A name in `workers/disable`.
    Pattern,
}

/// What a verb reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// Nothing.
    Nothing,
    /// What the command brings along.
    Content,
    /// A program of ours.
    Program(&'static Program),
}

/// A program that an interpreter on the worker reads from its input.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// A word that names it.
    pub(super) name: &'static str,
    /// Its text.
    pub(super) text: &'static str,
}

/// The program that cordons; see `cordon.pl`.
pub(super) const CORDON: Program = Program {
    name: "cordon",
    text: include_str!("cordon.pl"),
};

/// Every program.
pub(super) const PROGRAMS: [&Program; 1] = [&CORDON];

/// A verb without arguments and input, that reads what anybody may read.
const PLAIN: Task = Task {
    word: "",
    name: "",
    text: "",
    arguments: &[],
    input: Input::Nothing,
    root: false,
    well: &[0],
};

/// What starts, stops, takes back or writes waits for whoever does so on this worker: between a cordon that finds it
/// drained and the stop behind it nobody may start it or take it back. The service gets nothing of the lock.
macro_rules! one_at_a_time {
    ($then:literal) => {
        concat!(
            "exec 9>>/run/lock/obs-scaler-hands || exit\n",
            "flock -w 30 9 || { echo 'another hand has been at work there for 30 s' >&2; exit 1; }\n",
            $then
        )
    };
}

/// Declares the verbs. `ALL` is all of them.
macro_rules! verbs {
    ($($(#[$about:meta])* $verb:ident = $task:expr;)+) => {
        /// What can be asked of a worker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Verb { $($(#[$about])* $verb,)+ }

        impl Verb {
            /// Every verb.
            pub(super) const ALL: &'static [Self] = &[$(Self::$verb,)+];

            /// What it is.
            pub(super) const fn task(self) -> &'static Task {
                match self { $(Self::$verb => { const TASK: Task = $task; &TASK })+ }
            }
        }
    };
}

verbs! {
    /// What `uname -m` says.
    Arch = Task {
        word: "arch",
        name: "uname",
        text: "exec uname -m",
        ..PLAIN
    };
    /// Four files of `/proc`, each behind a line that names it. All or nothing.
    ResourceUse = Task {
        word: "resource-use",
        name: "resource use",
        text: RESOURCE_USE,
        ..PLAIN
    };
    /// What the machine is. Argument: the settings file.
    Facts = Task {
        word: "facts",
        name: "facts of the machine",
        text: super::facts::SCRIPT,
        arguments: &[Argument::Settings],
        root: true,
        ..PLAIN
    };
    /// The unit's state, then a line for each worker process.
    Service = Task {
        word: "service",
        name: "service state",
        text: SERVICE,
        ..PLAIN
    };
    /// Starts the service where no worker process runs.
    StartService = Task {
        word: "start",
        name: "start of the service",
        text: START,
        root: true,
        ..PLAIN
    };
    /// Prints the settings file.
    ReadSettings = Task {
        word: "read-settings",
        name: "reading the settings",
        text: READ,
        arguments: &[Argument::Settings],
        root: true,
        ..PLAIN
    };
    /// Replaces the settings file. Arguments: its path, the number of bytes that come.
    WriteSettings = Task {
        word: "write-settings",
        name: "writing the settings",
        text: WRITE,
        arguments: &[Argument::Settings, Argument::Number],
        input: Input::Content,
        root: true,
        ..PLAIN
    };
    /// Cordons every instance. Its 75 asks for another look.
    Cordon = Task {
        word: "cordon",
        name: "cordon",
        text: r#"exec perl - --proved "$1""#,
        arguments: &[Argument::Codes],
        input: Input::Program(&CORDON),
        root: true,
        well: &[0, 75],
    };
    /// Takes back every instance that is cordoned. Its 75 asks for another look.
    Uncordon = Task {
        word: "uncordon",
        name: "taking back",
        text: one_at_a_time!(r#"exec perl - --undo --proved "$1""#),
        arguments: &[Argument::Codes],
        input: Input::Program(&CORDON),
        root: true,
        well: &[0, 75],
    };
    /// Stops the service where every instance is cordoned.
    StopDrainedService = Task {
        word: "stop-drained",
        name: "stop of the drained service",
        text: STOP,
        arguments: &[Argument::Codes],
        input: Input::Program(&CORDON),
        root: true,
        ..PLAIN
    };
    /// On a repository server's host: no instance of this name is given a job after its next report. Prints for how
    /// many seconds that has been so.
    Disable = Task {
        word: "disable",
        name: "disabling on the backend",
        text: DISABLE,
        arguments: &[Argument::WorkersDir, Argument::Pattern],
        root: true,
        ..PLAIN
    };
    /// Takes that back.
    Enable = Task {
        word: "enable",
        name: "enabling on the backend",
        text: ENABLE,
        arguments: &[Argument::WorkersDir, Argument::Pattern],
        root: true,
        ..PLAIN
    };
}

/// Where a repository server keeps its workers, as its own configuration has it (`$workersdir` of bs_repserver).
macro_rules! in_workers_dir {
    ($then:literal) => {
        concat!(
            r#"
if [ "$1" = - ]; then
  dir=$(cd /usr/lib/obs/server && perl -I. -MBSConfiguration -e 'print "$BSConfig::bsdir/workers"') || exit
else
  dir=$1
fi
[ -d "$dir" ] || { echo "no directory $dir" >&2; exit 1; }
file=$dir/disable/$2
"#,
            $then
        )
    };
}

/// The file's own time says since when: it is made once.
const DISABLE: &str = in_workers_dir!(
    r#"umask 022
mkdir -p -- "$dir/disable" || exit
[ -e "$file" ] || : >"$file" || exit
now=$(date +%s) && made=$(stat -c %Y -- "$file") && echo $((now - made))
"#
);

const ENABLE: &str = in_workers_dir!(r#"rm -f -- "$file""#);

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
const START: &str = one_at_a_time!(
    r#"
runs() { pgrep -x bs_worker >/dev/null; }
comes() { for i in 1 2 3 4 5 6 7 8 9 10; do runs && return; sleep 0.3; done; return 1; }
runs && exit
if systemctl is-active --quiet obsworker; then
  comes && exit
  systemctl stop obsworker 9>&- || exit
fi
systemctl start obsworker 9>&- || exit
comes && sleep 3 && runs && exit
echo 'the service was started, and no bs_worker runs' >&2
exit 1
"#
);

/// A stop kills what builds: so it comes right behind a cordon that says that nothing does. A program that was cut
/// off on the way would say nothing and end well.
const STOP: &str = one_at_a_time!(
    r##"
program=$(cat)
case $program in *'# the end') ;; *) echo 'cut off on the way' >&2; exit 1 ;; esac
printf '%s\n' "$program" | perl - --proved "$1" >&2 && systemctl stop obsworker 9>&-
"##
);

/// A copy is changed and renamed over the file, with its owner and mode; not where less arrived than was sent. It is
/// on the disk before it takes the file's place. A copy that a run left which was killed is overwritten by the
/// next. Arguments: the file, the number of bytes.
const WRITE: &str = one_at_a_time!(
    r#"
file=$(readlink -f -- "$1") && new=$file.obs-scaler || exit
trap 'rm -f -- "$new"' EXIT
if [ -e "$file" ]; then cp -p -- "$file" "$new"; else (umask 022 && : >"$new"); fi || exit
cat >"$new" || exit
[ "$(wc -c <"$new")" -eq "$2" ] || { echo 'cut off on the way' >&2; exit 1; }
sync -- "$new" && mv -f -- "$new" "$file" && sync -- "$(dirname -- "$file")"
"#
);

/// A missing file reads as empty: it sets nothing. Argument: the file.
const READ: &str = r#"[ ! -e "$1" ] || cat -- "$1""#;

const RESOURCE_USE: &str = r#"
for file in stat meminfo diskstats net/dev; do
  printf '== %s\n' "$file" && cat "/proc/$file" || exit
done
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::{Command as Process, Stdio};

    #[test]
    fn no_two_verbs_share_a_word_and_each_word_is_a_plain_one() {
        let words: BTreeSet<_> = Verb::ALL.iter().map(|verb| verb.task().word).collect();
        assert_eq!(words.len(), Verb::ALL.len());
        let plain = |word: &&str| word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        assert!(words.iter().all(|word| !word.is_empty() && plain(word)));
    }

    /// Whether the service is stopped, where this came of the program.
    fn stops(program: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let (stub, stopped) = (
            folder.path().join("systemctl"),
            folder.path().join("stopped"),
        );
        std::fs::write(&stub, format!("#!/bin/sh\n: >{}\n", stopped.display())).unwrap();
        std::fs::set_permissions(&stub, PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.path().display(), env!("PATH"));
        let mut shell = Process::new("sh")
            .args(["-c", Verb::StopDrainedService.task().text, "sh", "a1"])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        input.write_all(program.as_bytes()).unwrap();
        drop(input);
        let ended_well = shell.wait().unwrap().success();
        assert_eq!(ended_well, stopped.exists());
        ended_well
    }

    #[test]
    fn a_stop_whose_guard_was_cut_off_on_the_way_stops_nothing() {
        // as the program of a worker on which nothing builds: it says nothing and ends well
        assert!(stops("exit 0;\n# the end\n"));
        assert!(!stops("exit 1;\n# the end\n"));
        assert!(!stops(""));
        assert!(!stops("exit 0;\n"));
        assert!(CORDON.text.ends_with("\n# the end\n"));
    }

    #[test]
    fn every_program_that_a_verb_reads_is_listed() {
        for verb in Verb::ALL {
            if let Input::Program(program) = verb.task().input {
                assert!(PROGRAMS.contains(&program), "{}", program.name);
            }
        }
    }
}

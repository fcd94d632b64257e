//! The program for workers whose account may do nothing else: sshd runs it whatever is asked for
//! (sshd(8), "AUTHORIZED_KEYS FILE FORMAT", `command=`), and it does what is a verb of ours with lawful
//! arguments, by the same texts that an account with a shell is given. Nothing that comes over the wire
//! is ever run or read as a pattern: words are compared, and the one path is the configured one.

use super::command::quoted;
use super::verb::{Argument, Input, PROGRAMS, Program, Task, Verb};

/// Its name, and the word that each request begins with.
pub(super) const NAME: &str = "obs-scaler-hands";

/// What ends a program of ours in it.
const END: &str = "END-OF-PROGRAM";

const HEAD: &str = r#"#!/bin/sh
# The hands of obs-scaler on this worker: everything that its account may do here. Printed by `obs-scaler hands`.
# As root, in /usr/local/sbin/obs-scaler-hands (mode 0755); the account, `obs-scaler` here, has /bin/sh as its shell.
#   its ~/.ssh/authorized_keys:  restrict,command="/usr/local/sbin/obs-scaler-hands" ssh-ed25519 AAAA...
#   /etc/sudoers.d/obs-scaler:   obs-scaler ALL=(root) NOPASSWD: /usr/local/sbin/obs-scaler-hands
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset ENV BASH_ENV CDPATH PERL5LIB PERL5OPT PERL5DB
"#;

const HELPERS: &str = r#"
refuse() { echo "obs-scaler-hands: refused: $1" >&2; exit 77; }
as_root() { [ "$(id -u)" -eq 0 ] || exec sudo -n -- "$0" "$request"; }
are() { [ "$1" -eq "$2" ] || refuse 'the number of arguments'; }
settings() { [ "$1" = "$settings" ] || refuse 'another file than the settings'; }
codes() { case $1 in '' | *[!0-9a-f,]*) refuse 'no digests' ;; esac; }
workers_dir() { [ "$1" = - ] || refuse 'another directory than the server has'; }
pattern() { case $1 in '' | .* | *[!][A-Za-z0-9_.:-]*) refuse 'no name of a worker' ;; esac; }
number() { case $1 in '' | *[!0-9]*) refuse 'no number' ;; esac; }
"#;

/// sudo hands the request over as the only argument. Blanks part its words, and nothing is expanded.
const READ: &str = r#"
[ "$#" -le 1 ] || refuse 'more than one argument'
request=${1-${SSH_ORIGINAL_COMMAND-}}
set -f
IFS=' '
set -- $request
unset IFS
set +f
[ "${1-}" = obs-scaler-hands ] || refuse 'no request of obs-scaler'
verb=${2-}
[ "$#" -lt 2 ] || shift 2
case $verb in
"#;

const REFUSAL: &str = r"  *) refuse 'an unknown verb' ;;
esac
";

/// The program, for workers whose settings file is this one: a POSIX shell's, without newlines in names.
#[must_use]
pub fn hands(sysconfig: &str) -> String {
    let programs = PROGRAMS.into_iter().map(function_of_program);
    let verbs = Verb::ALL.iter().map(|verb| function_of_verb(verb.task()));
    let branches = Verb::ALL.iter().map(|verb| branch(verb.task()));
    [
        format!("{HEAD}settings={}\n{HELPERS}", quoted(sysconfig)),
        programs.chain(verbs).collect(),
        READ.to_owned(),
        branches.collect(),
        REFUSAL.to_owned(),
    ]
    .concat()
}

fn function_of_program(Program { name, text }: &Program) -> String {
    format!("\nprogram_{name}() {{\ncat <<'{END}'\n{text}{END}\n}}\n")
}

fn function_of_verb(task: &Task) -> String {
    let (name, text) = (function(task), task.text.trim_matches('\n'));
    format!("\n{name}() {{\n{text}\n}}\n")
}

fn function(task: &Task) -> String {
    format!("do_{}", task.word.replace('-', "_"))
}

fn branch(task: &Task) -> String {
    let arguments = task.arguments.iter().enumerate();
    let checks = arguments.map(|(at, argument)| match argument {
        Argument::Settings => format!("settings \"${}\"; ", at + 1),
        Argument::Number => format!("number \"${}\"; ", at + 1),
        Argument::Codes => format!("codes \"${}\"; ", at + 1),
        Argument::WorkersDir => format!("workers_dir \"${}\"; ", at + 1),
        Argument::Pattern => format!("pattern \"${}\"; ", at + 1),
    });
    let root = if task.root { "as_root; " } else { "" };
    let call = format!("{} \"$@\"", function(task));
    let call = match task.input {
        Input::Nothing => format!("{call} </dev/null"),
        Input::Content => call,
        Input::Program(Program { name, .. }) => format!("program_{name} | {call}"),
    };
    format!(
        "  {}) are $# {}; {}{root}{call} ;;\n",
        task.word,
        task.arguments.len(),
        checks.collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_put_into_it_ends_where_it_should_not() {
        for program in PROGRAMS {
            assert!(program.text.ends_with('\n') && !program.text.lines().any(|line| line == END));
        }
        let path = "/etc/it's \"$(touch oops)\"";
        assert!(hands(path).contains(r#"settings='/etc/it'\''s "$(touch oops)"'"#));
    }

    #[test]
    fn every_verb_has_its_branch() {
        let text = hands("/etc/sysconfig/obs-server");
        for verb in Verb::ALL {
            assert!(text.contains(&branch(verb.task())), "{verb:?}");
        }
    }
}

//! What a cordon and a taking back may make of an instance. The words are those of `cordon.pl`.

use obs_scaler::ssh::{InstanceLine, Output};

/// What a look found on its way, or is not there: it stays as it is.
const STAY: [&str; 5] = ["gone", "starting", "locked", "rebooting", STOPPING];

/// OBS' own word while its service stops, which it does when it is drained: only beside another hand, or behind a
/// session that was broken off.
pub(super) const STOPPING: &str = "exit";

/// The lawful transitions of a cordon.
const CORDON: [(&str, &str); 6] = [
    ("idle", "cordoned"),
    ("idle", "cordoned+child"),
    ("cordoned", "cordoned"),
    ("cordoned", "cordoned+child"),
    ("building", "building+cordoned"),
    ("building+cordoned", "building+cordoned"),
];

/// The lawful transitions of a taking back.
const UNDO: [(&str, &str); 4] = [
    ("idle", "idle"),
    ("cordoned", "idle"),
    ("building", "building"),
    ("building+cordoned", "building"),
];

/// What the hand did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    Cordon,
    TakeBack,
}

/// The instances, where each made a lawful step.
pub(super) fn lawful(did: Did, output: &Output) -> Result<Vec<InstanceLine>, String> {
    let lines = InstanceLine::parse(output).map_err(|e| e.to_string())?;
    let steps: &[(&str, &str)] = match did {
        Did::Cordon => &CORDON,
        Did::TakeBack => &UNDO,
    };
    let is_lawful = |line: &&InstanceLine| {
        let step = (line.before.as_str(), line.after.as_str());
        steps.contains(&step) || (step.0 == step.1 && STAY.contains(&step.0))
    };
    match lines.iter().find(|line| !is_lawful(line)) {
        None => Ok(lines),
        Some(line) => Err(format!("{did:?}: an unlawful step: {line:?}")),
    }
}

//! `hands`.

use super::{Failure, say};
use crate::config::Config;
use crate::ssh;
use std::path::Path;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  obs-scaler hands | ssh root@WORKER 'cat >/usr/local/sbin/obs-scaler-hands'\n\n\
    Its first lines say how it is installed. Needs no secret, and no daemon."
)]
pub(super) struct Args {}

pub(super) fn run(path: &Path) -> Result<(), Failure> {
    let config = Config::load_without_secrets(path)?;
    say(ssh::hands(&config.ssh.sysconfig).trim_end());
    Ok(())
}

//! Promises that are kept by several parts together, one module each.

#[cfg(test)] // so that clippy takes the helpers for tests too
mod adoption;
#[cfg(test)]
mod cloud;
#[cfg(test)]
mod cloud_conformance;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod dashboards;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod exclusive_switch;
#[cfg(test)]
mod hands_walk;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod last_compliant;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod simulated_demo;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod ssh_disable;
#[cfg(test)]
mod ssh_hands;
#[cfg(test)]
mod ssh_hostile;
#[cfg(test)]
mod ssh_peers;
#[cfg(test)]
mod sshd;
#[cfg(test)]
mod stand_ins;
#[cfg(test)]
mod the_loop;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod two_backends;
mod workers;

//! The worker code that the cordon was proved on.

/// The versions that were proved by the walk of `tests/it/hands_walk.rs`, on real workers of a real OBS: what
/// `cordon.pl` prints of an instance that runs one. It is a digest of `bs_worker`, `BSServer.pm`, `BSUtil.pm` and
/// `BSXML.pm`, the files that make the protocol.
const PROVED: [&str; 1] = [
    // OBS 2.9.4, as Debian has it (obs-worker 2.9.4-9)
    "11e61350f13469d78cd760ed957fd453",
];

/// The proved versions and those that a site has proved by itself, as `cordon.pl` is given them.
pub(super) fn proved_with(own: &[String]) -> String {
    let own = own.iter().map(String::as_str);
    let all: Vec<&str> = PROVED.into_iter().chain(own).collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_adds_what_it_has_proved_itself() {
        let codes = proved_with(&["ab".repeat(16)]);
        assert_eq!(codes.split(',').count(), PROVED.len() + 1);
        assert!(codes.ends_with(&format!(",{}", "ab".repeat(16))));
    }
}

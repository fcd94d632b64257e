//! The section `workers`: what the workers of every pool are told.

use super::reader::Section;
use super::units::{base_url, number, text};
use super::yaml::Tree;

/// The largest cache, 16 TiB: what is larger is a slip of the pen.
const MOST_MIB: u64 = 16 << 20;

/// What the workers of every pool are told. What is not said stays as their image has it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Workers {
    /// The size of the cache of binaries (`OBS_CACHE_SIZE`), in MiB.
    pub cache_mib: Option<u64>,
    /// Where that cache is (`OBS_CACHE_DIR`). The worker removes what else is there.
    pub cache_dir: Option<String>,
    /// The base URL of a proxy that workers fetch binaries from (`OBS_WORKER_BINARIES_PROXY`), without a final slash.
    pub binaries_proxy: Option<String>,
}

pub(super) fn read_workers(workers: &Section<'_>) -> Option<Workers> {
    let cache_mib = workers.or("cache_mib", None, cache_mib);
    let cache_dir = workers.or("cache_dir", None, |tree| directory(tree).map(Some));
    let proxy = workers.or("binaries_proxy", None, |tree| {
        base_url(tree).map(|base| Some(base.url))
    });
    Some(Workers {
        cache_mib: cache_mib?,
        cache_dir: cache_dir?,
        binaries_proxy: proxy?,
    })
}

pub(super) fn cache_mib(tree: &Tree) -> Result<Option<u64>, String> {
    number(1..=MOST_MIB)(tree).map(Some)
}

/// The init script of the service gives it to a shell without quotes.
fn directory(tree: &Tree) -> Result<String, String> {
    let expected = "an absolute path below /, of letters, digits and any of '/', '.', '-', '_'";
    let lawful = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let path = text(expected, 255, lawful)(tree)?;
    let parts = || path.split('/').filter(|part| !part.is_empty());
    let below = path.starts_with('/') && parts().next().is_some();
    if below && !parts().any(|part| matches!(part, "." | "..")) {
        return Ok(path);
    }
    Err(expected.to_owned())
}

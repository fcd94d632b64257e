//! Which projects a pool is for.

use super::Pool;
use super::reader::Node;
use super::units::whole_name;
use regex::Regex;

/// The projects that a pool is for, by patterns for their whole names. None: every project that no
/// other pool of the same backend, arch and level is for.
#[derive(Debug, Clone, Default)]
pub struct Projects(Vec<Regex>);

impl Projects {
    /// Whether the pool is for all the projects that no other is for.
    #[must_use]
    pub const fn is_rest(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a pattern names this project.
    #[must_use]
    pub fn name(&self, project: &str) -> bool {
        self.0.iter().any(|pattern| pattern.is_match(project))
    }
}

impl From<Vec<Regex>> for Projects {
    fn from(patterns: Vec<Regex>) -> Self {
        Self(patterns)
    }
}

impl PartialEq for Projects {
    fn eq(&self, other: &Self) -> bool {
        let texts = |projects: &Self| -> Vec<String> {
            projects.0.iter().map(ToString::to_string).collect()
        };
        texts(self) == texts(other)
    }
}

impl Eq for Projects {}

/// Of the pools of one backend, arch and level, in the order of their names, the one that has the jobs
/// of this project: the first that is for it, else the one for the rest.
pub fn pool_of_project<'a>(
    pools: impl Iterator<Item = &'a Pool> + Clone,
    project: &str,
) -> Option<&'a Pool> {
    let mut private = pools.clone().filter(|pool| !pool.projects.is_rest());
    let own = private.find(|pool| pool.projects.name(project));
    own.or_else(|| rest_of(pools))
}

/// Of the pools of one backend, arch and level, the one that is for the rest of the projects.
pub fn rest_of<'a>(mut pools: impl Iterator<Item = &'a Pool>) -> Option<&'a Pool> {
    pools.find(|pool| pool.projects.is_rest())
}

pub(super) fn read_projects(node: &Node<'_>) -> Option<Projects> {
    node.list(|pattern| pattern.read(whole_name)).map(Projects)
}

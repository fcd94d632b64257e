//! The section `hosts`: how the resource use of the workers is read.

use super::reader::Section;
use super::units::{base_url, duration, number, word};
use super::yaml::Tree;
use std::str::FromStr;
use std::time::Duration;

/// Where the resource use of the workers is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceUse {
    /// Nowhere.
    None,
    /// From node_exporter on each worker.
    NodeExporter,
    /// Over ssh, from `/proc` of each worker.
    Ssh,
    /// From a Prometheus that scrapes the workers' node_exporter.
    Prometheus,
}

impl ResourceUse {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::None, Self::NodeExporter, Self::Ssh, Self::Prometheus];

    /// The word in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::NodeExporter => "node_exporter",
            Self::Ssh => "ssh",
            Self::Prometheus => "prometheus",
        }
    }
}

/// How the resource use of the workers is read.
#[derive(Debug, Clone)]
pub struct Hosts {
    /// Where from.
    pub resource_use: ResourceUse,
    /// Where node_exporter listens on each worker.
    pub node_exporter_port: u16,
    /// Base URL of Prometheus, such as `http://127.0.0.1:9090`, without a final slash.
    pub prometheus: String,
    /// The label of its series that names the worker, by address or by name.
    pub prometheus_label: String,
    /// For one worker, or one query, from connect to the last byte.
    pub timeout: Duration,
}

impl FromStr for ResourceUse {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let named = |way: &Self| way.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or(())
    }
}

pub(super) fn read_hosts(hosts: &Section<'_>) -> Option<Hosts> {
    let way = word("none, node_exporter, ssh or prometheus");
    let resource_use = hosts.or("resource_use", ResourceUse::None, way);
    let node_exporter_port = hosts.or("node_exporter_port", 9100, number(1..=u16::MAX));
    let prometheus = "http://127.0.0.1:9090".to_owned();
    let prometheus = hosts.or("prometheus", prometheus, |tree| {
        base_url(tree).map(|base| base.url)
    });
    let label = hosts.or("prometheus_label", "instance".to_owned(), label);
    let timeout = hosts.or("timeout", Duration::from_secs(5), duration);
    Some(Hosts {
        resource_use: resource_use?,
        node_exporter_port: node_exporter_port?,
        prometheus: prometheus?,
        prometheus_label: label?,
        timeout: timeout?,
    })
}

/// A label's name, as Prometheus takes it: it becomes part of a query.
fn label(tree: &Tree) -> Result<String, String> {
    let lawful = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tree.text()
        .filter(|text| !text.is_empty() && text.chars().all(lawful))
        .filter(|text| !text.starts_with(|c: char| c.is_ascii_digit()))
        .map(str::to_owned)
        .ok_or_else(|| "a label's name: letters, digits and '_', no digit first".to_owned())
}

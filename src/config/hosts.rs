//! The section `hosts`: how the resource use of the workers is read.

use super::reader::Section;
use super::units::{base_url, duration, number, word};
use super::yaml::Tree;
use super::{Hosts, ResourceUse};
use std::str::FromStr;
use std::time::Duration;

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

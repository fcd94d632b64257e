//! What servers cost: a price for each flavor that is named, wherever it is named.

use super::reader::{Node, Parsed};
use super::yaml::Tree;
use crate::model::{FlavorName, Price};
use std::collections::BTreeMap;

pub(super) fn price(tree: &Tree) -> Parsed<Option<Price>> {
    let number = match tree {
        Tree::Int(whole) => whole.to_string().parse().ok(),
        Tree::Float(number) => Some(*number),
        _ => None,
    };
    number
        .and_then(Price::new)
        .map(Some)
        .ok_or_else(|| "the price of an hour, a number from 0 to 1000000".to_owned())
}

/// A flavor as it is named somewhere in the document, with its price there.
pub(super) type Named<'a> = (Node<'a>, FlavorName, Option<Price>);

/// The price of each flavor. A flavor that is named in several places has one price, and one that has
/// none anywhere is warned of where it is named first.
pub(super) fn prices(named: &[Named<'_>]) -> BTreeMap<FlavorName, Price> {
    let mut prices = BTreeMap::new();
    for (node, flavor, price) in named {
        let Some(price) = price else { continue };
        match prices.insert(flavor.clone(), *price) {
            Some(other) if other != *price => {
                let found = format!("{}, and {} elsewhere", price.per_hour(), other.per_hour());
                let expected = format!("one price for flavor {flavor}");
                node.child("price").wrong(found, expected);
            }
            _ => {}
        }
    }
    let mut told = Vec::new();
    for (node, flavor, _) in named {
        if !prices.contains_key(flavor) && !told.contains(&flavor) {
            let expected = "price, without which the costs of its pools are not shown";
            node.warn(format!("no price for flavor {flavor}"), expected);
            told.push(flavor);
        }
    }
    prices
}

#[cfg(test)]
mod tests {
    use super::super::{Config, SecretPlace};
    use super::*;
    use secrecy::SecretString;

    const SHIPPED: &str = include_str!("../../config.yaml");

    /// Reads the shipped document with each of these passages replaced.
    fn read(changes: &[(&str, &str)]) -> Result<Config, String> {
        let given = |_: &SecretPlace| Ok(SecretString::from("swordfish".repeat(4)));
        let text = changes.iter().fold(SHIPPED.to_owned(), |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        });
        Config::parse(&text, &given).map_err(|faults| faults.to_string())
    }

    fn price_of(config: &Config, flavor: &str) -> Option<f64> {
        let price = config.prices.get(&FlavorName::new(flavor));
        price.map(|price| price.per_hour())
    }

    #[test]
    fn a_price_belongs_to_its_flavor_wherever_it_is_named() {
        let own = "flavor: { name: kc1, vcpus: 16, price: 0 }, instances: 1";
        let config = read(&[(
            "level: l3, backends: [main] }\n  - { name: x86-64-l1",
            &format!("level: l3, backends: [main], {own} }}\n  - {{ name: x86-64-l1"),
        )])
        .unwrap();
        assert_eq!(price_of(&config, "kc1"), Some(0.0));
        assert_eq!(price_of(&config, "c7.8xlarge.4"), Some(5.6));
        assert_eq!(config.warnings.to_string(), "");
    }

    #[test]
    fn a_missing_price_is_a_warning_and_no_fault() {
        let config = read(&[(", price: 8.4", "")]).unwrap();
        let warnings = config.warnings.to_string();
        let said = "found no price for flavor ki1.16xlarge.4, expected price, without which";
        assert!(warnings.contains(said), "{warnings}");
        assert_eq!(config.warnings.all.len(), 1, "{warnings}");
        assert_eq!(price_of(&config, "ki1.16xlarge.4"), None);
    }

    #[test]
    fn what_is_no_price_is_refused() {
        for wrong in ["-1", "1000001", ".inf", ".nan", "cheap", "[1]"] {
            let faults = read(&[("price: 5.6", &format!("price: {wrong}"))]).unwrap_err();
            let said = "expected the price of an hour, a number from 0 to 1000000";
            assert!(faults.ends_with(said), "{wrong}: {faults}");
        }
        let twice = "instances: 7, jobs: 64, price: 8.4";
        let faults = read(&[(twice, "instances: 7, jobs: 64, price: 8")]).unwrap_err();
        let said = "flavors.aarch64.l3.price: found 8.4, and 8 elsewhere, \
            expected one price for flavor ki1.16xlarge.4";
        assert!(faults.ends_with(said), "{faults}");
    }
}

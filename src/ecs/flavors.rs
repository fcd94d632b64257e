//! What the cloud sells, and where.

use super::client::EcsClient;
use super::error::EcsError;
use super::list::Listing;
use super::services::Service;
use super::types;
use crate::model::{Arch, Availability, FlavorName, FlavorStock, Stock, Vcpus, ZoneName};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The most flavors in one page (page "Querying Details About Flavors").
const PAGE: usize = 1000;

impl EcsClient {
    /// Every flavor, and in which zones it can be bought: `GET /v1/{project}/cloudservers/flavors`.
    ///
    /// # Errors
    /// Any error of a page, and any flavor that cannot be understood.
    pub async fn stock(&self) -> Result<Stock, EcsError> {
        let path = self.v1("/cloudservers/flavors");
        let listing = Listing::new("flavors", PAGE);
        let pages = self.pages("flavors", Service::Ecs, &path, &[], listing);
        let (records, last) = pages.await?;
        read(&records).map_err(|why| last.garbled(why))
    }
}

/// A flavor of a kind of host that no pool can have is left out.
fn read(records: &[Value]) -> Result<Stock, String> {
    let mut stock = Stock::default();
    for record in records {
        let id = types::id(record)?;
        let offer = offer(record).map_err(|why| format!("flavor {id}: {why}"))?;
        if let Some(offer) = offer {
            stock.flavors.insert(FlavorName::new(id), offer);
        }
    }
    Ok(stock)
}

#[derive(Deserialize)]
struct Flavor {
    #[serde(deserialize_with = "types::vcpus")]
    vcpus: Vcpus,
    /// MiB. Nothing is bought or given back by it: what is no number of them is not known, and spoils no other flavor.
    #[serde(default)]
    ram: Value,
    os_extra_specs: Specs,
}

/// The documented fields; others are of no concern, whatever they hold.
#[derive(Deserialize)]
struct Specs {
    #[serde(rename = "ecs:instance_architecture", default)]
    arch: Option<String>,
    /// `{card}:{large|small}:{number}:{GB}:{safe format}`.
    #[serde(rename = "quota:nvme_ssd", default)]
    nvme: Option<String>,
    #[serde(rename = "cond:operation:status", default)]
    status: Option<String>,
    #[serde(rename = "cond:operation:az", default)]
    zones: Option<String>,
}

fn offer(record: &Value) -> Result<Option<FlavorStock>, String> {
    let flavor = Flavor::deserialize(record).map_err(|why| why.to_string())?;
    let specs = flavor.os_extra_specs;
    let arch = match specs.arch.as_deref() {
        Some("arm64" | "aarch64") => Arch::Aarch64,
        None | Some("" | "x86" | "x86_64") => Arch::X86_64,
        Some(_) => return Ok(None),
    };
    Ok(Some(FlavorStock {
        arch,
        vcpus: flavor.vcpus,
        memory_mib: flavor.ram.as_u64().and_then(|mib| mib.try_into().ok()),
        local_disk: specs.nvme.is_some_and(|disks| !disks.is_empty()),
        zones: zones(specs.zones.as_deref().unwrap_or_default())?,
        elsewhere: availability(specs.status.as_deref().unwrap_or("normal")),
    }))
}

/// `cn-north-4a(sellout), cn-north-4b(normal)`, with and without the blank.
fn zones(text: &str) -> Result<BTreeMap<ZoneName, Availability>, String> {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let zone = part.strip_suffix(')').and_then(|part| part.split_once('('));
            let (zone, word) = zone.ok_or_else(|| format!("{part:?} is no zone with its stock"))?;
            let zone = zone.trim();
            let lawful = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
            if zone.is_empty() || !zone.bytes().all(lawful) {
                return Err(format!("{zone:?} is no zone"));
            }
            Ok((ZoneName::new(zone), availability(word.trim())))
        })
        .collect()
}

/// `obt` is open beta, `abandon` taken off sale. A word that is not in the reference does not keep anybody
/// from buying: what the cloud says of stock is advice, and it refuses an order that it cannot fill.
fn availability(word: &str) -> Availability {
    match word {
        "sellout" | "obt_sellout" => Availability::SoldOut,
        "abandon" => Availability::NotOffered,
        _ => Availability::OnSale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flavor(specs: &Value) -> Value {
        json!({"id": "ki1.8xlarge.4", "name": "ki1.8xlarge.4", "vcpus": "32", "ram": 131_072,
            "os_extra_specs": specs})
    }

    fn of(specs: &Value, zone: &str) -> Availability {
        let stock = read(&[flavor(specs)]).unwrap();
        stock.of(
            &FlavorName::new("ki1.8xlarge.4"),
            Some(&ZoneName::new(zone)),
        )
    }

    #[test]
    fn what_is_said_of_a_zone_wins_and_a_zone_not_named_has_what_is_said_of_all() {
        use Availability::{NotOffered, OnSale, SoldOut};
        for list in [
            "a(sellout), b(normal)",
            "a(sellout),b(normal)",
            " a (obt_sellout) ,b( obt )",
        ] {
            let specs = json!({"cond:operation:az": list, "cond:operation:status": "abandon"});
            let stock = ["a", "b", "c"].map(|zone| of(&specs, zone));
            assert_eq!(stock, [SoldOut, OnSale, NotOffered], "{list}");
        }
        assert_eq!(of(&json!({}), "a"), OnSale);
        let promoted =
            json!({"cond:operation:az": "a(promotion)", "cond:operation:status": "sellout"});
        assert_eq!([of(&promoted, "a"), of(&promoted, "b")], [OnSale, SoldOut]);
    }

    #[test]
    fn the_architecture_and_the_size_are_read() {
        let arm = json!({"ecs:instance_architecture": "arm64"});
        let all = read(&[flavor(&arm)]).unwrap().flavors;
        let offer = all.values().next().unwrap();
        assert_eq!((offer.arch, offer.vcpus), (Arch::Aarch64, Vcpus(32)));
        assert_eq!((offer.memory_mib, offer.local_disk), (Some(131_072), false));
        let fast = json!({"quota:nvme_ssd": "ssd:large:4:3200:0"});
        let fast = read(&[flavor(&fast)]).unwrap().flavors;
        assert!(fast.values().all(|offer| offer.local_disk));
        let x86 = read(&[flavor(&json!({}))]).unwrap().flavors;
        assert_eq!(x86.values().next().unwrap().arch, Arch::X86_64);
        let other = json!({"ecs:instance_architecture": "riscv64"});
        assert!(read(&[flavor(&other)]).unwrap().flavors.is_empty());
    }

    #[test]
    fn memory_that_is_not_understood_is_not_known_and_spoils_nothing() {
        for ram in [json!("131072"), json!(-1), json!(1.5), Value::Null] {
            let mut record = flavor(&json!({}));
            record["ram"] = ram;
            let all = read(&[record]).unwrap().flavors;
            let memory: Vec<_> = all.values().map(|offer| offer.memory_mib).collect();
            assert_eq!(memory, [None]);
        }
    }

    #[test]
    fn a_flavor_that_cannot_be_understood_is_an_error_and_named() {
        for wrong in [
            json!({"vcpus": "0", "os_extra_specs": {}}),
            json!({}),
            json!({"os_extra_specs": {"cond:operation:az": "a"}}),
            json!({"os_extra_specs": {"cond:operation:az": "(normal)"}}),
        ] {
            let mut record = json!({"id": "f", "vcpus": "2", "ram": 4096});
            let fields = wrong.as_object().unwrap().clone();
            record.as_object_mut().unwrap().extend(fields);
            let error = read(&[record]).unwrap_err();
            assert!(error.starts_with("flavor f: "), "{error}");
        }
    }
}

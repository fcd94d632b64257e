//! `/worker/HOSTARCH:WORKERID`: what an instance has, by its worker's own account. Memory, swap and disk
//! are in MiB there (`BSXML.pm`, `worker`).

use super::error::Malformed;
use super::xml::walk_text;
use crate::model::{Capabilities, Hardware};

const MIB: u64 = 1 << 20;

pub(super) fn parse(document: &str) -> Result<Capabilities, Malformed> {
    let mut has = Capabilities::default();
    let (mut version, mut flavor) = (None, None);
    walk_text(document, "worker", |element, text| {
        let number = || {
            let odd = |_| element.odd("content", text);
            text.parse::<f64>().map_err(odd)
        };
        let hardware = &mut has.hardware;
        match element.path() {
            "worker/hostlabel" => has.labels.push(text.to_owned()),
            "worker/sandbox" => text.clone_into(&mut has.sandbox),
            "worker/linux/version" => version = Some(text.to_owned()),
            "worker/linux/flavor" => flavor = Some(text.to_owned()),
            "worker/hardware" => {
                hardware.get_or_insert_default();
            }
            "worker/hardware/processors" => {
                hardware.get_or_insert_default().processors = number()? as u32;
            }
            "worker/hardware/jobs" => hardware.get_or_insert_default().jobs = number()? as u32,
            "worker/hardware/memory" => set(hardware, number()?, |h| &mut h.memory),
            "worker/hardware/swap" => set(hardware, number()?, |h| &mut h.swap),
            "worker/hardware/disk" => set(hardware, number()?, |h| &mut h.disk),
            "worker/hardware/cpu" => {
                let flags = &mut hardware.get_or_insert_default().cpu_flags;
                flags.get_or_insert_default();
            }
            "worker/hardware/cpu/flag" => {
                let flags = &mut hardware.get_or_insert_default().cpu_flags;
                flags.get_or_insert_default().push(text.to_owned());
            }
            _ => {}
        }
        Ok(())
    })?;
    has.linux = version.map(|version| (version, flavor.unwrap_or_default()));
    Ok(has)
}

fn set(hardware: &mut Option<Hardware>, mib: f64, field: fn(&mut Hardware) -> &mut u64) {
    *field(hardware.get_or_insert_default()) = (mib * MIB as f64) as u64;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workers_account_reads_as_captured() {
        let has = parse(include_str!("../../tests/data/obs/worker-capabilities.xml")).unwrap();
        assert_eq!(has.sandbox, "chroot");
        assert_eq!(
            has.linux.unwrap(),
            ("6.18.44-fc".to_owned(), "v657".to_owned())
        );
        let hardware = has.hardware.unwrap();
        assert_eq!((hardware.processors, hardware.jobs), (2, 1));
        assert!(hardware.cpu_flags.unwrap().contains(&"avx2".to_owned()));
        assert_eq!(hardware.memory, 0, "not told in a chroot");
        let told =
            "<worker><hostlabel>a</hostlabel><hardware><memory>16</memory></hardware></worker>";
        let told = parse(told).unwrap();
        assert_eq!(
            (told.hardware.unwrap().memory, told.labels),
            (16 << 20, vec!["a".to_owned()])
        );
    }
}

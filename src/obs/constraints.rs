//! `/source/PROJECT/PACKAGE/_constraints`: what a package's jobs ask of a worker (`BSXML.pm`,
//! `constraints`).

use super::error::Malformed;
use super::xml::{Element, walk_text};
use crate::model::{Constraints, Overwrite, PackageConstraints, Wanted};

pub(super) fn parse(document: &str) -> Result<PackageConstraints, Malformed> {
    let mut file = PackageConstraints::default();
    walk_text(document, "constraints", |element, text| {
        match element.path() {
            "constraints/overwrite" => file.overwrites.push(Overwrite::default()),
            path => match (
                path.strip_prefix("constraints/overwrite/"),
                path.strip_prefix("constraints/"),
            ) {
                (Some(path), _) => {
                    if let Some(over) = file.overwrites.last_mut() {
                        overwrite(over, path, element, text)?;
                    }
                }
                (None, Some(path)) => read(&mut file.base, path, element, text)?,
                (None, None) => {}
            },
        }
        Ok(())
    })?;
    Ok(file)
}

fn overwrite(
    over: &mut Overwrite,
    path: &str,
    element: &Element<'_>,
    text: &str,
) -> Result<(), Malformed> {
    match path {
        "conditions/arch" => over.archs.push(text.to_owned()),
        "conditions/package" => over.packages.push(text.to_owned()),
        _ => read(&mut over.constraints, path, element, text)?,
    }
    Ok(())
}

fn read(
    into: &mut Constraints,
    path: &str,
    element: &Element<'_>,
    text: &str,
) -> Result<(), Malformed> {
    let odd = || element.odd("content", text);
    match path {
        "hostlabel" => into
            .labels
            .get_or_insert_default()
            .push(wanted(element, text)?),
        "sandbox" => into.sandbox = Some(wanted(element, text)?),
        "hardware/disk/size" | "hardware/memory/size" | "hardware/physicalmemory/size" => {
            let unit = element.find("unit")?;
            let bytes = bytes(text, unit.as_deref()).ok_or_else(odd)?;
            size(into, path.trim_end_matches("/size"), bytes);
        }
        _ => scalar(into, path, text).ok_or_else(odd)?,
    }
    Ok(())
}

fn wanted(element: &Element<'_>, text: &str) -> Result<Wanted, Malformed> {
    let exclude = element.find("exclude")?;
    Ok(Wanted {
        name: text.to_owned(),
        exclude: exclude.map(|word| word == "true"),
    })
}

/// Sets what is one word or number; `None` where it is no number. What is not known asks nothing: OBS
/// would not have taken such a file.
pub(super) fn scalar(into: &mut Constraints, path: &str, text: &str) -> Option<()> {
    let word = || Some(text.to_owned());
    match path {
        "linux" => {
            into.linux.get_or_insert_default();
        }
        "linux/flavor" => into.linux.get_or_insert_default().flavor = word(),
        "linux/version/min" => into.linux.get_or_insert_default().min = word(),
        "linux/version/max" => into.linux.get_or_insert_default().max = word(),
        "hardware" => {
            into.hardware.get_or_insert_default();
        }
        "hardware/processors" => {
            into.hardware.get_or_insert_default().processors = Some(text.parse().ok()?);
        }
        "hardware/jobs" => into.hardware.get_or_insert_default().jobs = Some(text.parse().ok()?),
        "hardware/cpu" => {
            let flags = &mut into.hardware.get_or_insert_default().cpu_flags;
            flags.get_or_insert_default();
        }
        "hardware/cpu/flag" => {
            let flags = &mut into.hardware.get_or_insert_default().cpu_flags;
            flags.get_or_insert_default().push(text.to_owned());
        }
        _ => {}
    }
    Some(())
}

/// Sets `hardware/disk`, `hardware/memory` or `hardware/physicalmemory`.
pub(super) fn size(into: &mut Constraints, path: &str, bytes: u64) {
    let hardware = into.hardware.get_or_insert_default();
    match path {
        "hardware/disk" => hardware.disk = Some(bytes),
        "hardware/memory" => hardware.memory = Some(bytes),
        "hardware/physicalmemory" => hardware.physical_memory = Some(bytes),
        _ => {}
    }
}

/// A size in bytes; a unit that OBS does not know stands for MiB there (`Constraints.pm`, `getmbsize`).
pub(super) fn bytes(number: &str, unit: Option<&str>) -> Option<u64> {
    let number: f64 = number.parse().ok().filter(|n: &f64| *n >= 0.0)?;
    let power = match unit.unwrap_or("B") {
        "B" => 0,
        "K" => 1,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        _ => 2,
    };
    Some((number * 1024_f64.powi(power)).ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_reads_with_its_sizes_in_bytes_and_its_overwrites_apart() {
        let file = parse(
            "<constraints><hostlabel exclude='true'>slow</hostlabel><sandbox>kvm</sandbox>\
             <linux><version><min>5.10</min></version></linux>\
             <hardware><cpu><flag>avx2</flag><flag>sve</flag></cpu><processors>8</processors>\
             <memory><size unit='G'>4</size></memory><disk><size unit='M'>1.5</size></disk></hardware>\
             <overwrite><conditions><arch>aarch64</arch><package>gcc:cross</package></conditions>\
             <hardware><physicalmemory><size>7</size></physicalmemory></hardware></overwrite>\
             </constraints>",
        )
        .unwrap();
        let labels = file.base.labels.unwrap();
        assert_eq!(
            (labels[0].name.as_str(), labels[0].exclude),
            ("slow", Some(true))
        );
        assert_eq!(file.base.sandbox.unwrap().name, "kvm");
        assert_eq!(file.base.linux.unwrap().min.as_deref(), Some("5.10"));
        let hardware = file.base.hardware.unwrap();
        assert_eq!(hardware.cpu_flags.unwrap(), ["avx2", "sve"]);
        assert_eq!(hardware.processors, Some(8));
        assert_eq!(
            (hardware.memory, hardware.disk),
            (Some(4 << 30), Some(3 << 19))
        );
        let over = &file.overwrites[0];
        assert_eq!(over.archs, ["aarch64"]);
        assert_eq!(over.packages, ["gcc:cross"]);
        let only = over.constraints.hardware.as_ref().unwrap();
        assert_eq!((only.physical_memory, only.processors), (Some(7), None));
    }

    #[test]
    fn a_number_that_is_none_and_a_cut_off_file_are_errors() {
        for bad in [
            "<constraints><hardware><processors>many</processors></hardware></constraints>",
            "<constraints><hardware><disk><size unit='G'>-1</size></disk></hardware></constraints>",
            "<constraints><hardware><processors>8</processors>",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("<constraints/>"), Ok(PackageConstraints::default()));
    }
}

//! How fast the results of a million packages are read, 50 MB over loopback, and what that takes in
//! memory: `cargo bench --bench results`.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)] // a tool for figures

mod backend;

use backend::{client, cpu_seconds, peak_mib, resident_mib, serve};
use hyper::body::Bytes;
use std::fmt::Write as _;
use std::time::Instant;

const BYTES: usize = 50_000_000;
const ROUNDS: usize = 7;

fn main() {
    let document = document();
    let megabytes = document.len() as f64 / 1e6;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let at = serve(move |_| document.clone()).await;
        let client = client(at, &["openEuler:Mainline"]);
        let (before, cpu) = (resident_mib(), cpu_seconds());
        let mut best = f64::INFINITY;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            let results = client.results().await.unwrap();
            best = best.min(begun.elapsed().as_secs_f64());
            assert!(results.packages.values().sum::<u64>() > 800_000);
        }
        let cpu = (cpu_seconds() - cpu) / ROUNDS as f64;
        let grown = peak_mib() - before;
        println!("| document | best of {ROUNDS} | by time on a core, server and client | peak memory above the document |");
        println!("| --- | --- | --- | --- |");
        println!(
            "| {megabytes:.0} MB | {:.0} MB/s | {:.0} MB/s | {grown:.0} MiB |",
            megabytes / best,
            megabytes / cpu
        );
    });
}

/// As OBS writes it, mostly done: a waiting job in a thousand.
fn document() -> Bytes {
    let mut text = String::with_capacity(BYTES + 1000);
    text.push_str("<resultlist state=\"63e6\">\n");
    for arch in ["aarch64", "x86_64"] {
        writeln!(text, "  <result project=\"openEuler:Mainline\" repository=\"standard_{arch}\" arch=\"{arch}\" code=\"building\" state=\"building\" dirty=\"true\">").unwrap();
        let end = text.len() + BYTES / 2;
        let mut number = 0;
        while text.len() < end {
            number += 1;
            let code = match number % 1000 {
                0 => "scheduled",
                n if n % 50 == 0 => "unresolvable",
                n if n % 20 == 0 => "excluded",
                _ => "succeeded",
            };
            match code {
                "unresolvable" => writeln!(text, "    <status package=\"package-{number}\" code=\"{code}\">\n      <details>nothing provides libfoo-{number}</details>\n    </status>"),
                _ => writeln!(text, "    <status package=\"package-{number}\" code=\"{code}\" />"),
            }
            .unwrap();
        }
        text.push_str("  </result>\n");
    }
    text.push_str("</resultlist>\n");
    text.into()
}

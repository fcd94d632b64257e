//! obs-scaler.

fn main() {}

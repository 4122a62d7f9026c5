//! The plugin tick, as plugins/tick is in Go: the same answers, to the byte, in less time.

// The coefficients are those of the Go build, to the digit.
#![allow(clippy::excessive_precision)]

#[path = "../../../../internal/scaffold/templates/rust/src/resonhost.rs.tmpl"]
mod resonhost;

mod advance;
mod connection;
mod lanes;
mod network;
mod nodes;
mod record;
mod sine;

use resonhost::Plugin;

#[cfg(not(target_feature = "simd128"))]
compile_error!("without SIMD it is slower than the Go plugin: see .cargo/config.toml");

pub static PLUGIN: Plugin = Plugin {
    manifest: include_str!("../manifest.json"),
    transforms: &[nodes::run, network::run, connection::run],
};

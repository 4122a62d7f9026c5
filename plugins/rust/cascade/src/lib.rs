//! Plugin cascade in Rust, with SIMD. It does what the Go plugin does, to the last bit:
//! see plugins/cascade/plugin.go and, for formulas, transform.go beside it.

mod analysis;
mod history;
mod pairs;
mod record;
#[path = "../../../../internal/scaffold/templates/rust/src/resonhost.rs.tmpl"]
mod resonhost;
mod state;

use resonhost::{Error, Plugin, Task};

#[cfg(not(target_feature = "simd128"))]
compile_error!("without SIMD it is slower than the Go plugin: see .cargo/config.toml");

pub static PLUGIN: Plugin = Plugin {
    manifest: include_str!("../manifest.json"),
    transforms: &[cascade],
};

#[inline(never)]
fn cascade(task: &mut Task) -> Result<(), Error> {
    let state = state::State::decode(task.input)?;
    let history = history::History::decode(task.state)?;
    let analysis = analysis::analyze(&state, &history);
    history.write_next(analysis.resonance, &mut task.next_state);
    record::append(&analysis, &mut task.output);
    Ok(())
}

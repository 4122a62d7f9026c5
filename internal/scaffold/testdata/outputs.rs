//! A plugin for tests of resonhost.rs: does to its output what its input says.

mod resonhost;

use std::io::Write;

use resonhost::{Error, Plugin, Task};

pub static PLUGIN: Plugin = Plugin {
    manifest: r#"{
  "name": "outputs", "version": "1.0.0",
  "transforms": [{"name": "outputs", "input": "application/octet-stream", "output": "application/octet-stream"}],
  "self_tests": [{"name": "nothing", "transform": "outputs", "input": "", "output": ""}]
}"#,
    transforms: &[outputs],
};

/// The input is steps: a letter, and a number of two bytes.
fn outputs(task: &mut Task) -> Result<(), Error> {
    let output = &mut task.output;
    for step in task.input.chunks_exact(3) {
        let n = usize::from(u16::from_le_bytes([step[1], step[2]]));
        match step[0] {
            b'p' => output.push(n as u8),
            b'e' => output.extend_from_slice(&vec![7; n]),
            b'w' => output.write_all(&vec![8; n]).expect("it is memory"),
            b'g' => output.grow(n)[n / 2..].fill(9),
            b'u' => output.grow_uncleared(n).fill(10),
            b't' => output.truncate(n),
            b's' if n < output.len() => output[n] = 11,
            b'f' => return Err(Error::Failed(["had ", &output.len().to_string()].concat())),
            b'i' => return Err(Error::invalid("step", "must be another")),
            _ => {}
        }
    }
    Ok(())
}

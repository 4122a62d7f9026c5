//! The transform tick.connection, as resonance/tick/connection.go and Connect in
//! plugins/tick/transform.go.

use crate::record::*;
use crate::resonhost::{Error, Task};
use crate::sine::wave;

const SIZE: usize = 8 * 8;

/// A node of a connection.
struct End {
    frequency: f64,
    strength: f64,
    x: f64,
    y: f64,
}

pub fn run(task: &mut Task) -> Result<(), Error> {
    if task.input.len() != SIZE {
        return Err(size_fault(task.input.len(), SIZE));
    }
    let mut r = Reader(task.input);
    let (a, b) = (End::read(&mut r), End::read(&mut r));
    a.validate("a.")?;
    b.validate("b.")?;
    for v in connect(&a, &b) {
        task.output.extend_from_slice(&v.to_le_bytes());
    }
    Ok(())
}

impl End {
    fn read(r: &mut Reader) -> Self {
        End {
            frequency: r.float(),
            strength: r.float(),
            x: r.float(),
            y: r.float(),
        }
    }

    fn validate(&self, prefix: &str) -> Result<(), Error> {
        let (member, rule) = if !is_frequency(self.frequency) {
            ("frequency", FREQUENCY_RULE)
        } else if !is_unit(self.strength) {
            ("resonance_strength", UNIT_RULE)
        } else if !is_magnitude(self.x) {
            ("position.x", MAGNITUDE_RULE)
        } else if !is_magnitude(self.y) {
            ("position.y", MAGNITUDE_RULE)
        } else {
            return Ok(());
        };
        Err(Error::invalid(&[prefix, member].concat(), rule))
    }
}

/// The strength and the quality of the connection of two valid nodes.
fn connect(a: &End, b: &End) -> [f64; 2] {
    let q = a.frequency.min(b.frequency) / a.frequency.max(b.frequency);
    let distance = hypot(a.x - b.x, a.y - b.y);
    let strength = (q + 1.0 - (a.strength - b.strength).abs() + wave(q * PHI)) / 3.0;
    [strength, (1.0 - distance / 100.0).max(0.0)]
}

/// The length of (p, q), as package math of Go has it.
fn hypot(p: f64, q: f64) -> f64 {
    let (long, short) = (p.abs().max(q.abs()), p.abs().min(q.abs()));
    if long == 0.0 {
        return 0.0;
    }
    let ratio = short / long;
    long * (1.0 + ratio * ratio).sqrt()
}

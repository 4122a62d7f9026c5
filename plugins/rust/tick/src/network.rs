//! The transform tick.network, as resonance/tick/network.go and AdvanceNetwork in
//! plugins/tick/transform.go.

use std::f64::consts::PI;

use crate::record::*;
use crate::resonhost::{Error, Output, Task};
use crate::sine::{sin, wave};

/// The metrics in the order of a record.
const METRICS: [&str; 12] = [
    "networkCoherence",
    "harmonicAlignment",
    "frequencyStability",
    "resonanceAmplification",
    "synchronizationAccuracy",
    "fieldStrength",
    "nodeConnectivity",
    "resonanceEvolution",
    "harmonicConvergence",
    "consciousnessResonance",
    "universalAlignment",
    "transcendentHarmonics",
];
const NETWORK_COHERENCE: usize = 0;
const HARMONIC_ALIGNMENT: usize = 1;
const FREQUENCY_STABILITY: usize = 2;
const RESONANCE_AMPLIFICATION: usize = 3;
const SYNCHRONIZATION_ACCURACY: usize = 4;
const FIELD_STRENGTH: usize = 5;
const RESONANCE_EVOLUTION: usize = 7;
const HARMONIC_CONVERGENCE: usize = 8;
const CONSCIOUSNESS_RESONANCE: usize = 9;
const UNIVERSAL_ALIGNMENT: usize = 10;
const TRANSCENDENT_HARMONICS: usize = 11;

const HEADER: usize = (3 + METRICS.len()) * 8;
const FIELD_SIZE: usize = 7 * 8;
const PATTERN_SIZE: usize = 6 * 8;

pub fn run(task: &mut Task) -> Result<(), Error> {
    let mut network = Network::read(task.input)?;
    network.validate()?;
    network.advance();
    network.append(&mut task.output);
    Ok(())
}

struct Network {
    now_ms: f64,
    metrics: [f64; METRICS.len()],
    fields: Vec<Field>,
    patterns: Vec<Pattern>,
}

struct Field {
    paused: bool,
    total: u64,
    strength: f64,
    average: f64,
    peak: f64,
    coherence: f64,
    stability: f64,
}

struct Pattern {
    paused: bool,
    total: u64,
    /// In degrees.
    phase: f64,
    strength: f64,
    peak: f64,
    enhancement: f64,
}

impl Network {
    fn read(record: &[u8]) -> Result<Self, Error> {
        if record.len() < HEADER {
            return Err(size_fault(record.len(), HEADER));
        }
        let mut r = Reader(record);
        let (fields, patterns) = (r.u64(), r.u64());
        if fields > MAX_PATTERNS as u64 || patterns > MAX_PATTERNS as u64 {
            return Err(count_fault());
        }
        let (fields, patterns) = (fields as usize, patterns as usize);
        let size = HEADER + fields * FIELD_SIZE + patterns * PATTERN_SIZE;
        if record.len() != size {
            return Err(size_fault(record.len(), size));
        }
        let now_ms = r.float();
        let metrics = METRICS.map(|_| r.float());
        let paused = |r: &mut Reader, list: &str, i: usize| match r.u64() {
            paused @ (0 | 1) => Ok(paused == 1),
            _ => Err(Error::invalid(&at(list, i, ".state"), STATE_RULE)),
        };
        let mut read_field = |i: usize| {
            Ok(Field {
                paused: paused(&mut r, "fields", i)?,
                total: r.u64(),
                strength: r.float(),
                average: r.float(),
                peak: r.float(),
                coherence: r.float(),
                stability: r.float(),
            })
        };
        let fields = (0..fields).map(&mut read_field).collect::<Result<_, _>>()?;
        let mut read_pattern = |i: usize| {
            Ok(Pattern {
                paused: paused(&mut r, "patterns", i)?,
                total: r.u64(),
                phase: r.float(),
                strength: r.float(),
                peak: r.float(),
                enhancement: r.float(),
            })
        };
        let patterns = (0..patterns)
            .map(&mut read_pattern)
            .collect::<Result<_, _>>()?;
        Ok(Network {
            now_ms,
            metrics,
            fields,
            patterns,
        })
    }

    fn validate(&self) -> Result<(), Error> {
        check_time(self.now_ms)?;
        for (name, v) in METRICS.iter().zip(self.metrics) {
            if !within(v, -MAX_MAGNITUDE, 1.0) {
                return Err(Error::invalid(
                    &["metrics.", name].concat(),
                    "must be between -1e9 and 1",
                ));
            }
        }
        for (i, field) in self.fields.iter().enumerate() {
            if let Some((member, rule)) = field.broken() {
                return Err(Error::invalid(&at("fields", i, member), rule));
            }
        }
        for (i, pattern) in self.patterns.iter().enumerate() {
            if let Some((member, rule)) = pattern.broken() {
                return Err(Error::invalid(&at("patterns", i, member), rule));
            }
        }
        Ok(())
    }

    fn advance(&mut self) {
        let seconds = self.now_ms / 1000.0;
        let drift = sin(seconds * PHI / 100.0);
        let m = &mut self.metrics;

        let (mut field_sum, mut fields) = (0.0, 0);
        for f in self.fields.iter_mut().filter(|f| !f.paused) {
            f.advance(drift);
            field_sum += f.strength;
            fields += 1;
        }
        let (mut pattern_sum, mut patterns) = (0.0, 0);
        for p in self.patterns.iter_mut().filter(|p| !p.paused) {
            p.advance();
            pattern_sum += p.strength;
            patterns += 1;
        }
        let (mean_field, mean_pattern) = (mean(field_sum, fields), mean(pattern_sum, patterns));

        raise(
            &mut m[NETWORK_COHERENCE],
            0.001 * (mean_field + mean_pattern) / 2.0,
        );
        raise(&mut m[HARMONIC_ALIGNMENT], 0.0005 * mean_pattern * PHI);
        raise(&mut m[FIELD_STRENGTH], 0.0008 * mean_field * PHI);

        raise(&mut m[FREQUENCY_STABILITY], 0.0005 * drift);
        raise(&mut m[RESONANCE_AMPLIFICATION], 0.0006 * drift);
        raise(&mut m[SYNCHRONIZATION_ACCURACY], 0.0004 * drift);

        raise(&mut m[HARMONIC_CONVERGENCE], 0.0001);
        raise(&mut m[CONSCIOUSNESS_RESONANCE], 0.00015);
        raise(&mut m[TRANSCENDENT_HARMONICS], 0.00008);

        for p in self.patterns.iter_mut().filter(|p| !p.paused) {
            raise(&mut p.strength, 0.01618033988749); // φ/100
            raise(&mut p.enhancement, 0.008090169943745); // φ/200
        }
        for f in self.fields.iter_mut().filter(|f| !f.paused) {
            raise(&mut f.strength, 0.001);
            raise(&mut f.coherence, 0.0008);
        }

        let scale = [432.0, 528.0, 639.0, 741.0, 852.0, 963.0];
        let mut sum = 0.0;
        for f in scale {
            sum += wave(seconds * f / 1000.0);
        }
        raise(&mut m[HARMONIC_ALIGNMENT], 0.001 * mean(sum, scale.len()));

        raise(&mut m[RESONANCE_EVOLUTION], 0.0001);
        raise(&mut m[UNIVERSAL_ALIGNMENT], 0.00012);
    }

    fn append(&self, out: &mut Output) {
        for count in [self.fields.len(), self.patterns.len()] {
            out.extend_from_slice(&(count as u64).to_le_bytes());
        }
        append_floats(out, &[self.now_ms]);
        append_floats(out, &self.metrics);
        for f in &self.fields {
            append_activity(out, f.paused, f.total);
            append_floats(
                out,
                &[f.strength, f.average, f.peak, f.coherence, f.stability],
            );
        }
        for p in &self.patterns {
            append_activity(out, p.paused, p.total);
            append_floats(out, &[p.phase, p.strength, p.peak, p.enhancement]);
        }
    }
}

impl Field {
    /// The first rule that it breaks, behind the member.
    fn broken(&self) -> Option<(&'static str, &'static str)> {
        let magnitudes = [
            (".field_strength", self.strength),
            (".average_strength", self.average),
            (".peak_resonance", self.peak),
            (".field_coherence", self.coherence),
            (".harmonic_stability", self.stability),
        ];
        broken(&magnitudes, (".total_resonances", self.total))
    }

    fn advance(&mut self, drift: f64) {
        raise(&mut self.strength, 0.01618033988749 * drift); // φ·0.01
        self.total = (self.total + 1).min(MAX_COUNT);
        self.peak = max(self.peak, self.strength);
        self.average += (self.strength - self.average) / self.total as f64;
    }
}

impl Pattern {
    /// As of a field.
    fn broken(&self) -> Option<(&'static str, &'static str)> {
        if !(self.phase >= 0.0 && self.phase < 360.0) {
            return Some((".current_phase", "must be from 0 to below 360"));
        }
        let magnitudes = [
            (".harmonic_strength", self.strength),
            (".peak_harmonic", self.peak),
            (".consciousness_enhancement", self.enhancement),
        ];
        broken(&magnitudes, (".total_cycles", self.total))
    }

    fn advance(&mut self) {
        self.phase += 3.6; // 360/100
        if self.phase >= 360.0 {
            self.phase -= 360.0;
        }
        self.strength = PHI * wave(self.phase * PI / 180.0);
        self.total = (self.total + 1).min(MAX_COUNT);
        self.peak = max(self.peak, self.strength);
    }
}

/// The first rule that members break, behind the member.
fn broken(
    magnitudes: &[(&'static str, f64)],
    (count, n): (&'static str, u64),
) -> Option<(&'static str, &'static str)> {
    let wrong = magnitudes.iter().find(|(_, v)| !is_magnitude(*v));
    wrong
        .map(|(member, _)| (*member, MAGNITUDE_RULE))
        .or_else(|| (n > MAX_COUNT).then(|| (count, COUNT_RULE)))
}

/// Adds to a value that is at most 1.
fn raise(v: &mut f64, by: f64) {
    *v += by;
    if *v > 1.0 {
        *v = 1.0;
    }
}

/// The larger of two numbers, of which a 0 is larger than a -0.
fn max(a: f64, b: f64) -> f64 {
    if a == b {
        return f64::from_bits(a.to_bits() & b.to_bits());
    }
    a.max(b)
}

/// Of nothing it is 0.
fn mean(sum: f64, n: usize) -> f64 {
    if n == 0 {
        return 0.0;
    }
    sum / n as f64
}

fn append_activity(out: &mut Output, paused: bool, total: u64) {
    out.extend_from_slice(&u64::from(paused).to_le_bytes());
    out.extend_from_slice(&total.to_le_bytes());
}

fn append_floats(out: &mut Output, floats: &[f64]) {
    for v in floats {
        out.extend_from_slice(&v.to_le_bytes());
    }
}

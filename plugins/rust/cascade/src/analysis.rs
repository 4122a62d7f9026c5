//! Harmonic resonance analysis of one state, as plugins/cascade/transform.go, which has the
//! formulas.

use core::arch::wasm32::*;

use crate::history::{History, OCTAVES};
use crate::pairs::{self, closeness};
use crate::state::{State, MAX_FREQUENCIES};

const THRESHOLD: f64 = 0.7;

/// In Hz, by which the values of a state are multiplied.
const BASES: [f64; MAX_FREQUENCIES] = [432.0, 528.0, 741.0, 639.0, 852.0];

/// The frequencies of joy, love, peace, insight and unity in Hz.
const EMOTIONS: [f64; 5] = [528.0, 639.0, 741.0, 852.0, 963.0];

/// The index of the emotion of no resonance.
const NEUTRAL: usize = EMOTIONS.len();

/// What a result is made of, as Analysis in resonance/cascade/analysis.go.
pub struct Analysis {
    pub timestamp: i64,
    pub full: bool,
    pub frequencies: Frequencies,
    pub resonance: f64,
    pub alignment: f64,
    pub converges: bool,
    pub emotions: [f64; 5],
    pub dominant: usize,
    pub dominant_strength: f64,
    pub creative: Creative,
    /// A bit a pair of frequencies in their order, which have a standing wave.
    pub waves: u32,
    pub stability: f64,
    pub score: f64,
    pub quality: u64,
}

/// The base frequencies in Hz, n of them.
pub struct Frequencies {
    all: [f64; MAX_FREQUENCIES],
    n: usize,
}

impl Frequencies {
    fn of(values: &[f64; MAX_FREQUENCIES]) -> Frequencies {
        let mut f = Frequencies {
            all: [0.0; MAX_FREQUENCIES],
            n: 0,
        };
        for (&value, &base) in values.iter().zip(&BASES) {
            if value != 0.0 {
                f.all[f.n] = value * base;
                f.n += 1;
            }
        }
        if f.n == 0 {
            f.all[..3].copy_from_slice(&[432.0, 528.0, 639.0]);
            f.n = 3;
        }
        f
    }

    pub fn as_slice(&self) -> &[f64] {
        &self.all[..self.n]
    }
}

/// Measures of the octaves' resonances.
pub struct Creative {
    pub fractal_depth: f64,
    pub rhythmic_complexity: f64,
    pub harmonic_richness: f64,
    pub emergent_novelty: f64,
}

pub fn analyze(state: &State, history: &History) -> Analysis {
    let frequencies = Frequencies::of(&state.values);
    let f = frequencies.as_slice();
    let pairs = pairs::compare(f);
    let converges = pairs.resonance > THRESHOLD;
    let emotions = feel(f);
    let (dominant, dominant_strength) = dominating(&emotions);
    let creative = create(pairs.resonance, converges, history);
    let stability = match pairs.whole.count_ones() {
        0 => 0.0,
        n => n as f64 / (f.len() * (f.len() - 1) / 2) as f64,
    };
    let mean = (creative.fractal_depth
        + creative.rhythmic_complexity
        + creative.harmonic_richness
        + creative.emergent_novelty)
        / 4.0;
    let convergence = if converges { 1.0 } else { 0.0 };
    let score = at_most_1(
        0.25 * pairs.resonance
            + 0.20 * convergence
            + 0.20 * dominant_strength
            + 0.20 * mean
            + 0.15 * stability,
    );
    Analysis {
        timestamp: state.timestamp,
        full: state.full,
        resonance: pairs.resonance,
        alignment: pairs.alignment,
        converges,
        emotions,
        dominant,
        dominant_strength,
        creative,
        waves: pairs.whole,
        stability,
        score,
        quality: quality(score),
        frequencies,
    }
}

fn at_most_1(v: f64) -> f64 {
    if v > 1.0 {
        1.0
    } else {
        v
    }
}

/// The resonance of each emotion. Two emotions lie side by side, and of the last the
/// frequencies that it is compared with.
#[inline(never)]
fn feel(f: &[f64]) -> [f64; 5] {
    let [joy, love, peace, insight, unity] = EMOTIONS;
    let half = f64x2_splat(0.5);
    let two = |base, first: f64, second: f64| {
        let near = |n: f64| closeness(base, f64x2(first * n, second * n));
        let further = f64x2_add(f64x2_add(near(2.0), near(3.0)), near(4.0));
        f64x2_add(near(1.0), f64x2_mul(half, further))
    };
    let (mut sum0, mut sum1, mut sum2) = (f64x2_splat(0.0), f64x2_splat(0.0), 0.0);
    for &base in f {
        let base = f64x2_splat(base);
        sum0 = f64x2_add(sum0, two(base, joy, love));
        sum1 = f64x2_add(sum1, two(base, peace, insight));
        let near = closeness(base, f64x2(unity, unity * 2.0));
        let further = closeness(base, f64x2(unity * 3.0, unity * 4.0));
        sum2 += f64x2_extract_lane::<0>(near)
            + 0.5
                * (f64x2_extract_lane::<1>(near)
                    + f64x2_extract_lane::<0>(further)
                    + f64x2_extract_lane::<1>(further));
    }
    let n = f.len() as f64;
    let (mean0, mean1) = (
        f64x2_div(sum0, f64x2_splat(n)),
        f64x2_div(sum1, f64x2_splat(n)),
    );
    [
        f64x2_extract_lane::<0>(mean0),
        f64x2_extract_lane::<1>(mean0),
        f64x2_extract_lane::<0>(mean1),
        f64x2_extract_lane::<1>(mean1),
        sum2 / n,
    ]
}

/// The first that is strictly the largest above 0.
fn dominating(strengths: &[f64; 5]) -> (usize, f64) {
    let (mut dominant, mut strength) = (NEUTRAL, 0.0);
    for (i, &s) in strengths.iter().enumerate() {
        if s > strength {
            (dominant, strength) = (i, s);
        }
    }
    (dominant, strength)
}

fn create(r: f64, converges: bool, history: &History) -> Creative {
    let octaves = OCTAVES as f64;
    let off = r - (r + r + r + r + r + r + r + r) / octaves;
    let off = off * off;
    let variance = (off + off + off + off + off + off + off + off) / octaves;
    Creative {
        fractal_depth: 1.0,
        rhythmic_complexity: at_most_1(2.0 * variance.sqrt()),
        harmonic_richness: if converges { r } else { 0.0 },
        emergent_novelty: if history.is_full() {
            novelty(r, history)
        } else {
            0.5
        },
    }
}

#[inline(never)]
fn novelty(now: f64, history: &History) -> f64 {
    let (now, one) = (f64x2_splat(now), f64x2_splat(1.0));
    let mut least = 1.0;
    for pattern in history.patterns() {
        let alike = |then| f64x2_sub(one, f64x2_abs(f64x2_sub(now, then)));
        let first = alike(pattern[0]);
        let mut sum = f64x2_extract_lane::<0>(first) + f64x2_extract_lane::<1>(first);
        for &then in &pattern[1..] {
            let next = alike(then);
            sum += f64x2_extract_lane::<0>(next);
            sum += f64x2_extract_lane::<1>(next);
        }
        let v = 1.0 - sum / OCTAVES as f64;
        if v < least {
            least = v;
        }
    }
    least
}

/// The index of the score's quality among all.
fn quality(score: f64) -> u64 {
    let bounds: [f64; 4] = [0.9, 0.7, 0.5, 0.3];
    bounds.iter().filter(|&&bound| score < bound).count() as u64
}

//! Advances nodes, as plugins/tick/advance.go and AdvanceNodes in transform.go.
//!
//! Nodes go by blocks of 64, of which progress has a word each: first the steps and the
//! strengths of all, two a vector, then the patterns in the order of the nodes. In between a
//! block's steps lie in memory, which costs less than taking vectors apart.

use core::arch::wasm32::*;
use std::f64::consts::FRAC_1_PI;

use crate::lanes::*;
use crate::nodes::Nodes;
use crate::record::*;
use crate::sine;

pub const BLOCK: usize = 64;

/// The highest frequency of which vectors reckon the progress, in Hz: it raises no strength by
/// more than 1.
const HIGHEST: f64 = 10_000.0;

// π in three parts, of which the first times a whole number is exact up to sine::LARGE.
const PI: [f64; 3] = [
    3.14159250259399414062,
    1.50995788317231927067e-7,
    1.07806057163166381018e-14,
];

/// The coefficients of (sin(x)/x - 1)/x² in x² for |x| up to π/2, within 2e-16.
const SIN: [f64; 7] = [
    -7.4080313436704882966e-13,
    1.6050970646122486338e-10,
    -2.5051972881210060327e-8,
    2.7557318055221204417e-6,
    -1.9841269836466635949e-4,
    8.3333333333259282536e-3,
    -1.6666666666666648022e-1,
];

/// Added to a number of a magnitude below 2^51 it rounds it to a whole one, of which the last
/// bit is then the sum's.
const TO_WHOLE: f64 = (3u64 << 51) as f64;

/// Numbers of a block to be written.
type Places = [Float; BLOCK];

/// Advances valid nodes: writes the next strengths of nodes and of patterns, and the words of
/// progress.
pub fn advance(
    nodes: &Nodes,
    strengths: &mut [Float],
    patterns: &mut [Float],
    progress: &mut [Float],
) {
    let now = Now::of(nodes.now_ms);
    patterns.copy_from_slice(nodes.pattern);
    let mut steps = [Float::default(); BLOCK];
    let (blocks, rest) = split_mut(strengths);
    for (i, next) in blocks.iter_mut().enumerate() {
        let block = Block {
            frequency: part(nodes.frequency, i * BLOCK),
            strength: part(nodes.strength, i * BLOCK),
            stopped: &nodes.stopped[i * BLOCK..][..BLOCK],
            offset: &nodes.offset[i * BLOCK..][..BLOCK + 1],
        };
        let made = block.advance(&now, next, &mut steps);
        block.drive(nodes.attached, &steps, patterns);
        progress[i] = made.to_le_bytes();
    }
    if !rest.is_empty() {
        let i = blocks.len();
        let mut next = [Float::default(); BLOCK];
        let block = Block {
            frequency: &padded(&nodes.frequency[i * BLOCK..], 1.0),
            strength: &padded(&nodes.strength[i * BLOCK..], 1.0),
            stopped: &nodes.stopped[i * BLOCK..],
            offset: &nodes.offset[i * BLOCK..],
        };
        let made = block.advance(&now, &mut next, &mut steps);
        block.drive(nodes.attached, &steps, patterns);
        rest.copy_from_slice(&next[..rest.len()]);
        progress[i] = made.to_le_bytes();
    }
    // Not at each step: what is above 1 never sinks.
    for v in patterns {
        *v = at_most_1(f64::from_le_bytes(*v)).to_le_bytes();
    }
}

/// What all nodes have in common.
struct Now {
    seconds: f64,
    wave: f64,
}

impl Now {
    fn of(now_ms: f64) -> Self {
        let seconds = now_ms / 1000.0;
        Now {
            seconds,
            wave: 0.5 * sin(seconds * PHI) + 0.5,
        }
    }

    /// Reports whether a node of that frequency is not for vectors.
    fn excludes(&self, frequency: f64) -> bool {
        frequency > HIGHEST || (self.seconds * frequency / 100.0).abs() >= sine::LARGE
    }

    /// The next strength of a node, and its step.
    fn advance(&self, frequency: f64, strength: f64) -> (f64, f64) {
        let strength = at_most_1(strength + 0.01 * (frequency / 100.0) * self.wave);
        (
            strength,
            0.001 * (0.5 * sin(self.seconds * frequency / 100.0) + 0.5),
        )
    }
}

/// Up to 64 nodes.
struct Block<'a> {
    frequency: &'a [Float; BLOCK],
    strength: &'a [Float; BLOCK],
    stopped: &'a [u8],
    offset: &'a [Index],
}

impl Block<'_> {
    /// Writes the next strengths and the steps, and returns which nodes made progress.
    fn advance(&self, now: &Now, next: &mut Places, steps: &mut Places) -> u64 {
        let n = self.stopped.len();
        let (mut made, highest) = self.advance_all(now, next, steps);
        if now.excludes(highest) {
            for i in 0..n {
                let frequency = f64::from_le_bytes(self.frequency[i]);
                if now.excludes(frequency) {
                    let (strength, step) =
                        now.advance(frequency, f64::from_le_bytes(self.strength[i]));
                    next[i] = strength.to_le_bytes();
                    steps[i] = step.to_le_bytes();
                    let progress = (strength * 1000.0) as i64 % 100 == 0;
                    made = made & !(1 << i) | u64::from(progress) << i;
                }
            }
        }
        if n < BLOCK {
            made &= (1 << n) - 1;
        }
        if any(self.stopped) {
            for (i, _) in self
                .stopped
                .iter()
                .enumerate()
                .filter(|(_, stopped)| **stopped != 0)
            {
                next[i] = self.strength[i];
                made &= !(1 << i);
            }
        }
        made
    }

    /// Does so for all nodes as if they were resonating and for vectors. It returns their
    /// highest frequency as well.
    fn advance_all(&self, now: &Now, next: &mut Places, steps: &mut Places) -> (u64, f64) {
        let (seconds, wave) = (f64x2_splat(now.seconds), f64x2_splat(now.wave));
        let mut highest = f64x2_splat(0.0);
        let mut made = 0u64;
        let turns = (self.stopped.len() + 3) / 4;
        let old = fours(self.frequency).iter().zip(fours(self.strength));
        let new = fours_mut(next).iter_mut().zip(fours_mut(steps));
        for ((frequency, strength), (next, steps)) in old.zip(new).take(turns) {
            let mut four = 0;
            for half in [0, 2] {
                let frequency = floats(frequency, half);
                highest = f64x2_pmax(highest, frequency);
                let hundreds = f64x2_div(frequency, f64x2_splat(100.0));
                let rise = f64x2_mul(f64x2_mul(f64x2_splat(0.01), hundreds), wave);
                let strength =
                    f64x2_pmin(f64x2_add(floats(strength, half), rise), f64x2_splat(1.0));
                set(next, half, strength);
                four |= u64::from(i64x2_bitmask(progress(strength))) << half;

                let x = f64x2_div(f64x2_mul(seconds, frequency), f64x2_splat(100.0));
                let wave = f64x2_add(
                    f64x2_mul(f64x2_splat(0.5), sine_of_two(x)),
                    f64x2_splat(0.5),
                );
                set(steps, half, f64x2_mul(f64x2_splat(0.001), wave));
            }
            made = made >> 4 | four << 60;
        }
        (
            made >> (64 - 4 * turns),
            f64x2_extract_lane::<0>(highest).max(f64x2_extract_lane::<1>(highest)),
        )
    }

    /// Adds the steps of resonating nodes to the patterns attached to them, which are there.
    fn drive(&self, attached: &[Index], steps: &Places, patterns: &mut [Float]) {
        let step = |i: usize| f64::from_le_bytes(steps[i]);
        let mut add = |pattern: Index, step: f64| {
            // SAFETY: the nodes are valid.
            let v = unsafe { patterns.get_unchecked_mut(index(pattern)) };
            *v = (f64::from_le_bytes(*v) + step).to_le_bytes();
        };
        let mut k = index(self.offset[0]);
        if self.stopped.len() == BLOCK && !any(self.stopped) && one_each(self.offset) {
            for (i, pattern) in part::<_, BLOCK>(attached, k).iter().enumerate() {
                add(*pattern, step(i));
            }
            return;
        }
        for (i, stopped) in self.stopped.iter().enumerate() {
            let end = index(self.offset[i + 1]);
            if *stopped == 0 {
                for pattern in &attached[k..end] {
                    add(*pattern, step(i));
                }
            }
            k = end;
        }
    }
}

/// ⌊s·1000⌋ is a multiple of 100 if s·1000 is less than 1 above one.
fn progress(strength: v128) -> v128 {
    let thousands = f64x2_mul(strength, f64x2_splat(1000.0));
    let nearest = f64x2_nearest(f64x2_mul(thousands, f64x2_splat(0.01)));
    let above = f64x2_sub(thousands, f64x2_mul(f64x2_splat(100.0), nearest));
    v128_and(
        f64x2_ge(above, f64x2_splat(0.0)),
        f64x2_lt(above, f64x2_splat(1.0)),
    )
}

/// The sine within 1e-15, for |x| below sine::LARGE: of x less the nearest multiple of π, of
/// which the sign is the opposite if that is an odd one.
fn sine_of_two(x: v128) -> v128 {
    let [pi1, pi2, pi3] = PI.map(|c| f64x2_splat(c));
    let whole = f64x2_add(f64x2_mul(x, f64x2_splat(FRAC_1_PI)), f64x2_splat(TO_WHOLE));
    let n = f64x2_sub(whole, f64x2_splat(TO_WHOLE));
    let y = f64x2_sub(
        f64x2_sub(f64x2_sub(x, f64x2_mul(n, pi1)), f64x2_mul(n, pi2)),
        f64x2_mul(n, pi3),
    );

    let [s0, s1, s2, s3, s4, s5, s6] = SIN.map(|c| f64x2_splat(c));
    let yy = f64x2_mul(y, y);
    let y4 = f64x2_mul(yy, yy);
    let high = f64x2_add(f64x2_add(s2, f64x2_mul(s1, yy)), f64x2_mul(y4, s0));
    let middle = f64x2_add(f64x2_add(s4, f64x2_mul(s3, yy)), f64x2_mul(y4, high));
    let low = f64x2_add(f64x2_add(s6, f64x2_mul(s5, yy)), f64x2_mul(y4, middle));
    let sine = f64x2_add(y, f64x2_mul(f64x2_mul(y, yy), low));
    v128_xor(sine, i64x2_shl(whole, 63))
}

/// The sine of any x: that, or sine::sin.
fn sin(x: f64) -> f64 {
    if x.abs() < sine::LARGE {
        return f64x2_extract_lane::<0>(sine_of_two(f64x2_splat(x)));
    }
    sine::sin(x)
}

fn at_most_1(v: f64) -> f64 {
    if v > 1.0 {
        return 1.0;
    }
    v
}

/// Reports whether a block's bytes are not all 0.
fn any(v: &[u8]) -> bool {
    let (sixteens, rest) = split::<_, 16>(v);
    let all = sixteens
        .iter()
        .fold(u8x16_splat(0), |all, v| v128_or(all, bytes(v)));
    v128_any_true(all) || rest.iter().any(|v| *v != 0)
}

/// Reports whether each number is 1 more than that before it.
fn one_each(offset: &[Index]) -> bool {
    let mut differ = u32x4_splat(0);
    let (nows, _) = split::<_, 4>(offset);
    let (nexts, _) = split::<_, 4>(&offset[1..]);
    for (now, next) in nows.iter().zip(nexts) {
        let difference = u32x4_sub(indices(next, 0), indices(now, 0));
        differ = v128_or(differ, v128_xor(difference, u32x4_splat(1)));
    }
    !v128_any_true(differ)
}

/// The N elements from the i-th on.
fn part<T, const N: usize>(v: &[T], i: usize) -> &[T; N] {
    v[i..][..N].try_into().expect("as long")
}

fn padded(v: &[Float], with: f64) -> [Float; BLOCK] {
    let mut block = [with.to_le_bytes(); BLOCK];
    block[..v.len()].copy_from_slice(v);
    block
}

fn fours<T>(v: &[T; BLOCK]) -> &[[T; 4]] {
    split(v).0
}

fn fours_mut<T>(v: &mut [T; BLOCK]) -> &mut [[T; 4]] {
    split_mut(v).0
}

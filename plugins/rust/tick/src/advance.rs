//! Advances nodes, as plugins/tick/advance.go and AdvanceNodes in transform.go.
//!
//! Nodes go by blocks of 64, of which progress has a word each. What is the same for all is
//! reckoned in two passes, two nodes a vector and eight a turn: of one pass alone the numbers
//! depend on one another in so long a chain that a processor looks in vain for others to
//! reckon meanwhile. In between a block's numbers lie in memory. Each loop is a function of its
//! own, and calls nothing: around calls, and in large functions, wazero's compiler keeps
//! variables in memory.

use core::arch::wasm32::*;
use std::f64::consts::FRAC_1_PI;

use crate::lanes::*;
use crate::nodes::Valid;
use crate::record::*;
use crate::sine;

pub const BLOCK: usize = 64;

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

/// A number of each node of a block.
type Numbers = [Float; BLOCK];

/// Writes the next strengths of nodes and of patterns, and the words of progress.
pub fn advance(
    nodes: &Valid,
    strengths: &mut [Float],
    patterns: &mut [Float],
    progress: &mut [Float],
) {
    let nodes = nodes.nodes();
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
            attached: nodes.attached,
        };
        progress[i] = block
            .advance(&now, next, &mut steps, patterns)
            .to_le_bytes();
    }
    if !rest.is_empty() {
        let i = blocks.len();
        let block = Block {
            frequency: &padded(&nodes.frequency[i * BLOCK..]),
            strength: &padded(&nodes.strength[i * BLOCK..]),
            stopped: &nodes.stopped[i * BLOCK..],
            offset: &nodes.offset[i * BLOCK..],
            attached: nodes.attached,
        };
        let mut next = [Float::default(); BLOCK];
        progress[i] = block
            .advance(&now, &mut next, &mut steps, patterns)
            .to_le_bytes();
        rest.copy_from_slice(&next[..rest.len()]);
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

    /// Reports whether a sine's argument is too large for vectors.
    fn excludes(&self, frequency: f64) -> bool {
        (self.seconds * frequency / 100.0).abs() >= sine::LARGE
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

/// Up to 64 of valid nodes. Arrays of numbers are padded.
struct Block<'a> {
    frequency: &'a Numbers,
    strength: &'a Numbers,
    stopped: &'a [u8],
    offset: &'a [Index],
    /// Those of all nodes.
    attached: &'a [Index],
}

impl Block<'_> {
    /// Writes the next strengths, adds to the patterns, and returns which nodes made progress.
    fn advance(
        &self,
        now: &Now,
        next: &mut Numbers,
        steps: &mut Numbers,
        patterns: &mut [Float],
    ) -> u64 {
        let n = self.stopped.len();
        let (made, highest) = self.raise(now, next, steps);
        let one_each = n == BLOCK && one_each(self.offset);
        let (stopped, excluded) = (any(self.stopped), now.excludes(highest));
        if one_each && !stopped && !excluded {
            drive_one_each::<true>(self.attached(), steps, patterns);
            return made;
        }
        finish(steps);
        let mut made = made & u64::MAX >> (BLOCK - n);
        if excluded {
            made = self.advance_excluded(now, next, steps, made);
        }
        if stopped {
            made = self.leave_stopped(next, steps, made);
        }
        if one_each {
            drive_one_each::<false>(self.attached(), steps, patterns);
        } else {
            self.drive(steps, patterns);
        }
        made
    }

    /// The patterns attached to a block of nodes with one each.
    fn attached(&self) -> &[Index; BLOCK] {
        part(self.attached, index(self.offset[0]))
    }

    /// Advances the nodes that are excluded from vectors, and returns which made progress.
    #[cold]
    #[inline(never)]
    fn advance_excluded(
        &self,
        now: &Now,
        next: &mut Numbers,
        steps: &mut Numbers,
        mut made: u64,
    ) -> u64 {
        for i in 0..self.stopped.len() {
            let frequency = f64::from_le_bytes(self.frequency[i]);
            if now.excludes(frequency) {
                let strength = f64::from_le_bytes(self.strength[i]);
                let (strength, step) = now.advance(frequency, strength);
                (next[i], steps[i]) = (strength.to_le_bytes(), step.to_le_bytes());
                let progress = (strength * 1000.0) as i64 % 100 == 0;
                made = made & !(1 << i) | u64::from(progress) << i;
            }
        }
        made
    }

    /// Leaves stopped nodes as they were, and returns which others made progress.
    #[inline(never)]
    fn leave_stopped(&self, next: &mut Numbers, steps: &mut Numbers, mut made: u64) -> u64 {
        for (i, stopped) in self.stopped.iter().enumerate() {
            if *stopped != 0 {
                next[i] = self.strength[i];
                steps[i] = (-0f64).to_le_bytes(); // which changes no number, not even a -0
                made &= !(1 << i);
            }
        }
        made
    }

    /// Adds the steps to the patterns.
    #[inline(never)]
    fn drive(&self, steps: &Numbers, patterns: &mut [Float]) {
        let mut k = index(self.offset[0]);
        for (end, step) in self.offset[1..].iter().zip(steps) {
            let end = index(*end);
            for pattern in &self.attached[k..end] {
                // SAFETY: the nodes are valid.
                unsafe { add(patterns, *pattern, *step) }
            }
            k = end;
        }
    }

    /// Writes the next strengths as if all nodes were resonating and none excluded, and what
    /// finish makes the steps of. It returns which made progress, and the highest frequency.
    #[inline(never)]
    fn raise(&self, now: &Now, next: &mut Numbers, angles: &mut Numbers) -> (u64, f64) {
        let (seconds, wave) = (f64x2_splat(now.seconds), f64x2_splat(now.wave));
        // The compiler must not know it: of a constant it makes f64x2.min, which takes eight
        // instructions instead of one.
        let one = f64x2_add(f64x2_sub(wave, wave), f64x2_splat(1.0));
        let hundred = f64x2_splat(100.0);
        let mut highest = f64x2_splat(0.0);
        let mut made = 0u64;
        let turns = (self.stopped.len() + 7) / 8;
        let old = groups(self.frequency).iter().zip(groups(self.strength));
        let new = groups_mut(next).iter_mut().zip(groups_mut(angles));
        for ((frequency, strength), (next, angles)) in old.zip(new).take(turns) {
            let mut eight = 0;
            // The last first: a check of the memory's bounds serves for what lies before.
            for i in [6, 4, 2, 0] {
                let frequency = floats(frequency, i);
                highest = f64x2_pmax(highest, frequency);
                let part = f64x2_mul(f64x2_splat(0.01), f64x2_div(frequency, hundred));
                let strength = f64x2_add(floats(strength, i), f64x2_mul(part, wave));
                let strength = f64x2_pmin(strength, one);
                set(next, i, strength);
                eight |= u64::from(i64x2_bitmask(progress(strength))) << i;
                let x = f64x2_div(f64x2_mul(seconds, frequency), hundred);
                set(angles, i, reduce(x));
            }
            made = made >> 8 | eight << 56;
        }
        let [a, b] = lanes(highest);
        (made >> (BLOCK - 8 * turns), a.max(b))
    }
}

/// Adds the steps of a block's nodes to the patterns attached to them, one to each; steps that
/// are finished here, or were.
#[inline(never)]
fn drive_one_each<const FINISH: bool>(
    attached: &[Index; BLOCK],
    steps: &mut Numbers,
    patterns: &mut [Float],
) {
    for (attached, steps) in groups(attached).iter().zip(groups_mut(steps)) {
        if FINISH {
            finish_steps(steps);
        }
        for i in [0, 4] {
            // The last first, as above.
            let [d, c, b, a] = [3, 2, 1, 0].map(|k| (attached[i + k], steps[i + k]));
            for (pattern, step) in [a, b, c, d] {
                // SAFETY: the nodes are valid.
                unsafe { add(patterns, pattern, step) }
            }
        }
    }
}

/// Finishes the steps of a block.
#[inline(never)]
fn finish(steps: &mut Numbers) {
    groups_mut(steps).iter_mut().for_each(finish_steps);
}

/// Makes 0.001·(½·sin(y) + ½) of each y, which is reduced.
#[inline(always)]
fn finish_steps(angles: &mut [Float; 8]) {
    for i in [6, 4, 2, 0] {
        let half = f64x2_splat(0.5);
        let wave = f64x2_add(f64x2_mul(half, sine(floats(angles, i))), half);
        set(angles, i, f64x2_mul(f64x2_splat(0.001), wave));
    }
}

/// Adds to a pattern, which must be there.
#[inline(always)]
unsafe fn add(patterns: &mut [Float], pattern: Index, step: Float) {
    let v = patterns.get_unchecked_mut(index(pattern));
    *v = (f64::from_le_bytes(*v) + f64::from_le_bytes(step)).to_le_bytes();
}

/// Has the signs of those set of which ⌊s·1000⌋ is a multiple of 100: s·1000 is less than 1
/// above one.
fn progress(strength: v128) -> v128 {
    let thousandths = f64x2_mul(strength, f64x2_splat(1000.0));
    let nearest = f64x2_nearest(f64x2_mul(thousandths, f64x2_splat(0.01)));
    let above = f64x2_sub(thousandths, f64x2_mul(f64x2_splat(100.0), nearest));
    // Numbers that are not negative are in the order of their bits.
    v128_andnot(i64x2_sub(above, f64x2_splat(1.0)), above)
}

/// The y up to π/2 of the same sine: x less the nearest multiple of π, of which the sign is
/// the opposite if that is an odd one. |x| is below sine::LARGE.
#[inline(always)]
fn reduce(x: v128) -> v128 {
    let [pi1, pi2, pi3] = PI.map(both);
    let whole = f64x2_add(f64x2_mul(x, f64x2_splat(FRAC_1_PI)), f64x2_splat(TO_WHOLE));
    let n = f64x2_sub(whole, f64x2_splat(TO_WHOLE));
    let y = f64x2_sub(x, f64x2_mul(n, pi1));
    let y = f64x2_sub(y, f64x2_mul(n, pi2));
    let y = f64x2_sub(y, f64x2_mul(n, pi3));
    v128_xor(y, i64x2_shl(whole, 63))
}

/// The sine of y within 1e-15.
#[inline(always)]
fn sine(y: v128) -> v128 {
    let [s0, s1, s2, s3, s4, s5, s6] = SIN.map(both);
    let yy = f64x2_mul(y, y);
    let y4 = f64x2_mul(yy, yy);
    let high = f64x2_add(f64x2_add(s2, f64x2_mul(s1, yy)), f64x2_mul(y4, s0));
    let middle = f64x2_add(f64x2_add(s4, f64x2_mul(s3, yy)), f64x2_mul(y4, high));
    let low = f64x2_add(f64x2_add(s6, f64x2_mul(s5, yy)), f64x2_mul(y4, middle));
    f64x2_add(y, f64x2_mul(f64x2_mul(y, yy), low))
}

/// The sine of any x: that, or sine::sin.
fn sin(x: f64) -> f64 {
    if x.abs() < sine::LARGE {
        let [sine, _] = lanes(sine(reduce(f64x2_splat(x))));
        return sine;
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

/// The numbers, and others that are as valid behind them.
fn padded(v: &[Float]) -> Numbers {
    let mut block = [1f64.to_le_bytes(); BLOCK];
    block[..v.len()].copy_from_slice(v);
    block
}

/// Those of each turn.
fn groups<T>(v: &[T; BLOCK]) -> &[[T; 8]] {
    split(v).0
}

fn groups_mut<T>(v: &mut [T; BLOCK]) -> &mut [[T; 8]] {
    split_mut(v).0
}

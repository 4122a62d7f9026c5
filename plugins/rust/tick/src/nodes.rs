//! The transform tick.node and its records, as in resonance/tick/nodes.go and scan.go.

use core::arch::wasm32::*;

use crate::advance::{self, BLOCK};
use crate::lanes::*;
use crate::record::*;
use crate::resonhost::{Error, Output, Task};

const MAX_NODES: u64 = 1 << 20;
const MAX_ATTACHED: u32 = 64;
const HEADER: usize = 4 * 8;

pub fn run(task: &mut Task) -> Result<(), Error> {
    Nodes::view(task.input)?
        .validate()?
        .append_next(&mut task.output);
    Ok(())
}

/// The argument, where it lies.
pub struct Nodes<'a> {
    pub now_ms: f64,
    pub frequency: &'a [Float],
    pub strength: &'a [Float],
    pub pattern: &'a [Float],
    pub offset: &'a [Index],
    pub attached: &'a [Index],
    pub stopped: &'a [u8],
}

impl<'a> Nodes<'a> {
    fn view(record: &'a [u8]) -> Result<Self, Error> {
        if record.len() < HEADER {
            return Err(size_fault(record.len(), HEADER));
        }
        let mut r = Reader(record);
        let (nodes, patterns, attached) = (r.u64(), r.u64(), r.u64());
        if nodes > MAX_NODES
            || patterns > MAX_PATTERNS as u64
            || attached > nodes * u64::from(MAX_ATTACHED)
        {
            return Err(count_fault());
        }
        let (n, p, k) = (nodes as usize, patterns as usize, attached as usize);
        let size = HEADER + 16 * n + 8 * p + align(4 * (n + 1)) + align(4 * k) + align(n);
        if record.len() != size {
            return Err(size_fault(record.len(), size));
        }
        let nodes = Nodes {
            now_ms: r.float(),
            frequency: numbers(r.bytes(8 * n)),
            strength: numbers(r.bytes(8 * n)),
            pattern: numbers(r.bytes(8 * p)),
            offset: numbers(&r.bytes(align(4 * (n + 1)))[..4 * (n + 1)]),
            attached: numbers(&r.bytes(align(4 * k))[..4 * k]),
            stopped: r.bytes(n),
        };
        if let Some(i) = not_bool(nodes.stopped) {
            return Err(Error::invalid(&at("nodes", i, ".state"), STATE_RULE));
        }
        Ok(nodes)
    }

    fn validate(self) -> Result<Valid<'a>, Error> {
        check_time(self.now_ms)?;
        // The lowest frequency is the smallest number above 0.
        if let Some(i) = outside(self.frequency, f64::from_bits(1), MAX_FREQUENCY) {
            return Err(Error::invalid(
                &at("nodes", i, ".frequency"),
                FREQUENCY_RULE,
            ));
        }
        if let Some(i) = outside(self.strength, 0.0, 1.0) {
            return Err(Error::invalid(
                &at("nodes", i, ".resonance_strength"),
                UNIT_RULE,
            ));
        }
        if let Some(i) = outside(self.pattern, 0.0, 1.0) {
            return Err(Error::invalid(&at("patterns", i, ""), UNIT_RULE));
        }
        let n = self.frequency.len();
        if index(self.offset[0]) != 0 || index(self.offset[n]) != self.attached.len() {
            let rule = "must begin at 0 and end at the number of attachments";
            return Err(Error::invalid("offsets", rule));
        }
        if let Some(i) = not_ascending(self.offset, MAX_ATTACHED) {
            return Err(Error::invalid(
                &at("nodes", i - 1, ".harmonic_patterns"),
                "must be at most 64",
            ));
        }
        if let Some(i) = not_below(self.attached, self.pattern.len() as u32) {
            return Err(Error::invalid(
                &at("attached", i, ""),
                "must be the index of a pattern",
            ));
        }
        Ok(Valid(self))
    }
}

/// Nodes that were validated: the indices of patterns are less than their number, and offsets
/// ascend to the number of attachments.
pub struct Valid<'a>(Nodes<'a>);

impl<'a> Valid<'a> {
    pub fn nodes(&self) -> &Nodes<'a> {
        &self.0
    }

    /// Appends the result of the nodes.
    fn append_next(&self, output: &mut Output) {
        let (n, p) = (self.0.frequency.len(), self.0.pattern.len());
        let words = (n + BLOCK - 1) / BLOCK;
        output.extend_from_slice(&(n as u64).to_le_bytes());
        output.extend_from_slice(&(p as u64).to_le_bytes());
        let rest = numbers_mut(output.grow_uncleared(8 * (n + p + words)));
        let (strengths, rest) = rest.split_at_mut(n);
        let (patterns, progress) = rest.split_at_mut(p);
        advance::advance(self, strengths, patterns, progress);
    }
}

// Each of these looks at all numbers, several at a time, and only if one is wrong for it. The
// loops are functions of their own: see advance.

/// The index of the first number that is not within bounds.
fn outside(v: &[Float], low: f64, high: f64) -> Option<usize> {
    let wrong = |x: &Float| !within(f64::from_le_bytes(*x), low, high);
    let (eights, rest) = split(v);
    if all_inside(eights, low, high) && !rest.iter().any(wrong) {
        return None;
    }
    v.iter().position(wrong)
}

#[inline(never)]
fn all_inside(v: &[[Float; 8]], low: f64, high: f64) -> bool {
    let (least, most) = (f64x2_splat(low), f64x2_splat(high));
    let mut inside = u64x2_splat(u64::MAX);
    for eight in v {
        for i in [6, 4, 2, 0] {
            let two = floats(eight, i);
            let both = v128_and(f64x2_ge(two, least), f64x2_le(two, most));
            inside = v128_and(inside, both);
        }
    }
    i64x2_all_true(inside)
}

/// The index of the first number that is less than the one before it, or more than that by
/// more than step. The first number is passed over, and is 0.
fn not_ascending(v: &[Index], step: u32) -> Option<usize> {
    // A difference below 0 is seen as a large one: as no step before was too large, the
    // numbers are too small for it to seem a small one.
    let wrong = |pair: &[Index]| index(pair[1]).wrapping_sub(index(pair[0])) > step as usize;
    let (eights, _) = split(v);
    let (nexts, _) = split(&v[1..]);
    let rest = &v[8 * nexts.len()..];
    if steps_within(eights, nexts, step) && !rest.windows(2).any(wrong) {
        return None;
    }
    v.windows(2).position(wrong).map(|i| i + 1)
}

#[inline(never)]
fn steps_within(v: &[[Index; 8]], next: &[[Index; 8]], step: u32) -> bool {
    let mut largest = u32x4_splat(0);
    for (eight, next) in v.iter().zip(next) {
        for i in [4, 0] {
            largest = u32x4_max(largest, u32x4_sub(indices(next, i), indices(eight, i)));
        }
    }
    u32x4_all_true(u32x4_le(largest, u32x4_splat(step)))
}

/// The index of the first number that is not below the limit.
fn not_below(v: &[Index], limit: u32) -> Option<usize> {
    let wrong = |x: &Index| index(*x) >= limit as usize;
    let (eights, rest) = split(v);
    if all_below(eights, limit) && !rest.iter().any(wrong) {
        return None;
    }
    v.iter().position(wrong)
}

#[inline(never)]
fn all_below(v: &[[Index; 8]], limit: u32) -> bool {
    let mut largest = u32x4_splat(0);
    for eight in v {
        for i in [4, 0] {
            largest = u32x4_max(largest, indices(eight, i));
        }
    }
    u32x4_all_true(u32x4_lt(largest, u32x4_splat(limit)))
}

/// The index of the first byte that is neither 0 nor 1.
fn not_bool(v: &[u8]) -> Option<usize> {
    let wrong = |x: &u8| *x > 1;
    let (sixteens, rest) = split(v);
    if all_bools(sixteens) && !rest.iter().any(wrong) {
        return None;
    }
    v.iter().position(wrong)
}

#[inline(never)]
fn all_bools(v: &[[u8; 16]]) -> bool {
    let all = v
        .iter()
        .fold(u8x16_splat(0), |all, v| v128_or(all, bytes(v)));
    u8x16_all_true(u8x16_le(all, u8x16_splat(1)))
}

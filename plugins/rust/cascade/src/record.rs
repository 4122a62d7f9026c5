//! The record of a result, as Analysis.AppendBinary in resonance/cascade/analysis.go.

use core::arch::wasm32::*;
use core::f64::consts::PI;

use crate::analysis::Analysis;
use crate::history::OCTAVES;
use crate::pairs::round;
use crate::resonhost::Output;

const HARMONICS: usize = 5;
const HEADER: usize = 6 + 1 + 14;
const POINTS: usize = OCTAVES - 1;

/// How many numbers an octave has.
const fn octave_size(frequencies: usize, full: bool) -> usize {
    2 + frequencies + if full { frequencies * HARMONICS * 3 } else { 0 }
}

/// Appends the record.
#[inline(never)]
pub fn append(a: &Analysis, output: &mut Output) {
    let frequencies = a.frequencies.as_slice();
    let n = frequencies.len();
    let points = if a.converges { POINTS } else { 0 };
    let octaves = OCTAVES * octave_size(n, a.full);
    let size = HEADER + octaves + 3 * points + 4 * a.waves.count_ones() as usize;
    let room = numbers(output.grow_uncleared(8 * size));
    let (header, room) = room.split_at_mut(HEADER);
    write_header(header, a, points);
    let (octaves, rest) = room.split_at_mut(octaves);
    write_octaves(octaves, a);
    let (convergence, nodes) = rest.split_at_mut(3 * points);
    // All points are there, or none.
    if let Ok(points) = convergence.try_into() {
        write_points(points, a);
    }
    if a.waves != 0 {
        write_nodes(nodes, frequencies, a.waves);
    }
}

fn write_points(to: &mut [f64; 3 * POINTS], a: &Analysis) {
    for k in (0..POINTS).rev() {
        // The lower octave is a whole number, written by its bits.
        to[3 * k + 2] = a.alignment;
        to[3 * k + 1] = a.resonance;
        to[3 * k] = f64::from_bits(k as u64);
    }
}

/// Describes the pairs of frequencies whose bit is set, whose ratio is within 0.01 of a
/// whole number.
#[inline(never)]
fn write_nodes(nodes: &mut [f64], f: &[f64], mut waves: u32) {
    let mut nodes = nodes.chunks_exact_mut(4);
    for (i, &p) in f.iter().enumerate() {
        for &q in &f[i + 1..] {
            if waves & 1 == 1 {
                if let Some(node) = nodes.next() {
                    let r = p / q;
                    node.copy_from_slice(&[p, q, round(r), 1.0 - (r - round(r)).abs()]);
                }
            }
            waves >>= 1;
        }
    }
}

/// The bytes as the numbers that they are.
fn numbers(bytes: &mut [u8]) -> &mut [f64] {
    // SAFETY: any bytes are numbers.
    let (before, numbers, after) = unsafe { bytes.align_to_mut() };
    assert!(
        before.is_empty() && after.is_empty(),
        "an output is aligned"
    );
    numbers
}

fn write_header(h: &mut [f64], a: &Analysis, points: usize) {
    let (overall, strongest) = if a.converges {
        (1.0, a.resonance)
    } else {
        (0.0, 0.0)
    };
    let (c, e) = (&a.creative, &a.emotions);
    // Whole numbers are written by their bits.
    h.copy_from_slice(&[
        f64::from_bits(a.full as u64),
        f64::from_bits(a.frequencies.as_slice().len() as u64),
        f64::from_bits(points as u64),
        f64::from_bits(a.waves.count_ones() as u64),
        f64::from_bits(a.dominant as u64),
        f64::from_bits(a.quality),
        f64::from_bits(a.timestamp as u64),
        a.score,
        overall,
        strongest,
        e[0],
        e[1],
        e[2],
        e[3],
        e[4],
        c.fractal_depth,
        c.rhythmic_complexity,
        c.harmonic_richness,
        c.emergent_novelty,
        a.stability,
        a.dominant_strength,
    ]);
}

/// Writes the octaves, of which each has the frequencies of the one before doubled, which is
/// exact.
fn write_octaves(octaves: &mut [f64], a: &Analysis) {
    let frequencies = a.frequencies.as_slice();
    let n = frequencies.len();
    let size = octave_size(n, a.full);
    assert!(octaves.len() == OCTAVES * size);
    let first = octaves.as_mut_ptr();
    // SAFETY: every octave has these numbers.
    unsafe {
        write_column(first, size, f64x2(a.resonance, a.alignment));
        for (i, &f) in frequencies.iter().enumerate() {
            write_frequency(first.add(2 + i), size, f);
            if a.full {
                write_harmonics(first.add(2 + n + 3 * HARMONICS * i), size, f);
            }
        }
    }
}

/// Writes two numbers to every octave.
///
/// # Safety
///
/// They are to be there in all octaves, of that many numbers each. So with those below.
#[inline(always)]
unsafe fn write_column(mut to: *mut f64, size: usize, v: v128) {
    for _ in 0..OCTAVES {
        v128_store(to.cast(), v);
        to = to.wrapping_add(size); // behind the last octave there may be nothing
    }
}

#[inline(never)]
unsafe fn write_frequency(mut to: *mut f64, size: usize, mut f: f64) {
    for _ in 0..OCTAVES {
        *to = f;
        f += f;
        to = to.wrapping_add(size);
    }
}

/// Writes frequency, amplitude and phase of the harmonics of a base frequency, which lie side
/// by side in an octave. The last are first: once a host's compiler has checked that an
/// address is in memory, it does not check those before it.
#[inline(never)]
unsafe fn write_harmonics(mut to: *mut f64, size: usize, base: f64) {
    const PHASE: f64 = PI / 4.0;
    let mut first = f64x2(base, 1.0);
    let mut second = f64x2(PHASE, base * 2.0);
    let mut third = f64x2(base * 3.0, 1.0 / 3.0);
    let mut fourth = f64x2(3.0 * PI / 4.0, base * 4.0);
    let mut fifth = f64x2(base * 5.0, 1.0 / 5.0);
    let (left, right) = (f64x2(2.0, 1.0), f64x2(1.0, 2.0));
    for _ in 0..OCTAVES {
        *to.add(14) = 5.0 * PI / 4.0;
        v128_store(to.add(12).cast(), fifth);
        v128_store(to.add(10).cast(), f64x2(1.0 / 4.0, PI));
        v128_store(to.add(8).cast(), fourth);
        v128_store(to.add(6).cast(), third);
        v128_store(to.add(4).cast(), f64x2(1.0 / 2.0, PI / 2.0));
        v128_store(to.add(2).cast(), second);
        v128_store(to.cast(), first);
        first = f64x2_mul(first, left);
        second = f64x2_mul(second, right);
        third = f64x2_mul(third, left);
        fourth = f64x2_mul(fourth, right);
        fifth = f64x2_mul(fifth, left);
        to = to.wrapping_add(size);
    }
}

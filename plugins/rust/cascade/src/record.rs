//! The record of a result, as Analysis.AppendBinary in abi/cascade/analysis.go.

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

pub fn append(a: &Analysis, output: &mut Output) {
    let frequencies = a.frequencies.as_slice();
    let n = frequencies.len();
    let points = if a.converges { POINTS } else { 0 };
    let octaves = OCTAVES * octave_size(n, a.full);
    let size = HEADER + octaves + 3 * points + 4 * a.waves.count_ones() as usize;
    let room = numbers(output.grow(8 * size));
    let (header, room) = room.split_at_mut(HEADER);
    write_header(header, a, points);
    let (octaves, rest) = room.split_at_mut(octaves);
    if a.full {
        match n {
            1 => write_full::<1>(octaves, a),
            2 => write_full::<2>(octaves, a),
            3 => write_full::<3>(octaves, a),
            4 => write_full::<4>(octaves, a),
            _ => write_full::<5>(octaves, a),
        }
    } else {
        write_summary(octaves, a);
    }
    let (convergence, nodes) = rest.split_at_mut(3 * points);
    for (k, point) in convergence.chunks_exact_mut(3).enumerate() {
        // The lower octave is a whole number, written by its bits.
        point.copy_from_slice(&[f64::from_bits(k as u64), a.resonance, a.alignment]);
    }
    if a.waves != 0 {
        write_nodes(nodes, frequencies, a.waves);
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

#[inline(never)]
fn write_summary(octaves: &mut [f64], a: &Analysis) {
    let frequencies = a.frequencies.as_slice();
    let mut scale = 1.0;
    for octave in octaves.chunks_exact_mut(octave_size(frequencies.len(), false)) {
        octave[0] = a.resonance;
        octave[1] = a.alignment;
        for (to, &f) in octave[2..].iter_mut().zip(frequencies) {
            *to = f * scale;
        }
        scale *= 2.0;
    }
}

/// Writes the octaves of N frequencies. A column is two numbers side by side, of every
/// octave: an octave has an even number of them. Its frequencies double from octave to
/// octave, which is exact.
#[inline(never)]
fn write_full<const N: usize>(octaves: &mut [f64], a: &Analysis) {
    let size = octave_size(N, true);
    let octaves = &mut octaves[..OCTAVES * size];
    let first = &mut octaves[..size];
    first[0] = a.resonance;
    first[1] = a.alignment;
    let frequencies = a.frequencies.as_slice();
    let (bases, harmonics) = first[2..].split_at_mut(N);
    for (i, harmonics) in harmonics.chunks_exact_mut(3 * HARMONICS).enumerate() {
        let base = frequencies[i];
        bases[i] = base;
        for (n, h) in harmonics.chunks_exact_mut(3).enumerate() {
            let n = (n + 1) as f64;
            h[0] = base * n;
            h[1] = 1.0 / n;
            h[2] = n * PI / 4.0;
        }
    }
    let doubled = &doubled(N)[..size];
    let to = octaves.as_mut_ptr();
    for i in (0..size).step_by(2) {
        // SAFETY: both numbers are in the octave, of which there are OCTAVES.
        unsafe {
            let to = to.add(i);
            let double = v128_load(doubled.as_ptr().add(i).cast());
            let mut v = v128_load(to.cast());
            for k in 1..OCTAVES {
                v = f64x2_mul(v, double);
                v128_store(to.add(k * size).cast(), v);
            }
        }
    }
}

const MAX_OCTAVE: usize = octave_size(5, true);

/// By what numbers of an octave are multiplied for the next, for 1 to 5 frequencies.
static DOUBLED: [[f64; MAX_OCTAVE]; 5] = {
    let mut all = [[1.0; MAX_OCTAVE]; 5];
    let mut n = 1;
    while n <= 5 {
        let mut i = 2;
        while i < octave_size(n, true) {
            if i < 2 + n || (i - 2 - n) % 3 == 0 {
                all[n - 1][i] = 2.0;
            }
            i += 1;
        }
        n += 1;
    }
    all
};

fn doubled(n: usize) -> &'static [f64; MAX_OCTAVE] {
    &DOUBLED[n - 1]
}

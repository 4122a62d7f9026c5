//! What pairs of base frequencies say, as plugins/cascade/resonance.go. Two pairs lie side by
//! side in the lanes of vectors; what they add to sums is added in the order of Go's, one
//! pair after the other.

use core::arch::wasm32::*;
use core::mem::MaybeUninit;
use core::ptr;

use crate::state::MAX_FREQUENCIES;

pub const PHI: f64 = 1.618033988749895;

const HARMONICS: usize = 5;
/// Σ s(n/m)/(n·m) over harmonics n < m of one frequency.
#[allow(clippy::excessive_precision)]
const OWN_PAIRS: f64 = 0.59554952539157201259;
/// From where a ratio of harmonics is divided out, as a last bit counts more the larger it is.
/// All of them are near to none that is special.
const FAR_RATIO: f64 = (1u64 << 16) as f64;

const MAX_PAIRS: usize = MAX_FREQUENCIES * (MAX_FREQUENCIES - 1) / 2;

/// What pairs add up to.
pub struct Comparison {
    pub resonance: f64,
    pub alignment: f64,
    /// A bit a pair in their order, whose ratio is within 0.01 of a whole number.
    pub whole: u32,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    sum: f64,
    golden: f64,
    whole: u32,
}

/// Computes what pairs of an octave's base frequencies say.
pub fn compare(f: &[f64]) -> Comparison {
    let sums = match *f {
        [a, b] => pairs(&[a, b]),
        [a, b, c] => pairs(&[a, b, c]),
        [a, b, c, d] => pairs(&[a, b, c, d]),
        [a, b, c, d, e] => pairs(&[a, b, c, d, e]),
        _ => Some(Sums::default()),
    };
    let sums = sums.unwrap_or_else(|| far_pairs(f));
    let count = f.len() as f64;
    let pairs = f.len() * (f.len() - 1) / 2;
    let resonance = (count * OWN_PAIRS + sums.sum) / (count * HARMONICS as f64);
    Comparison {
        resonance: if resonance > 1.0 { 1.0 } else { resonance },
        alignment: if pairs > 0 {
            sums.golden / pairs as f64
        } else {
            0.0
        },
        whole: sums.whole,
    }
}

/// How many ratios two frequencies have that differ when they are divided out: where both
/// harmonics are multiplied by two or by four the ratio is the same, to the last bit.
const DIFFERING: usize = 21;
const TERMS: usize = 9;
/// 1 + 1/4 + 1/9 + 1/16 + 1/25, of harmonics that are alike.
const ALIKE: f64 = 1.4636111111111112;

/// What two pairs add, a lane each. What is used first lies at the highest address: a host's
/// compiler checks that once, and nothing below it any more.
#[derive(Clone, Copy)]
#[repr(C)]
struct Two {
    /// By the index of the differing ratio.
    falloffs: [[f64; 2]; DIFFERING],
    /// The numerators and denominators of their ratios.
    q: [f64; 2],
    p: [f64; 2],
    /// Where in CANDIDATES their ratios are, modulo its length.
    cells: [u64; 2],
    /// To the sum, the last first.
    terms: [[f64; 2]; TERMS],
    /// The closeness of ratios to φ.
    golden: [f64; 2],
}

/// Adds up over all pairs p, q of frequencies: s(p·n/(q·m))/(n·m) over harmonics n of p and m
/// of q, and the closeness of p/q to φ. It gives up at a ratio from FAR_RATIO on.
///
/// It takes no ratio for a special one, at first, and puts right those that CANDIDATES
/// knows of.
///
/// What it calls has no loop but that over candidates, and is not inlined: at the head of a
/// loop a metered guest keeps all its variables in memory, and in one the compiler adds up
/// addresses that are a constant apart.
#[inline(never)]
fn pairs<const N: usize>(f: &[f64; N]) -> Option<Sums> {
    let count = N * (N - 1) / 2;
    // What has no partner in the other lane is as good as any.
    let (mut p, mut q) = ([1.0; MAX_PAIRS + 1], [1.0; MAX_PAIRS + 1]);
    let mut pair = 0;
    for i in 0..N {
        for j in i + 1..N {
            (p[pair], q[pair]) = (f[i], f[j]);
            pair += 1;
        }
    }
    let mut two = MaybeUninit::<Two>::uninit();
    let mut s = Sums::default();
    let mut at = 0;
    while at < count {
        let (p, q) = (f64x2(p[at], p[at + 1]), f64x2(q[at], q[at + 1]));
        s.whole |= weigh(p, q, &mut two)? << at;
        // SAFETY: it has been written.
        let two = unsafe { two.assume_init_ref() };
        s.golden += two.golden[0];
        s.sum = add::<0>(two, s.sum);
        if at + 1 < count {
            s.golden += two.golden[1];
            s.sum = add::<1>(two, s.sum);
        }
        at += 2;
    }
    s.whole &= (1 << count) - 1;
    Some(s)
}

/// Computes what two pairs add, unless one is far, and returns a bit a pair whose ratio is
/// within 0.01 of a whole number.
#[inline(never)]
fn weigh(p: v128, q: v128, two: &mut MaybeUninit<Two>) -> Option<u32> {
    let to = two.as_mut_ptr();
    macro_rules! store {
        ($to:expr, $v:expr) => {{
            let v = $v;
            // SAFETY: to is valid, and two numbers are as large as a v128, which lies
            // anywhere.
            unsafe { v128_store(ptr::addr_of_mut!($to).cast(), v) }
        }};
    }
    let ratio = f64x2_div(p, q);
    let far = f64x2_ge(f64x2_abs(ratio), f64x2_splat(FAR_RATIO));
    if v128_any_true(far) {
        return None;
    }
    store!((*to).golden, closeness(ratio, f64x2_splat(PHI)));
    let times = |v, n| f64x2_mul(v, f64x2_splat(n));
    macro_rules! falloff_at {
        ($i:expr, $distance:expr) => {{
            let falloff = falloff($distance);
            store!((*to).falloffs[$i], falloff);
            falloff
        }};
    }
    // The falloffs of two ratios, added and weighed.
    macro_rules! both {
        ($i:expr, $j:expr, $n:literal / $m:literal, $weight:expr) => {{
            let one = falloff_at!($i, distance(times(ratio, $n / $m)));
            let other = falloff_at!($j, distance(times(ratio, $m / $n)));
            times(f64x2_add(one, other), $weight)
        }};
    }
    let d = distance(ratio);
    let whole = i64x2_bitmask(f64x2_lt(f64x2_abs(d), f64x2_splat(0.01)));
    let alike = falloff_at!(20, d);
    store!((*to).falloffs[10], alike);
    store!((*to).falloffs[0], alike);
    let term = both!(1, 5, 1.0 / 2.0, 1.0 / 2.0 + 1.0 / 8.0);
    store!((*to).terms[8], f64x2_add(times(alike, ALIKE), term));
    store!((*to).terms[7], both!(2, 8, 1.0 / 3.0, 1.0 / 3.0));
    store!((*to).terms[6], both!(3, 13, 1.0 / 4.0, 1.0 / 4.0));
    store!((*to).terms[5], both!(4, 16, 1.0 / 5.0, 1.0 / 5.0));
    store!((*to).terms[4], both!(6, 9, 2.0 / 3.0, 1.0 / 6.0));
    store!((*to).terms[3], both!(7, 17, 2.0 / 5.0, 1.0 / 10.0));
    store!((*to).terms[2], both!(11, 14, 3.0 / 4.0, 1.0 / 12.0));
    store!((*to).terms[1], both!(12, 18, 3.0 / 5.0, 1.0 / 15.0));
    store!((*to).terms[0], both!(15, 19, 4.0 / 5.0, 1.0 / 20.0));
    store!((*to).cells, cells(ratio));
    store!((*to).p, p);
    store!((*to).q, q);
    Some(whole.into())
}

/// Adds one of two pairs to the sum.
#[inline(never)]
fn add<const LANE: usize>(two: &Two, mut sum: f64) -> f64 {
    for i in (0..TERMS).rev() {
        sum += two.terms[i][LANE];
    }
    let mut left = CANDIDATES[two.cells[LANE] as usize % CANDIDATES.len()];
    while left != 0 {
        let i = left.trailing_zeros() as usize % HARMONIC.len();
        left &= left - 1;
        let harmonic = &HARMONIC[i];
        let r = (two.p[LANE] * harmonic.n) / (two.q[LANE] * harmonic.m);
        let special = &SPECIAL[cell(r) as usize % SPECIAL.len()];
        if (r - special.ratio).abs() >= 0.01 {
            continue;
        }
        let mut score = special.score;
        if score < 1.0 && (r - 8.0 / 5.0).abs() < 0.01 {
            score = 1.0; // 8/5 is before φ
        }
        sum += harmonic.weight * (score - two.falloffs[i % DIFFERING][LANE]);
    }
    sum
}

/// pairs one by one, for any ratio.
#[cold]
#[inline(never)]
fn far_pairs(f: &[f64]) -> Sums {
    let mut s = Sums::default();
    let mut pair = 0;
    for (i, &p) in f.iter().enumerate() {
        for &q in &f[i + 1..] {
            if let Some(one) = pairs(&[p, q]) {
                s.sum += one.sum;
                s.golden += one.golden;
                s.whole |= one.whole << pair;
            } else {
                let whole = add_far(p, q, &mut s);
                s.whole |= whole << pair;
            }
            pair += 1;
        }
    }
    s
}

/// Adds a pair of a ratio from FAR_RATIO on, and returns 1 if that is within 0.01 of a whole
/// number.
fn add_far(p: f64, q: f64, s: &mut Sums) -> u32 {
    let r = p / q;
    s.golden += f64x2_extract_lane::<0>(closeness(f64x2_splat(r), f64x2_splat(PHI)));
    for n in 1..=HARMONICS {
        for m in 1..=HARMONICS {
            let (n, m) = (n as f64, m as f64);
            let r = (p * n) / (q * m);
            let within = f64x2_splat(r - round(r)); // within ½ of 0
            let falloff = falloff(distance(within));
            s.sum += f64x2_extract_lane::<0>(falloff) / (n * m);
        }
    }
    u32::from((r - round(r)).abs() < 0.01)
}

/// Rounds half up, towards +∞, as JavaScript does.
pub fn round(v: f64) -> f64 {
    let whole = v.floor();
    if v - whole >= 0.5 {
        whole + 1.0
    } else {
        whole
    }
}

/// max(0, 1 − |v − to|/to).
#[inline(always)]
pub fn closeness(v: v128, to: v128) -> v128 {
    let c = f64x2_sub(f64x2_splat(1.0), f64x2_div(f64x2_abs(f64x2_sub(v, to)), to));
    v128_and(c, f64x2_gt(c, f64x2_splat(0.0)))
}

/// How far r is from the nearest whole number. Go adds and subtracts 3·2⁵¹, which rounds
/// alike.
#[inline(always)]
fn distance(r: v128) -> v128 {
    f64x2_sub(r, f64x2_nearest(r))
}

/// exp(−10·d²), as Go's falloff.
#[inline(always)]
fn falloff(d: v128) -> v128 {
    let t = f64x2_mul(d, d);
    let mut e = f64x2_splat(E[6]);
    for &c in E[..6].iter().rev() {
        e = f64x2_add(f64x2_splat(c), f64x2_mul(e, t));
    }
    e = f64x2_add(f64x2_splat(1.0), f64x2_mul(e, t));
    e = f64x2_mul(e, e);
    e = f64x2_mul(e, e);
    e = f64x2_mul(e, e);
    f64x2_mul(e, e)
}

/// Coefficients of exp(−10·t/16) for t from 0 to ¼, of t to t⁷.
#[allow(clippy::excessive_precision)] // as Go has them
const E: [f64; 7] = [
    -0.62499999999999595056,
    0.19531249999841233774,
    -0.040690104064963466254,
    0.0063578263307221259132,
    -0.00079470056089877363173,
    0.000082618794787386662627,
    -6.9043366018661081611e-6,
];

/// How many cells of SPECIAL a ratio of 1 has.
const CELLS: usize = 64;
/// And of CANDIDATES, finer, so that few are candidates that are not special.
const FINE: usize = 256;

/// What makes of a number between 0 and 2^51 a whole one: the lower bits of the sum are
/// those of the nearest.
const TO_BITS: f64 = (3u64 << 51) as f64;

/// The low bits of where in a table ratios are, as whole numbers. Those beyond the table are
/// near nothing, so that it does not matter where they are; nor does it in which of two
/// cells one is that is on their bounds.
#[inline(always)]
fn cells(ratios: v128) -> v128 {
    let at = f64x2_sub(
        f64x2_mul(ratios, f64x2_splat(FINE as f64)),
        f64x2_splat(0.5),
    );
    f64x2_add(at, f64x2_splat(TO_BITS))
}

/// cells of one ratio.
#[inline(always)]
fn cell(ratio: f64) -> u64 {
    (ratio * CELLS as f64 - 0.5 + TO_BITS).to_bits()
}

/// Harmonics n and m of a differing ratio, and 1/(n·m) of all that have it.
#[derive(Clone, Copy)]
struct Harmonic {
    n: f64,
    m: f64,
    weight: f64,
}

/// By the index of the differing ratio, in the order of Go's.
static HARMONIC: [Harmonic; 32] = HARMONICS_OF;

const HARMONICS_OF: [Harmonic; 32] = {
    let mut all = [Harmonic {
        n: 0.0,
        m: 0.0,
        weight: 0.0,
    }; 32];
    let mut k = 0;
    let mut n = 1;
    while n <= HARMONICS {
        let mut m = 1;
        while m <= HARMONICS {
            if n % 2 == 1 || m % 2 == 1 {
                let mut weight = 1.0 / (n as f64 * m as f64);
                if n == 1 && m == 1 {
                    weight += 1.0 / 4.0 + 1.0 / 16.0;
                } else if n * m == 2 {
                    weight += 1.0 / 8.0;
                }
                all[k] = Harmonic {
                    n: n as f64,
                    m: m as f64,
                    weight,
                };
                k += 1;
            }
            m += 1;
        }
        n += 1;
    }
    all
};

/// A ratio that counts otherwise than by its distance to a whole number.
#[derive(Clone, Copy)]
struct Special {
    ratio: f64,
    score: f64,
}

const SPECIALS: [Special; 9] = {
    const fn of(ratio: f64, score: f64) -> Special {
        Special { ratio, score }
    }
    [
        of(1.0, 1.0),
        of(2.0, 1.0),
        of(3.0 / 2.0, 1.0),
        of(4.0 / 3.0, 1.0),
        of(5.0 / 4.0, 1.0),
        of(5.0 / 3.0, 1.0),
        of(8.0 / 5.0, 1.0),
        of(1.0 / PHI, 0.9),
        of(PHI, 0.9),
    ]
};

/// For each cell, the special ratio that is within 0.01 of some of its ratios, see Go's.
static SPECIAL: [Special; 4 * CELLS] = {
    let mut t = [Special {
        ratio: -1e9,
        score: 0.0,
    }; 4 * CELLS];
    let mut i = 0;
    while i < SPECIALS.len() {
        let s = SPECIALS[i];
        let mut k = ((s.ratio - 0.01) * CELLS as f64) as usize;
        while k <= ((s.ratio + 0.01) * CELLS as f64) as usize {
            let from = k as f64 / CELLS as f64 - t[k].ratio;
            let to = (k + 1) as f64 / CELLS as f64 - t[k].ratio;
            if from >= 0.01 || from <= -0.01 || to >= 0.01 || to <= -0.01 {
                t[k] = s;
            }
            k += 1;
        }
        i += 1;
    }
    t
};

/// For each finer cell of p/q a bit for each of the differing ratios that may be special
/// there.
static CANDIDATES: [u32; 16 * FINE] = {
    const RESERVE: f64 = 1e-9; // for rounding
    let mut t = [0; 16 * FINE];
    let mut i = 0;
    while i < DIFFERING {
        let Harmonic { n, m, .. } = HARMONICS_OF[i];
        let mut j = 0;
        while j < SPECIALS.len() {
            let s = SPECIALS[j];
            let first = (s.ratio - 0.01) * m / n * (1.0 - RESERVE);
            let last = (s.ratio + 0.01) * m / n * (1.0 + RESERVE);
            let mut k = (first * FINE as f64) as usize;
            while k <= (last * FINE as f64) as usize {
                t[k] |= 1 << i;
                k += 1;
            }
            j += 1;
        }
        i += 1;
    }
    t
};

//! What pairs of base frequencies say, as plugins/cascade/resonance.go. Two pairs lie side by
//! side in the lanes of vectors; what they add to sums is added in the order of Go's, one
//! pair after the other.

use core::arch::wasm32::*;

use crate::state::MAX_FREQUENCIES;

pub const PHI: f64 = 1.618033988749895;

const HARMONICS: usize = 5;
/// Σ s(n/m)/(n·m) over harmonics n < m of one frequency.
const OWN_PAIRS: f64 = 0.59554952539157201259;
/// From where nearest is off for ratios of harmonics, all of which are near to none that is
/// special.
const FAR_RATIO: f64 = (1u64 << 48) as f64;

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
    let mut p = [1.0; MAX_PAIRS];
    let mut q = [1.0; MAX_PAIRS];
    let mut n = 0;
    for (i, &base) in f.iter().enumerate() {
        for &other in &f[i + 1..] {
            if n < MAX_PAIRS {
                p[n] = base;
                q[n] = other;
                n += 1;
            }
        }
    }
    let sums = match pairs(&p, &q, n) {
        Some(sums) => sums,
        None => far_pairs(&p[..n], &q[..n]),
    };
    let count = f.len() as f64;
    let alignment = if n > 0 { sums.golden / n as f64 } else { 0.0 };
    let resonance = (count * OWN_PAIRS + sums.sum) / (count * HARMONICS as f64);
    Comparison {
        resonance: if resonance > 1.0 { 1.0 } else { resonance },
        alignment,
        whole: sums.whole,
    }
}

/// The differing ratios of two frequencies, n of one to m of the other, in Go's order.
const DIFFERING: usize = 21;

/// A ratio of two pairs, and what it counts if it is not special.
#[derive(Clone, Copy)]
struct Near {
    ratio: v128,
    falloff: v128,
}

/// Adds up over the first n pairs of p and q: s(p·n/(q·m))/(n·m) over harmonics n of p and m
/// of q, and the closeness of p/q to φ. It gives up at a ratio from FAR_RATIO on.
///
/// It takes no ratio for a special one, at first, and puts right those that CANDIDATES
/// knows of.
fn pairs(p: &[f64; MAX_PAIRS], q: &[f64; MAX_PAIRS], n: usize) -> Option<Sums> {
    let mut s = Sums::default();
    for at in (0..n).step_by(2) {
        let (p, q) = (f64x2(p[at], p[at + 1]), f64x2(q[at], q[at + 1]));
        let ratio = f64x2_div(p, q);
        let far = f64x2_ge(f64x2_abs(ratio), f64x2_splat(FAR_RATIO));
        if v128_any_true(far) {
            return None;
        }
        let two = Two::new(p, q, ratio);
        two.add::<0>(&mut s, at);
        if at + 1 < n {
            two.add::<1>(&mut s, at + 1);
        }
    }
    Some(s)
}

/// Two pairs: what each of them adds.
struct Two {
    near: [Near; DIFFERING],
    terms: [v128; 10],
    golden: v128,
    whole: u8,
}

impl Two {
    #[inline(always)]
    fn new(p: v128, q: v128, ratio: v128) -> Two {
        let times = |v, n| f64x2_mul(v, f64x2_splat(n));
        let (p2, p3, p4, p5) = (times(p, 2.0), times(p, 3.0), times(p, 4.0), times(p, 5.0));
        let (q2, q3, q4, q5) = (times(q, 2.0), times(q, 3.0), times(q, 4.0), times(q, 5.0));
        let of = |p, q| {
            let ratio = f64x2_div(p, q);
            Near {
                ratio,
                falloff: falloff(distance(ratio)),
            }
        };
        let d = distance(ratio);
        let whole = i64x2_bitmask(f64x2_lt(f64x2_abs(d), f64x2_splat(0.01)));
        let near = [
            Near {
                ratio,
                falloff: falloff(d),
            },
            of(p, q2),
            of(p, q3),
            of(p, q4),
            of(p, q5),
            of(p2, q),
            of(p2, q3),
            of(p2, q5),
            of(p3, q),
            of(p3, q2),
            of(p3, q3),
            of(p3, q4),
            of(p3, q5),
            of(p4, q),
            of(p4, q3),
            of(p4, q5),
            of(p5, q),
            of(p5, q2),
            of(p5, q3),
            of(p5, q4),
            of(p5, q5),
        ];
        let weighed = |i: usize, w| times(near[i].falloff, w);
        let both = |i: usize, j: usize, w| times(f64x2_add(near[i].falloff, near[j].falloff), w);
        let terms = [
            f64x2_add(
                weighed(0, 1.0 + 1.0 / 4.0 + 1.0 / 16.0),
                both(1, 5, 1.0 / 2.0 + 1.0 / 8.0),
            ),
            f64x2_add(weighed(10, 1.0 / 9.0), weighed(20, 1.0 / 25.0)),
            both(2, 8, 1.0 / 3.0),
            both(3, 13, 1.0 / 4.0),
            both(4, 16, 1.0 / 5.0),
            both(6, 9, 1.0 / 6.0),
            both(7, 17, 1.0 / 10.0),
            both(11, 14, 1.0 / 12.0),
            both(12, 18, 1.0 / 15.0),
            both(15, 19, 1.0 / 20.0),
        ];
        Two {
            near,
            terms,
            golden: closeness(ratio, f64x2_splat(PHI)),
            whole,
        }
    }

    /// Adds one of the pairs, which is that pair of all.
    #[inline(always)]
    fn add<const LANE: usize>(&self, s: &mut Sums, pair: usize) {
        s.golden += f64x2_extract_lane::<LANE>(self.golden);
        s.whole |= u32::from(self.whole >> LANE & 1) << pair;
        for &term in &self.terms {
            s.sum += f64x2_extract_lane::<LANE>(term);
        }
        let ratio = f64x2_extract_lane::<LANE>(self.near[0].ratio);
        let mut left = CANDIDATES[cell(ratio) % CANDIDATES.len()];
        while left != 0 {
            let i = left.trailing_zeros() as usize;
            left &= left - 1;
            if i >= DIFFERING {
                break;
            }
            let r = f64x2_extract_lane::<LANE>(self.near[i].ratio);
            let special = &SPECIAL[cell(r) % SPECIAL.len()];
            if (r - special.ratio).abs() >= 0.01 {
                continue;
            }
            let mut score = special.score;
            if (r - 8.0 / 5.0).abs() < 0.01 {
                score = 1.0;
            }
            let falloff = f64x2_extract_lane::<LANE>(self.near[i].falloff);
            s.sum += WEIGHTS[i] * (score - falloff);
        }
    }
}

/// pairs one by one, for any ratio.
#[cold]
fn far_pairs(p: &[f64], q: &[f64]) -> Sums {
    let mut s = Sums::default();
    for (pair, (&p, &q)) in p.iter().zip(q).enumerate() {
        if let Some(one) = pairs(&[p; MAX_PAIRS], &[q; MAX_PAIRS], 1) {
            s.sum += one.sum;
            s.golden += one.golden;
            s.whole |= one.whole << pair;
            continue;
        }
        let r = p / q;
        s.golden += f64x2_extract_lane::<0>(closeness(f64x2_splat(r), f64x2_splat(PHI)));
        if (r - round(r)).abs() < 0.01 {
            s.whole |= 1 << pair;
        }
        for n in 1..=HARMONICS {
            for m in 1..=HARMONICS {
                let (n, m) = (n as f64, m as f64);
                let r = (p * n) / (q * m);
                let within = f64x2_splat(r - round(r)); // ½ of 0
                let falloff = falloff(distance(within));
                s.sum += f64x2_extract_lane::<0>(falloff) / (n * m);
            }
        }
    }
    s
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
    f64x2_pmax(c, f64x2_splat(0.0))
}

/// How far r is from the nearest whole number. It is of a magnitude below 2^51.
#[inline(always)]
fn distance(r: v128) -> v128 {
    let to_whole = f64x2_splat((3u64 << 51) as f64);
    f64x2_sub(r, f64x2_sub(f64x2_add(r, to_whole), to_whole))
}

/// exp(−10·d²), as Go's falloff.
#[inline(always)]
fn falloff(d: v128) -> v128 {
    let t = f64x2_mul(d, d);
    let mut e = f64x2_splat(E[6]);
    for &c in E[..6].iter().rev() {
        e = f64x2_add(f64x2_splat(c), f64x2_mul(t, e));
    }
    e = f64x2_add(f64x2_splat(1.0), f64x2_mul(t, e));
    e = f64x2_mul(e, e);
    e = f64x2_mul(e, e);
    e = f64x2_mul(e, e);
    f64x2_mul(e, e)
}

/// Coefficients of exp(−10·t/16) for t from 0 to ¼, of t to t⁷.
const E: [f64; 7] = [
    -0.62499999999999595056,
    0.19531249999841233774,
    -0.040690104064963466254,
    0.0063578263307221259132,
    -0.00079470056089877363173,
    0.000082618794787386662627,
    -6.9043366018661081611e-6,
];

/// How many cells of the tables a ratio of 1 has.
const CELLS: usize = 64;

/// Where in a table a ratio of a magnitude below 2^51 is.
#[inline(always)]
fn cell(ratio: f64) -> usize {
    // SAFETY: it is far within an i64.
    (unsafe { (ratio * CELLS as f64).to_int_unchecked::<i64>() }) as usize
}

/// n and m of the differing ratios, and 1/(n·m) of all that have it.
const HARMONIC: [(f64, f64, f64); DIFFERING] = {
    let mut all = [(0.0, 0.0, 0.0); DIFFERING];
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
                all[k] = (n as f64, m as f64, weight);
                k += 1;
            }
            m += 1;
        }
        n += 1;
    }
    all
};

static WEIGHTS: [f64; DIFFERING] = {
    let mut weights = [0.0; DIFFERING];
    let mut i = 0;
    while i < DIFFERING {
        weights[i] = HARMONIC[i].2;
        i += 1;
    }
    weights
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

/// For each cell of p/q a bit for each of the differing ratios that may be special there.
static CANDIDATES: [u32; 16 * CELLS] = {
    const RESERVE: f64 = 1e-9; // for rounding
    let mut t = [0; 16 * CELLS];
    let mut i = 0;
    while i < DIFFERING {
        let (n, m, _) = HARMONIC[i];
        let mut j = 0;
        while j < SPECIALS.len() {
            let s = SPECIALS[j];
            let first = (s.ratio - 0.01) * m / n * (1.0 - RESERVE);
            let last = (s.ratio + 0.01) * m / n * (1.0 + RESERVE);
            let mut k = (first * CELLS as f64) as usize;
            while k <= (last * CELLS as f64) as usize {
                t[k] |= 1 << i;
                k += 1;
            }
            j += 1;
        }
        i += 1;
    }
    t
};

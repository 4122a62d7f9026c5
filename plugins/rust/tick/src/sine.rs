//! The sine as package math of Go computes it where there is no assembly for it, to the
//! last bit: by the method and the coefficients of Stephen L. Moshier's Cephes library, and
//! of large arguments by Payne and Hanek's.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_4};

const SIN: [f64; 6] = [
    1.58962301576546568060e-10,
    -2.50507477628578072866e-8,
    2.75573136213857245213e-6,
    -1.98412698295895385996e-4,
    8.33333333332211858878e-3,
    -1.66666666666666307295e-1,
];

const COS: [f64; 6] = [
    -1.13585365213876817300e-11,
    2.08757008419747316778e-9,
    -2.75573141792967388112e-7,
    2.48015872888517045348e-5,
    -1.38888888888730564116e-3,
    4.16666666666665929218e-2,
];

/// Where an argument is large: below, a number of octants times the first part of π/4 is exact.
pub const LARGE: f64 = (1 << 29) as f64;

/// The sine of a finite x.
pub fn sin(x: f64) -> f64 {
    if x == 0.0 {
        return x;
    }
    let (octant, z) = if x.abs() < LARGE {
        reduce(x.abs())
    } else {
        reduce_large(x.abs())
    };
    let zz = z * z;
    let y = if octant & 3 == 0 {
        z + z * zz * horner(&SIN, zz)
    } else {
        1.0 - 0.5 * zz + zz * zz * horner(&COS, zz)
    };
    if (x < 0.0) != (octant > 3) {
        -y
    } else {
        y
    }
}

fn horner(coefficients: &[f64; 6], x: f64) -> f64 {
    let [c0, c1, c2, c3, c4, c5] = *coefficients;
    ((((c0 * x + c1) * x + c2) * x + c3) * x + c4) * x + c5
}

/// Takes from x the multiple of π/2 nearest to it, which it returns in octants modulo 8.
fn reduce(x: f64) -> (u64, f64) {
    let octants = (x * (2.0 * FRAC_2_PI)) as u64;
    let octants = octants + (octants & 1);
    let n = octants as f64;
    let z = ((x - n * 7.85398125648498535156e-1) - n * 3.77489470793079817668e-8)
        - n * 2.69515142907905952645e-15;
    (octants & 7, z)
}

/// The binary digits of 4/π, the first word before the point, as far as arguments below
/// 2^119 need them.
const DIGITS: [u64; 5] = [
    1,
    0x45f306dc9c882a53,
    0xf84eafa3ea69bb81,
    0xb6c52b3278872083,
    0xfca2c757bd778ac3,
];

/// Is reduce for a large x: m·2^e, of which m is multiplied with those digits of 4/π that
/// matter modulo 8.
fn reduce_large(x: f64) -> (u64, f64) {
    const FRACTION: u32 = 52;
    let m = x.to_bits() & ((1 << FRACTION) - 1) | 1 << FRACTION;
    // The product begins with the digit that m's last bit makes worth 4, which is where 61 + e
    // is, e being the exponent of that bit.
    let first = (x.to_bits() >> FRACTION) as usize + 61 - (1023 + 52);
    let digits = |word: usize| {
        let at = first / 64 + word;
        let both = u128::from(DIGITS[at]) << 64 | u128::from(DIGITS[at + 1]);
        (both << (first % 64) >> 64) as u64
    };
    let product = (u128::from(digits(0).wrapping_mul(m)) << 64)
        .wrapping_add(u128::from(digits(1)) * u128::from(m))
        .wrapping_add((u128::from(digits(2)) * u128::from(m)) >> 64);
    let octant = (product >> 125) as u64;

    // The fraction becomes a float without rounding. What follows its first 64 digits begins
    // three digits too early, as in Go.
    let high = (product >> 61) as u64;
    let zeros = high.leading_zeros() + 1;
    let digits = (u128::from(high) << 64 | product & u128::from(u64::MAX)) << zeros;
    let fraction = (digits >> (128 - FRACTION)) as u64;
    let mut z = f64::from_bits(fraction | u64::from(1023 - zeros) << FRACTION);
    if octant & 1 == 1 {
        z -= 1.0;
    }
    ((octant + (octant & 1)) & 7, z * FRAC_PI_4)
}

/// ½·sin(x) + ½.
pub fn wave(x: f64) -> f64 {
    0.5 * sin(x) + 0.5
}

//! Numbers of arrays as the lanes of vectors.

use core::arch::wasm32::*;

use crate::record::{Float, Index};

/// Two numbers from the i-th on.
#[inline(always)]
pub fn floats<const N: usize>(v: &[Float; N], i: usize) -> v128 {
    assert!(i + 2 <= N);
    // SAFETY: it is 16 bytes, of any address.
    unsafe { v128_load(v.as_ptr().add(i).cast()) }
}

/// Four numbers from the i-th on.
#[inline(always)]
pub fn indices<const N: usize>(v: &[Index; N], i: usize) -> v128 {
    assert!(i + 4 <= N);
    // SAFETY: as above.
    unsafe { v128_load(v.as_ptr().add(i).cast()) }
}

pub fn bytes(v: &[u8; 16]) -> v128 {
    // SAFETY: as above.
    unsafe { v128_load(v.as_ptr().cast()) }
}

/// Sets two numbers from the i-th on.
#[inline(always)]
pub fn set<const N: usize>(v: &mut [Float; N], i: usize, to: v128) {
    assert!(i + 2 <= N);
    // SAFETY: as above.
    unsafe { v128_store(v.as_mut_ptr().add(i).cast(), to) }
}

/// A number in both lanes. It is a function that can be passed, as f64x2_splat is not.
pub fn both(v: f64) -> v128 {
    f64x2_splat(v)
}

pub fn lanes(v: v128) -> [f64; 2] {
    [f64x2_extract_lane::<0>(v), f64x2_extract_lane::<1>(v)]
}

/// Parts v into arrays and what is left.
pub fn split<T, const N: usize>(v: &[T]) -> (&[[T; N]], &[T]) {
    let (whole, rest) = v.split_at(v.len() / N * N);
    // SAFETY: it is as long, and laid out in the same way.
    (
        unsafe { std::slice::from_raw_parts(whole.as_ptr().cast(), whole.len() / N) },
        rest,
    )
}

/// As split.
pub fn split_mut<T, const N: usize>(v: &mut [T]) -> (&mut [[T; N]], &mut [T]) {
    let (whole, rest) = v.split_at_mut(v.len() / N * N);
    // SAFETY: as above.
    (
        unsafe { std::slice::from_raw_parts_mut(whole.as_mut_ptr().cast(), whole.len() / N) },
        rest,
    )
}

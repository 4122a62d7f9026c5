//! Records and the rules of their fields, as in resonance/tick/tick.go.

use crate::resonhost::Error;

pub const MAX_PATTERNS: usize = 4096;
pub const MAX_FREQUENCY: f64 = 1e6;
pub const MAX_COUNT: u64 = (1 << 53) - 1;
pub const MAX_MAGNITUDE: f64 = 1e9;

/// The golden ratio as the original's ticks have it, which is truncated.
pub const PHI: f64 = 1.618033988749;

pub const FREQUENCY_RULE: &str = "must be above 0 and at most 1e6";
pub const UNIT_RULE: &str = "must be between 0 and 1";
pub const MAGNITUDE_RULE: &str = "must be between -1e9 and 1e9";
pub const COUNT_RULE: &str = "must be at most 2^53-1";
pub const STATE_RULE: &str = "must be 0 or 1 in a record";

/// Numbers of a record as they lie, at any address.
pub type Float = [u8; 8];
pub type Index = [u8; 4];

/// The memory of numbers, as numbers of N bytes.
pub fn numbers<const N: usize>(bytes: &[u8]) -> &[[u8; N]] {
    // SAFETY: it is as long, has no alignment, and its bytes may have any value.
    unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / N) }
}

/// As numbers.
pub fn numbers_mut<const N: usize>(bytes: &mut [u8]) -> &mut [[u8; N]] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), bytes.len() / N) }
}

pub fn index(v: Index) -> usize {
    u32::from_le_bytes(v) as usize
}

/// How long n bytes are with their padding.
pub fn align(n: usize) -> usize {
    (n + 7) & !7
}

pub fn size_fault(got: usize, want: usize) -> Error {
    let rule = [
        "must have ",
        &want.to_string(),
        " bytes, has ",
        &got.to_string(),
    ]
    .concat();
    Error::invalid("record", &rule)
}

pub fn count_fault() -> Error {
    Error::invalid("record", "counts more than the message may have")
}

/// The name of a list's member.
pub fn at(list: &str, i: usize, member: &str) -> String {
    [list, "[", &i.to_string(), "]", member].concat()
}

pub fn check_time(ms: f64) -> Result<(), Error> {
    const MAX_TIME: f64 = 8.64e15;
    if within(ms, -MAX_TIME, MAX_TIME) {
        return Ok(());
    }
    Err(Error::invalid(
        "now_ms",
        "must be between -8.64e15 and 8.64e15",
    ))
}

/// Of NaN it is false.
pub fn within(v: f64, low: f64, high: f64) -> bool {
    v >= low && v <= high
}

pub fn is_magnitude(v: f64) -> bool {
    within(v, -MAX_MAGNITUDE, MAX_MAGNITUDE)
}

pub fn is_frequency(v: f64) -> bool {
    v > 0.0 && v <= MAX_FREQUENCY
}

pub fn is_unit(v: f64) -> bool {
    within(v, 0.0, 1.0)
}

/// Reads a record whose length was checked.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, n: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(n);
        self.0 = rest;
        bytes
    }

    pub fn u64(&mut self) -> u64 {
        let mut v = Float::default();
        v.copy_from_slice(self.bytes(8));
        u64::from_le_bytes(v)
    }

    pub fn float(&mut self) -> f64 {
        f64::from_bits(self.u64())
    }
}

//! The argument, as State in resonance/cascade/state.go.

use crate::resonhost::Error;

pub const MAX_FREQUENCIES: usize = 5;

const NAMES: [&str; MAX_FREQUENCIES] = [
    "awarenessLevel",
    "coherenceScore",
    "phiValue",
    "emotionalResonance",
    "creativeEmergence",
];

const MIN_MAGNITUDE: f64 = 1e-12;
const MAX_MAGNITUDE: f64 = 1e12;
/// In ms about 1970.
const MAX_TIMESTAMP: i64 = 8_640_000_000_000_000;

const SIZE: usize = 7 * 8;

pub struct State {
    pub values: [f64; MAX_FREQUENCIES],
    /// In ms since 1970.
    pub timestamp: i64,
    /// Whether octaves are to have harmonics.
    pub full: bool,
}

impl State {
    /// Reads and validates the record.
    pub fn decode(b: &[u8]) -> Result<State, Error> {
        let b: &[u8; SIZE] = match b.try_into() {
            Ok(b) => b,
            Err(_) => return Err(wrong_size(b.len())),
        };
        let full = match word(b, 6) {
            0 => true,
            1 => false,
            _ => return Err(Error::invalid("detail", "must be 0 or 1 in a record")),
        };
        let mut values = [0.0; MAX_FREQUENCIES];
        for (i, v) in values.iter_mut().enumerate() {
            *v = f64::from_bits(word(b, i));
        }
        if !values.iter().fold(true, |all, &v| all & valid(v)) {
            return Err(wrong_value(&values));
        }
        let timestamp = word(b, 5) as i64;
        if !(-MAX_TIMESTAMP..=MAX_TIMESTAMP).contains(&timestamp) {
            return Err(Error::invalid(
                "timestamp",
                "must be between -8.64e15 and 8.64e15",
            ));
        }
        Ok(State {
            values,
            timestamp,
            full,
        })
    }
}

fn word(b: &[u8; SIZE], i: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&b[8 * i..8 * i + 8]);
    u64::from_le_bytes(word)
}

fn valid(v: f64) -> bool {
    let a = v.abs();
    (a >= MIN_MAGNITUDE) & (a <= MAX_MAGNITUDE) | (v == 0.0)
}

#[cold]
#[inline(never)]
fn wrong_size(n: usize) -> Error {
    let rule = ["must be a record of 56 bytes, has ", &n.to_string()].concat();
    Error::invalid("state", &rule)
}

#[cold]
#[inline(never)]
fn wrong_value(values: &[f64; MAX_FREQUENCIES]) -> Error {
    let i = values.iter().position(|&v| !valid(v)).unwrap_or(0);
    Error::invalid(
        NAMES[i],
        "must be 0 or of a magnitude between 1e-12 and 1e12",
    )
}

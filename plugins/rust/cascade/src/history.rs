//! What a stream keeps, as History in resonance/cascade/state.go. It is read where it lies.

use core::arch::wasm32::*;
use core::ptr;

use crate::resonhost::Error;

pub const OCTAVES: usize = 8;
/// How many earlier results matter.
pub const PATTERNS: usize = 10;

const FORMAT: u64 = 1;
const HEADER: usize = 16;
const PATTERN: usize = OCTAVES * 8;
/// The patterns of a history that has as many as matter.
const FULL: usize = PATTERNS * PATTERN;

/// The resonance of each octave of one result, two and two.
pub type Pattern = [v128; OCTAVES / 2];

pub struct History<'a> {
    /// How many earlier results the stream has.
    length: u64,
    /// Those of the last of them, the oldest first.
    patterns: &'a [u8],
}

impl<'a> History<'a> {
    /// Reads and validates the record. No bytes are no history.
    pub fn decode(b: &'a [u8]) -> Result<History<'a>, Error> {
        if b.is_empty() {
            return Ok(History {
                length: 0,
                patterns: b,
            });
        }
        let n = b.len();
        if n < HEADER || n > HEADER + FULL || (n - HEADER) % PATTERN != 0 {
            return Err(failed(&["a record of ", &n.to_string(), " bytes"]));
        }
        let (header, patterns) = b.split_at(HEADER);
        if word(&header[..8]) != FORMAT {
            return Err(failed(&["unknown format"]));
        }
        let history = History {
            length: word(&header[8..]),
            patterns,
        };
        history.validate()?;
        Ok(history)
    }

    #[inline(never)]
    fn validate(&self) -> Result<(), Error> {
        let n = self.patterns.len() / PATTERN;
        if self.length.min(PATTERNS as u64) != n as u64 {
            return Err(failed(&[
                "patterns: must be the last 10 of ",
                &self.length.to_string(),
                " results, are ",
                &n.to_string(),
            ]));
        }
        for (i, p) in self.patterns().enumerate() {
            let one = f64x2_splat(1.0);
            let within = |v| f64x2_le(f64x2_abs(v), one); // NaN is not
            let all = v128_and(
                v128_and(within(p[0]), within(p[1])),
                v128_and(within(p[2]), within(p[3])),
            );
            if !i64x2_all_true(all) {
                return Err(failed(&[
                    "patterns[",
                    &i.to_string(),
                    "]: must be within -1 and 1",
                ]));
            }
        }
        Ok(())
    }

    /// Whether there are as many earlier results as matter.
    pub fn is_full(&self) -> bool {
        self.length >= PATTERNS as u64
    }

    pub fn patterns(&self) -> impl Iterator<Item = Pattern> + 'a {
        self.patterns.chunks_exact(PATTERN).map(|p| {
            let p = p.as_ptr().cast::<v128>();
            // SAFETY: a chunk has as many bytes, and a v128 is read wherever it lies.
            unsafe {
                [
                    v128_load(p),
                    v128_load(p.add(1)),
                    v128_load(p.add(2)),
                    v128_load(p.add(3)),
                ]
            }
        })
    }

    /// Makes b the record of this history and a result more, of that resonance in every
    /// octave. The length stays at its largest value once there.
    #[inline(never)]
    pub fn write_next(&self, resonance: f64, b: &mut Vec<u8>) {
        let kept = match self.patterns.len() {
            FULL => &self.patterns[PATTERN..],
            _ => self.patterns,
        };
        let size = HEADER + kept.len() + PATTERN;
        b.clear();
        b.reserve(size);
        let to = b.as_mut_ptr();
        let resonance = f64x2_splat(resonance);
        // SAFETY: there is room for that many bytes, all of which are written, and numbers
        // lie anywhere.
        unsafe {
            let last = to.add(size - PATTERN).cast::<v128>();
            v128_store(last.add(3), resonance);
            v128_store(last.add(2), resonance);
            v128_store(last.add(1), resonance);
            v128_store(last, resonance);
            v128_store(to.cast(), u64x2(FORMAT, self.length.saturating_add(1)));
            if !kept.is_empty() {
                ptr::copy_nonoverlapping(kept.as_ptr(), to.add(HEADER), kept.len());
            }
            b.set_len(size);
        }
    }
}

fn word(b: &[u8]) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(b);
    u64::from_le_bytes(word)
}

/// A history is not the caller's to correct.
#[cold]
#[inline(never)]
fn failed(why: &[&str]) -> Error {
    Error::Failed(["cascade history: ", &why.concat()].concat())
}

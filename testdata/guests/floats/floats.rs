// Kernels that compute with floats, as Rust has them: what guards cost is measured by them. Built by
// rustc --edition 2021 --crate-type cdylib --target wasm32-unknown-unknown -C opt-level=3 -C panic=abort
// -C strip=symbols, as the benchmark does itself.

const N: usize = 64;

struct Seed(u64);

impl Seed {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }
}

#[derive(Clone, Copy, Default)]
struct Body {
    at: [f64; 3],
    speed: [f64; 3],
    mass: f64,
}

// Bodies in a box, whose distances and speeds are bounded: chains of min, max, clamp and copysign.
fn swarm(seed: &mut Seed) -> f64 {
    let mut all = [Body::default(); N];
    for b in all.iter_mut() {
        *b = Body { at: [seed.next(), seed.next(), seed.next()], speed: [0.0; 3], mass: seed.next() };
    }
    for _ in 0..4 {
        for i in 0..N {
            let mut force = [0.0f64; 3];
            for other in all.iter() {
                let mut d = [0.0; 3];
                let mut square = 1e-3;
                for k in 0..3 {
                    d[k] = (other.at[k] - all[i].at[k]).clamp(-0.5, 0.5);
                    square += d[k] * d[k];
                }
                let pull = (other.mass / (square * square.sqrt())).min(1e3).max(1e-3);
                for k in 0..3 {
                    force[k] += d[k] * pull;
                }
            }
            let b = &mut all[i];
            for k in 0..3 {
                b.speed[k] = (b.speed[k] + force[k] * 1e-6).clamp(-0.1, 0.1);
            }
        }
        for b in all.iter_mut() {
            for k in 0..3 {
                let to = b.at[k] + b.speed[k];
                if !(0.0..=1.0).contains(&to) {
                    b.speed[k] = b.speed[k].abs().copysign(0.5 - to);
                }
                b.at[k] = to.clamp(0.0, 1.0);
            }
        }
    }
    all.iter().map(|b| b.at[0] + b.at[1] * b.mass - b.speed[2]).sum()
}

const POINTS: usize = 1024;

// A Fourier transform in place, there and back.
fn fourier(seed: &mut Seed) -> f64 {
    let mut re = [0.0f64; POINTS];
    let mut im = [0.0f64; POINTS];
    for i in 0..POINTS {
        re[i] = seed.next() - 0.5;
        im[i] = seed.next() - 0.5;
    }
    turn(&mut re, &mut im, 1.0);
    turn(&mut re, &mut im, -1.0);
    re[3] + im[5]
}

fn turn(re: &mut [f64; POINTS], im: &mut [f64; POINTS], sign: f64) {
    for i in 0..POINTS {
        let j = i.reverse_bits() >> (usize::BITS - POINTS.trailing_zeros());
        if i < j {
            re.swap(i, j);
            im.swap(i, j);
        }
    }
    let mut length = 2;
    let (mut cos, mut sin) = (-1.0f64, 0.0f64);
    while length <= POINTS {
        for from in (0..POINTS).step_by(length) {
            let (mut c, mut s) = (1.0, 0.0);
            for k in from..from + length / 2 {
                let l = k + length / 2;
                let (x, y) = (re[l] * c - im[l] * s, re[l] * s + im[l] * c);
                re[l] = re[k] - x;
                im[l] = im[k] - y;
                re[k] += x;
                im[k] += y;
                let next = c * cos - s * sin;
                s = c * sin + s * cos;
                c = next;
            }
        }
        length *= 2;
        sin = sign * ((1.0 - cos) / 2.0).sqrt();
        cos = ((1.0 + cos) / 2.0).sqrt();
    }
    let by = if sign < 0.0 { 1.0 / POINTS as f64 } else { 1.0 };
    for i in 0..POINTS {
        re[i] *= by;
        im[i] *= by;
    }
}

const MANIFEST: &[u8] = br#"{"name":"floats","version":"1.0.0","transforms":[
{"name":"floats.swarm","input":"application/octet-stream","output":"application/octet-stream"},
{"name":"floats.fourier","input":"application/octet-stream","output":"application/octet-stream"}]}"#;

static mut IN: [u64; 512] = [0; 512];
static mut OUT: [u32; 8] = [0x314f4852, 1, 0, 8, 0, 0, 0, 0];

fn packed(ptr: usize, len: usize) -> u64 {
    (ptr as u64) << 32 | len as u64
}

#[no_mangle]
pub extern "C" fn resonhost_abi() -> u32 {
    1
}

#[no_mangle]
pub extern "C" fn resonhost_describe() -> u64 {
    packed(MANIFEST.as_ptr() as usize, MANIFEST.len())
}

#[no_mangle]
pub extern "C" fn resonhost_alloc(len: usize) -> usize {
    if len <= 512 * 8 {
        unsafe { std::ptr::addr_of!(IN) as usize }
    } else {
        0
    }
}

#[no_mangle]
pub extern "C" fn resonhost_run(transform: u32, _frame: u32, _len: u32) -> u64 {
    let mut seed = Seed(42);
    let value = if transform == 0 { swarm(&mut seed) } else { fourier(&mut seed) }.to_bits();
    unsafe {
        OUT[6] = value as u32;
        OUT[7] = (value >> 32) as u32;
        packed(std::ptr::addr_of!(OUT) as usize, 32)
    }
}

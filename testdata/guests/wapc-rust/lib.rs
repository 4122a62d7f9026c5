//! A guest of waPC in Rust. It imports what the kit imports, without the kit.

use std::sync::Mutex;

#[link(wasm_import_module = "wapc")]
extern "C" {
    fn __guest_request(operation: *mut u8, payload: *mut u8);
    fn __guest_response(at: *const u8, len: usize);
    fn __guest_error(at: *const u8, len: usize);
}

static LEFT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

fn run(operation: &[u8], payload: Vec<u8>) -> Result<Vec<u8>, String> {
    match operation {
        b"echo" => Ok(payload),
        b"keep" => {
            let mut left = LEFT.lock().unwrap();
            let found = left.clone();
            left.extend(payload);
            Ok(found)
        }
        b"trap" => std::process::abort(),
        b"spin" => loop {},
        b"grow" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1u8; 1 << 16]);
                unsafe { core::ptr::read_volatile(&hoard[hoard.len() - 1][0]) };
            }
        }
        _ => Err(format!("there is no operation {}", String::from_utf8_lossy(operation))),
    }
}

#[no_mangle]
pub extern "C" fn __guest_call(operation_len: usize, payload_len: usize) -> i32 {
    let (mut operation, mut payload) = (vec![0; operation_len], vec![0; payload_len]);
    unsafe { __guest_request(operation.as_mut_ptr(), payload.as_mut_ptr()) };
    match run(&operation, payload) {
        Ok(output) => {
            unsafe { __guest_response(output.as_ptr(), output.len()) };
            1
        }
        Err(message) => {
            unsafe { __guest_error(message.as_ptr(), message.len()) };
            0
        }
    }
}

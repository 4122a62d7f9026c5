//! A plugin of dprint, schema 4, in Rust, without dprint's crate. It has text in upper case. Another
//! path than that of an .up file says what else it does.

use std::sync::Mutex;

struct Plugin {
    shared: Vec<u8>,
    path: Vec<u8>,
    left: Vec<u8>,
    text: Vec<u8>,
}

static PLUGIN: Mutex<Plugin> = Mutex::new(Plugin { shared: Vec::new(), path: Vec::new(), left: Vec::new(), text: Vec::new() });

fn with<T>(do_it: impl FnOnce(&mut Plugin) -> T) -> T {
    do_it(&mut PLUGIN.lock().unwrap())
}

/// Shares bytes with the host, which it is told the number of.
fn share(bytes: &[u8]) -> usize {
    with(|p| {
        p.shared = bytes.to_vec();
        p.shared.len()
    })
}

#[no_mangle]
pub extern "C" fn dprint_plugin_version_4() -> u32 {
    4
}

#[no_mangle]
pub extern "C" fn clear_shared_bytes(size: usize) -> *mut u8 {
    with(|p| {
        p.shared = vec![0; size];
        p.shared.as_mut_ptr()
    })
}

#[no_mangle]
pub extern "C" fn get_shared_bytes_ptr() -> *const u8 {
    with(|p| p.shared.as_ptr())
}

#[no_mangle]
pub extern "C" fn register_config(_id: u32) {}

#[no_mangle]
pub extern "C" fn get_config_diagnostics(_id: u32) -> usize {
    share(b"[]")
}

#[no_mangle]
pub extern "C" fn get_config_file_matching(_id: u32) -> usize {
    share(br#"{"fileExtensions":["up"],"fileNames":[]}"#)
}

#[no_mangle]
pub extern "C" fn get_plugin_info() -> usize {
    share(br#"{"name":"upper","version":"0.1.0","configKey":"upper"}"#)
}

#[no_mangle]
pub extern "C" fn set_file_path() {
    with(|p| p.path = std::mem::take(&mut p.shared));
}

/// Answers 0 for a text that stays as it is, 1 for one that changes and 2 for an error.
#[no_mangle]
pub extern "C" fn format(_config: u32) -> u32 {
    let (path, text) = with(|p| (p.path.clone(), std::mem::take(&mut p.shared)));
    let (outcome, answer) = match path.as_slice() {
        b"echo" => return 0,
        b"leave" => (1, with(|p| {
            let found = p.left.clone();
            p.left.extend(text);
            found
        })),
        b"trap" => std::process::abort(),
        b"spin" => loop {},
        b"grow" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(vec![1u8; 1 << 16]);
                unsafe { core::ptr::read_volatile(&hoard[hoard.len() - 1][0]) };
            }
        }
        _ if text.is_empty() => (2, b"no text to shout".to_vec()),
        _ => (1, text.to_ascii_uppercase()),
    };
    with(|p| p.text = answer);
    outcome
}

#[no_mangle]
pub extern "C" fn get_formatted_text() -> usize {
    share(&with(|p| std::mem::take(&mut p.text)))
}

#[no_mangle]
pub extern "C" fn get_error_text() -> usize {
    get_formatted_text()
}

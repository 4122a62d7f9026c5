//! A plugin of Extism's in Rust. It imports what the kit imports, without the kit.

#[link(wasm_import_module = "extism:host/env")]
extern "C" {
    fn input_length() -> u64;
    fn input_load_u8(offset: u64) -> u8;
    fn input_load_u64(offset: u64) -> u64;
    fn alloc(length: u64) -> u64;
    fn store_u8(offset: u64, value: u8);
    fn store_u64(offset: u64, value: u64);
    fn output_set(offset: u64, length: u64);
    fn error_set(offset: u64);
    fn var_get(name: u64) -> u64;
    fn var_set(name: u64, value: u64);
}

fn input() -> Vec<u8> {
    unsafe {
        let n = input_length();
        let mut all = Vec::with_capacity(n as usize);
        for i in 0..n / 8 {
            all.extend(input_load_u64(8 * i).to_le_bytes());
        }
        for i in n / 8 * 8..n {
            all.push(input_load_u8(i));
        }
        all
    }
}

fn block(bytes: &[u8]) -> u64 {
    unsafe {
        let at = alloc(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        let mut next = at;
        for word in &mut words {
            store_u64(next, u64::from_le_bytes(word.try_into().unwrap()));
            next += 8;
        }
        for &byte in words.remainder() {
            store_u8(next, byte);
            next += 1;
        }
        at
    }
}

fn output(bytes: &[u8]) -> i32 {
    unsafe { output_set(block(bytes), bytes.len() as u64) };
    0
}

#[no_mangle]
pub extern "C" fn echo() -> i32 {
    output(&input())
}

#[no_mangle]
pub extern "C" fn count_vowels() -> i32 {
    let n = input().iter().filter(|b| b"aeiouAEIOU".contains(b)).count();
    output(format!("{{\"count\":{n}}}").as_bytes())
}

static mut BEFORE: u32 = 0;

/// Answers with what it finds of a task before it, and leaves something.
#[no_mangle]
pub extern "C" fn leave() -> i32 {
    let mut found = String::new();
    unsafe {
        if BEFORE != 0 {
            found.push_str("memory ");
        }
        BEFORE += 1;
        if var_get(block(b"left")) != 0 {
            found.push_str("variable");
        }
        var_set(block(b"left"), block(b"x"));
    }
    output(found.as_bytes())
}

#[no_mangle]
pub extern "C" fn fail() -> i32 {
    unsafe { error_set(block(&input())) };
    1
}

#[no_mangle]
pub extern "C" fn trap() -> i32 {
    panic!("out of luck")
}

#[no_mangle]
pub extern "C" fn spin() -> i32 {
    let mut n = 0;
    loop {
        unsafe { core::ptr::write_volatile(&mut n, 1) };
    }
}

/// Takes memory behind offsets until there is none, and then its own.
#[no_mangle]
pub extern "C" fn grow() -> i32 {
    while unsafe { alloc(1 << 20) } != 0 {}
    let mut all = Vec::new();
    loop {
        all.push(vec![1u8; 1 << 20]);
        unsafe { core::ptr::read_volatile(&all[all.len() - 1][0]) };
    }
}

;; Whatever the input, it logs an error, as the panic hooks of Rust and others do, and traps.
(module
  (import "resonhost" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_000000ff))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64)
    (call $log (i32.const 8) (i32.const 0x200) (i32.const 42))
    unreachable)
  (data (i32.const 0x200) "panicked at src/lib.rs:7:9:\0aout \1bof bounds")
  (data (i32.const 0x400)
    "{\"name\":\"selftest-panics\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"selftest-panics\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}],"
    "\"self_tests\":[{\"name\":\"greeting\",\"transform\":\"selftest-panics\",\"input\":\"hello\",\"output\":\"hello\"}]}"))

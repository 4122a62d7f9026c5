;; A WASI function is imported with a wrong signature.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func (param i64) (result i64)))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000009f))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (data (i32.const 0x400)
    "{\"name\":\"import-wild-wasi\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"import-wild-wasi\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

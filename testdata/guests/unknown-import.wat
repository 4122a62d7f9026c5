;; A function is imported that no host has.
(module
  (import "env" "foo" (func))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000009b))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (data (i32.const 0x400)
    "{\"name\":\"unknown-import\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"unknown-import\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

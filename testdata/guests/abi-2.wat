;; The contract is version 2.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 2))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000089))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (data (i32.const 0x400)
    "{\"name\":\"abi-2\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"abi-2\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

;; Built as a command: what initialises it is _start, which ends the module.
(module
  (memory (export "memory") 1)
  (func (export "_start"))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000008d))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (data (i32.const 0x400)
    "{\"name\":\"command\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"command\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

;; The start function never returns.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000093))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (func $start (loop $forever (br $forever)))
  (start $start)
  (data (i32.const 0x400)
    "{\"name\":\"start-spin\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"start-spin\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

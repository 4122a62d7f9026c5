;; _initialize never returns.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000091))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (func (export "_initialize") (loop $forever (br $forever)))
  (data (i32.const 0x400)
    "{\"name\":\"init-spin\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"init-spin\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

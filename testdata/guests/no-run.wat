;; resonhost_run is not exported.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000008b))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (data (i32.const 0x400)
    "{\"name\":\"no-run\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"no-run\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

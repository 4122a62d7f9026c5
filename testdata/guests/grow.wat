;; Wants 2 MiB more of memory for each task and answers whether it
;; was denied that, an i32. Its self-test has it denied.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_000000e5))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64)
    (i32.store (i32.const 0x204) (i32.const 1))
    (i32.store (i32.const 0x20c) (i32.const 4))
    (i32.store (i32.const 0x218) (i32.lt_s (memory.grow (i32.const 32)) (i32.const 0)))
    (i64.const 0x00000200_00000020))
  (data (i32.const 0x200) "RHO1")
  (data (i32.const 0xc000)
    "{\"name\":\"grow\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"grow\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}],\"self_tests\":[{\"name\":\"denied\",\"transform\":\"grow\",\"input\":\"\",\"output\":{\"base64\":\"AQAAAA==\"}}]}"))

;; The manifest is no JSON.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000000b))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (data (i32.const 0x400) "name: echo\0a")
)

;; The manifest is 300,000 spaces: in memory, and beyond the limit.
(module
  (memory (export "memory") 5)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64)
    (memory.fill (i32.const 0x400) (i32.const 0x20) (i32.const 300000))
    (i64.const 0x00000400_000493e0))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
)

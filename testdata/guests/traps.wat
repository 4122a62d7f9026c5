;; Traps at every task, and has no self-test.
(module
  (memory (export "memory") 1)
  (data (i32.const 0x400) "{\"name\": \"traps\", \"version\": \"1.0.0\", \"transforms\": [{\"name\": \"traps\", \"input\": \"text/plain\", \"output\": \"text/plain\"}]}")
  (func (export "resonhost_abi") (result i32)
    (i32.const 1))
  (func (export "resonhost_describe") (result i64)
    (i64.const 0x400_0000_0077))
  (func (export "resonhost_alloc") (param i32) (result i32)
    (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64)
    (unreachable)))

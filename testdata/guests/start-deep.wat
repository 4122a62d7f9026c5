;; Calls itself 300 deep as it starts, more than a start function may.
(module
  (memory (export "memory") 1)
  (func $deep (param $n i32)
    (if (local.get $n) (then (call $deep (i32.sub (local.get $n) (i32.const 1))))))
  (func $start (call $deep (i32.const 300)))
  (start $start)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (i64.const 0)))

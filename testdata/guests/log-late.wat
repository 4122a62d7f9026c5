;; Computes for a while, then logs a line, and answers nothing.
(module
  (import "resonhost" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_000000dc))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64)
    (local $n i32)
    (loop $next
      (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
    (call $log (i32.const 0) (i32.const 0x100) (i32.const 4))
    (i32.store (i32.const 0x204) (i32.const 1))
    (i64.const 0x00000200_00000018))
  (data (i32.const 0x100) "done")
  (data (i32.const 0x200) "RHO1")
  (data (i32.const 0xc000)
    "{\"name\":\"log-late\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"log-late\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}],\"self_tests\":[{\"name\":\"line\",\"transform\":\"log-late\",\"input\":\"\",\"output\":\"\"}]}"))

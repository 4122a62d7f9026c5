;; Leaves the lesser of two NaNs as its state, and answers nothing. The state is a NaN, of which the
;; bits depend on the engine, so that its self-test tells compiled code from the interpreter.
(module
  (memory (export "memory") 1)
  (global $a (mut i64) (i64.const 0x7ff8000000000def))
  (global $b (mut i64) (i64.const 0xfff8000000000abc))
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_000000ee))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64)
    (i32.store (i32.const 0x204) (i32.const 1))
    (i32.store (i32.const 0x210) (i32.const 8))
    (f64.store (i32.const 0x218) (f64x2.extract_lane 0 (f64x2.min (i64x2.splat (global.get $a)) (i64x2.splat (global.get $b)))))
    (i64.const 0x00000200_00000020))
  (data (i32.const 0x200) "RHO1")
  (data (i32.const 0xc000)
    "{\"name\":\"nan-state\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"nan-state\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\",\"state_bytes\":8}],\"self_tests\":[{\"name\":\"two\",\"transform\":\"nan-state\",\"input\":\"\",\"output\":\"\"}]}"))

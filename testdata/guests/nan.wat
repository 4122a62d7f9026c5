;; Answers with the lesser of two f64s, as a vector instruction has it. Of two NaNs it is a NaN, of
;; which the bits depend on the engine.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_00000085))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32) (param $in i32) (param i32) (result i64)
    (i32.store (i32.const 0x204) (i32.const 1))
    (i32.store (i32.const 0x20c) (i32.const 8))
    (f64.store (i32.const 0x218) (f64x2.extract_lane 0 (f64x2.min (f64x2.splat (f64.load offset=16 (local.get $in))) (f64x2.splat (f64.load offset=24 (local.get $in))))))
    (i64.const 0x00000200_00000020))
  (data (i32.const 0x200) "RHO1")
  (data (i32.const 0xc000)
    "{\"name\":\"nan\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"nan\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

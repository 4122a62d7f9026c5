;; Echoes a frame of one item of 1 to 8 bytes, a byte of which comes out of a
;; passive data segment. At a payload that begins with '!' the segment is dropped,
;; which no restored memory brings back: the next task of the instance traps.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000087))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32) (param $in i32) (param $size i32) (result i64)
    (memory.init $passive (i32.const 0x200) (i32.const 0) (i32.const 1))
    (if (i32.eq (i32.load8_u offset=16 (local.get $in)) (i32.const 0x21))
      (then (data.drop $passive)))
    (i32.store offset=4 (i32.const 0x208) (i32.load offset=8 (local.get $in)))
    (i64.store (i32.const 0x218) (i64.load offset=16 (local.get $in)))
    (i64.add (i64.const 0x00000200_00000008) (i64.extend_i32_u (local.get $size))))
  (data (i32.const 0x200) "\00HO1\01\00\00\00")
  (data $passive "R")
  (data (i32.const 0x400)
    "{\"name\":\"drop\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"drop\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

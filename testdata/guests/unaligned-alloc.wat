;; Echoes a frame of one item of 1 to 8 bytes. For a longer one
;; resonhost_alloc returns an address that is no multiple of 8.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_0000009d))
  (func (export "resonhost_alloc") (param $size i32) (result i32)
    (select (i32.const 0x8000) (i32.const 0x8004) (i32.le_u (local.get $size) (i32.const 24))))
  (func (export "resonhost_run") (param i32) (param $in i32) (param $size i32) (result i64)
    (i32.store offset=4 (i32.const 0x208) (i32.load offset=8 (local.get $in)))
    (i64.store (i32.const 0x218) (i64.load offset=16 (local.get $in)))
    (i64.add (i64.const 0x00000200_00000008) (i64.extend_i32_u (local.get $size))))
  (data (i32.const 0x200) "RHO1\01\00\00\00")
  (data (i32.const 0x400)
    "{\"name\":\"unaligned-alloc\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"unaligned-alloc\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

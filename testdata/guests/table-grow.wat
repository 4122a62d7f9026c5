;; Echoes a frame of one item of 1 to 8 bytes. At a payload that begins with
;; '!' the table grows until it may not, which takes the host's memory.
(module
  (table $table 0 funcref)
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000093))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32) (param $in i32) (param $size i32) (result i64)
    (if (i32.eq (i32.load8_u offset=16 (local.get $in)) (i32.const 0x21))
      (then (loop $more
        (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 0x10000)) (i32.const -1))))))
    (i32.store offset=4 (i32.const 0x208) (i32.load offset=8 (local.get $in)))
    (i64.store (i32.const 0x218) (i64.load offset=16 (local.get $in)))
    (i64.add (i64.const 0x00000200_00000008) (i64.extend_i32_u (local.get $size))))
  (data (i32.const 0x200) "RHO1\01\00\00\00")
  (data (i32.const 0x400)
    "{\"name\":\"table-grow\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"table-grow\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

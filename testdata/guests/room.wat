;; Answers with how often it was asked for room, as an i32, in frames of up to 64 items. A
;; frame that is longer than the room, or elsewhere, is a trap.
(module
  (memory (export "memory") 1)
  (global $asked (mut i32) (i32.const 0))
  (global $granted (mut i32) (i32.const 0))
  (func $room (result i32) (i32.mul (global.get $asked) (i32.const 0x1000)))
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_00000147))
  (func (export "resonhost_alloc") (param $size i32) (result i32)
    (global.set $granted (local.get $size))
    (global.set $asked (i32.add (global.get $asked) (i32.const 1)))
    (call $room))
  (func (export "resonhost_run") (param i32) (param $in i32) (param $size i32) (result i64)
    (local $left i32) (local $at i32)
    (if (i32.ne (local.get $in) (call $room)) (then (unreachable)))
    (if (i32.gt_u (local.get $size) (global.get $granted)) (then (unreachable)))
    (local.set $left (i32.load offset=4 (local.get $in)))
    (i32.store (i32.const 0x204) (local.get $left))
    (local.set $at (i32.const 0x208))
    (loop $next
      (i32.store offset=4 (local.get $at) (i32.const 4))
      (i32.store offset=16 (local.get $at) (global.get $asked))
      (local.set $at (i32.add (local.get $at) (i32.const 24)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (i64.or (i64.const 0x00000200_00000000) (i64.extend_i32_u (i32.sub (local.get $at) (i32.const 0x200)))))
  (data (i32.const 0x200) "RHO1")
  (data (i32.const 0xc000)
    "{\"name\":\"room\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"room\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}],"
    "\"self_tests\":[{\"name\":\"long\",\"transform\":\"room\",\"input\":\"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789\",\"output\":{\"base64\":\"AQAAAA==\"}}]}"))

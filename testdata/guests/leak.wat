;; Echoes a frame of one item of 1 to 4 bytes and adds the letters of the
;; places where it finds what an earlier task left: m for the memory, g for a
;; global, t for the table, p for a page that was added, c for what was in one
;; that this task adds, d for a descriptor that was closed. Every task leaves
;; something in each, but adds a page only if its input begins with p. What it
;; writes to stdout, its input, does not end a line.
(module
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $left (mut i32) (i32.const 0))
  (table $left 1 funcref)
  (elem declare func $add)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000087))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32) (param $in i32) (param i32) (result i64)
    (i32.store offset=4 (i32.const 0x208) (i32.load offset=8 (local.get $in)))
    (i64.store (i32.const 0x218) (i64.load offset=16 (local.get $in)))
    (if (i32.load (i32.const 0x100)) (then (call $add (i32.const 0x6d))))
    (if (global.get $left) (then (call $add (i32.const 0x67))))
    (if (i32.eqz (ref.is_null (table.get $left (i32.const 0)))) (then (call $add (i32.const 0x74))))
    (if (i32.ne (memory.size) (i32.const 1)) (then (call $add (i32.const 0x70))))
    (if (i32.eq (i32.load8_u offset=16 (local.get $in)) (i32.const 0x70)) (then
      (if (i32.load (i32.shl (memory.grow (i32.const 1)) (i32.const 16))) (then (call $add (i32.const 0x63))))
      (i32.store (i32.shl (i32.sub (memory.size) (i32.const 1)) (i32.const 16)) (i32.const 1))))
    (i32.store (i32.const 0x300) (i32.const 0x310))
    (i32.store (i32.const 0x304) (i32.load offset=8 (local.get $in)))
    (i32.store (i32.const 0x310) (i32.load offset=16 (local.get $in)))
    (if (call $fd_write (i32.const 1) (i32.const 0x300) (i32.const 1) (i32.const 0x308))
      (then (call $add (i32.const 0x64))))
    (drop (call $fd_close (i32.const 1)))
    (i32.store (i32.const 0x100) (i32.const 1))
    (global.set $left (i32.const 1))
    (table.set $left (i32.const 0) (ref.func $add))
    (i64.const 0x00000200_00000020))
  (func $add (param $letter i32)
    (local $n i32)
    (local.set $n (i32.load (i32.const 0x20c)))
    (i32.store8 offset=0x218 (local.get $n) (local.get $letter))
    (i32.store (i32.const 0x20c) (i32.add (local.get $n) (i32.const 1))))
  (data (i32.const 0x200) "RHO1\01\00\00\00")
  (data (i32.const 0x400)
    "{\"name\":\"leak\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"leak\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

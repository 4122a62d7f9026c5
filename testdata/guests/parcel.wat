;; A guest of the kind "parcel", see the package kindtest: each function without parameters that
;; returns an i32 is a transform, which returns 0 if the output is one, and 1 if it is a message.
(module
  (import "parcel" "length" (func $length (result i32)))
  (import "parcel" "get" (func $get (param i32) (result i32)))
  (import "parcel" "put" (func $put (param i32)))
  (import "parcel" "reserve" (func $reserve (param i32) (result i32)))
  (import "parcel" "mark" (func $mark (result i32)))
  (import "parcel:host" "item" (func $item (result i32)))
  (import "parcel:host" "remember" (func $remember (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory 2)
  (global $left (mut i32) (i32.const 0))
  (func (export "echo") (result i32) (call $copy) (i32.const 0))
  ;; Fails with the input as its message.
  (func (export "fail") (result i32) (call $copy) (i32.const 1))
  ;; Answers with the number of the item in its frame, as a digit.
  (func (export "item") (result i32)
    (call $put (i32.add (i32.const 0x30) (call $item)))
    (i32.const 0))
  ;; Answers with a letter for each place where it finds what an earlier task left: m its memory, g
  ;; its global, k the kernel's memory, v the kernel's global, h what the host has of the instance.
  (func (export "leave") (result i32)
    (local $marked i32)
    (if (i32.load (i32.const 0)) (then (call $put (i32.const 0x6d))))
    (if (global.get $left) (then (call $put (i32.const 0x67))))
    (local.set $marked (call $mark))
    (if (i32.and (local.get $marked) (i32.const 1)) (then (call $put (i32.const 0x6b))))
    (if (i32.and (local.get $marked) (i32.const 2)) (then (call $put (i32.const 0x76))))
    (if (call $remember (i32.const 1)) (then (call $put (i32.const 0x68))))
    (i32.store (i32.const 0) (i32.const 1))
    (global.set $left (i32.const 1))
    (i32.const 0))
  (func (export "trap") (result i32) (unreachable))
  (func (export "exit") (result i32) (call $exit (i32.const 7)) (i32.const 0))
  (func (export "spin") (result i32) (loop $on (br $on)) (i32.const 0))
  ;; Grow its own memory, the kernel's, and both in turn, until that fails, and trap then.
  (func (export "grow") (result i32)
    (loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable))
  (func (export "growkernel") (result i32)
    (loop $on (br_if $on (i32.ne (call $reserve (i32.const 1)) (i32.const -1)))) (unreachable))
  (func (export "growboth") (result i32)
    (loop $on
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
      (br_if $on (i32.ne (call $reserve (i32.const 1)) (i32.const -1))))
    (unreachable))
  (func $copy
    (local $i i32)
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $i) (call $length)))
      (call $put (call $get (local.get $i)))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))))

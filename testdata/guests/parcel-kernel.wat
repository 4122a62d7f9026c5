;; The library that guests of the kind "parcel" are linked to, see the package kindtest. It has a
;; task's input and output in a memory of its own: first a word that tells whether an earlier task
;; was here, then the input, then the output.
(module
  (import "parcel:host" "bill" (func $bill (param i32)))
  (memory (export "memory") 1)
  (global $length (mut i32) (i32.const 0)) ;; of the input
  (global $end (mut i32) (i32.const 0))    ;; of the output
  (global $marked (mut i32) (i32.const 0))
  ;; For the host: begin returns where an input of that length goes; output is its address and
  ;; length, as package abi packs them.
  (func (export "begin") (param $length i32) (result i32)
    (global.set $length (local.get $length))
    (global.set $end (i32.add (i32.const 8) (local.get $length)))
    (call $room)
    (i32.const 8))
  (func (export "output") (result i64)
    (local $from i32)
    (local.set $from (i32.add (i32.const 8) (global.get $length)))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $from)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (global.get $end) (local.get $from)))))
  ;; For guests.
  (func (export "length") (result i32) (global.get $length))
  (func (export "get") (param $at i32) (result i32) (i32.load8_u offset=8 (local.get $at)))
  (func (export "put") (param $byte i32)
    (call $bill (i32.const 1))
    (call $room)
    (i32.store8 (global.get $end) (local.get $byte))
    (global.set $end (i32.add (global.get $end) (i32.const 1))))
  (func (export "reserve") (param $pages i32) (result i32) (memory.grow (local.get $pages)))
  ;; What an earlier task left: 1 in the memory, 2 in a global.
  (func (export "mark") (result i32)
    (local $was i32)
    (local.set $was (i32.or (i32.load (i32.const 0)) (i32.shl (global.get $marked) (i32.const 1))))
    (i32.store (i32.const 0) (i32.const 1))
    (global.set $marked (i32.const 1))
    (local.get $was))
  ;; Has the memory hold one byte more than the output.
  (func $room
    (loop $more
      (if (i32.ge_u (global.get $end) (i32.shl (memory.size) (i32.const 16))) (then
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
        (br $more))))))

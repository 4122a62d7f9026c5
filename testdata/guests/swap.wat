;; A plugin whose versions tests make by overwriting what its data begins with: see
;; internal/guesttest, Swap. It answers each item with its tag and the item's state, and
;; makes the tag the new state, unless it keeps none.
(module
  (memory (export "memory") 8)
  ;; Page 0: constants and the manifest. Pages 1 to 3: the input frame. Pages 4 to 7: the
  ;; output frame.
  (data (i32.const 0x100) "MODE:o")   ;; what an item that begins with '!' meets
  (data (i32.const 0x110) "KEEP:1")   ;; whether there is a new state
  (data (i32.const 0x120) "TAG:0000000000000000")
  (data (i32.const 0x200) "MANIFEST:                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          ")

  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64)
    (call $pack (i32.const 0x209) (i32.const 0x609)))
  (func (export "resonhost_alloc") (param $size i32) (result i32)
    (select (i32.const 0x10000) (i32.const 0) (i32.le_u (local.get $size) (i32.const 0x30000))))

  (func $align (param $n i32) (result i32)
    (i32.and (i32.add (local.get $n) (i32.const 7)) (i32.const -8)))
  (func $pack (param $ptr i32) (param $end i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (local.get $end) (local.get $ptr)))))

  (func (export "resonhost_run") (param $transform i32) (param $in i32) (param $len i32) (result i64)
    (local $left i32) (local $payload i32) (local $state i32) (local $out i32) (local $status i32)
    (local.set $left (i32.load offset=4 (local.get $in)))
    (i32.store (i32.const 0x40000) (i32.const 0x314f4852))             ;; "RHO1"
    (i32.store (i32.const 0x40004) (local.get $left))
    (local.set $in (i32.add (local.get $in) (i32.const 8)))
    (local.set $out (i32.const 0x40008))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (local.set $payload (i32.load (local.get $in)))
        (local.set $state (i32.load offset=4 (local.get $in)))
        (local.set $status (i32.const 0))
        (if (local.get $payload)
          (then (if (i32.eq (i32.load8_u offset=8 (local.get $in)) (i32.const 0x21))
            (then (local.set $status (call $meet (i32.load8_u (i32.const 0x105))))))))
        (i32.store (local.get $out) (local.get $status))
        (i32.store offset=4 (local.get $out) (i32.add (i32.const 16) (local.get $state)))
        (i32.store offset=8 (local.get $out)
          (select (i32.const 16) (i32.const 0)
            (i32.and (i32.eqz (local.get $status)) (i32.eq (i32.load8_u (i32.const 0x115)) (i32.const 0x31)))))
        (i32.store offset=12 (local.get $out) (i32.const 0))
        (memory.copy (i32.add (local.get $out) (i32.const 16)) (i32.const 0x124) (i32.const 16))
        (memory.copy
          (i32.add (local.get $out) (i32.const 32))
          (i32.add (i32.add (local.get $in) (i32.const 8)) (call $align (local.get $payload)))
          (local.get $state))
        (local.set $in (i32.add (i32.add (local.get $in) (i32.const 8))
          (i32.add (call $align (local.get $payload)) (call $align (local.get $state)))))
        (local.set $payload (i32.load offset=8 (local.get $out)))         ;; of the new state
        (local.set $out (i32.add (i32.add (local.get $out) (i32.const 32)) (call $align (local.get $state))))
        (memory.copy (local.get $out) (i32.const 0x124) (local.get $payload))
        (local.set $out (i32.add (local.get $out) (local.get $payload)))
        (br $next)))
    (call $pack (i32.const 0x40000) (local.get $out)))

  ;; Returns the status of the item, if it returns.
  (func $meet (param $mode i32) (result i32)
    (local $turns i32)
    (if (i32.eq (local.get $mode) (i32.const 0x74)) (then (unreachable)))             ;; t: traps
    (if (i32.eq (local.get $mode) (i32.const 0x66)) (then (return (i32.const 2))))    ;; f: fails
    (if (i32.eq (local.get $mode) (i32.const 0x73)) (then (loop $forever (br $forever)))) ;; s: spins
    (if (i32.eq (local.get $mode) (i32.const 0x77))                                   ;; w: works
      (then (loop $turn
        (local.set $turns (i32.add (local.get $turns) (i32.const 1)))
        (br_if $turn (i32.lt_u (local.get $turns) (i32.const 1000000))))))
    (i32.const 0)))

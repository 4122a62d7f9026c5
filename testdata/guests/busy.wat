;; Works as much as its input says: a frame of one item of 8 bytes, the number of
;; turns, is answered with 8 bytes, a number that depends on all turns. Input that
;; is shorter counts as what is there.
;;
;;   busy.noop   takes no turn
;;   busy.loop   turns of four integer instructions
;;   busy.chase  turns of one load each, of which each depends on the one before, all
;;               over 32 MiB
;;   busy.call   calls of a function that calls two others, as many as a tree of that
;;               depth has, without a loop
(module
  (memory (export "memory") 520)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_000001a1))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func $loop (param $n i64) (result i64)
    (local $x i64)
    (if (i64.eqz (local.get $n)) (then (return (i64.const 0))))
    (loop $turn
      (local.set $x (i64.xor (i64.mul (local.get $x) (i64.const 6364136223846793005)) (local.get $n)))
      (br_if $turn (i32.eqz (i64.eqz (local.tee $n (i64.sub (local.get $n) (i64.const 1)))))))
    (local.get $x))
  (func $chase (param $n i64) (result i64)
    (local $x i32)
    (if (i64.eqz (local.get $n)) (then (return (i64.const 0))))
    (loop $turn
      ;; The memory is all zeros there: what is loaded changes nothing but the order.
      (local.set $x
        (i32.add
          (i32.mul (i32.add (local.get $x)
              (i32.load offset=0x10000 (i32.and (local.get $x) (i32.const 0x1ffffc0))))
            (i32.const 1664525))
          (i32.const 1013904223)))
      (br_if $turn (i32.eqz (i64.eqz (local.tee $n (i64.sub (local.get $n) (i64.const 1)))))))
    (i64.extend_i32_u (local.get $x)))
  (func $call (param $depth i64) (result i64)
    (if (i64.eqz (local.get $depth)) (then (return (i64.const 1))))
    (i64.add
      (call $call (i64.sub (local.get $depth) (i64.const 1)))
      (call $call (i64.sub (local.get $depth) (i64.const 1)))))
  (func (export "resonhost_run") (param $transform i32) (param $in i32) (param $size i32) (result i64)
    (local $n i64)
    (local.set $n (i64.load offset=16 (local.get $in)))
    (i64.store (i32.const 0x218)
      (if (result i64) (i32.eq (local.get $transform) (i32.const 1))
        (then (call $loop (local.get $n)))
        (else (if (result i64) (i32.eq (local.get $transform) (i32.const 2))
          (then (call $chase (local.get $n)))
          (else (if (result i64) (i32.eq (local.get $transform) (i32.const 3))
            (then (call $call (local.get $n)))
            (else (local.get $n))))))))
    (i64.const 0x00000200_00000020))
  (data (i32.const 0x200) "RHO1\01\00\00\00\00\00\00\00\08\00\00\00")
  (data (i32.const 0x400)
    "{\"name\":\"busy\",\"version\":\"1.0.0\",\"transforms\":["
    "{\"name\":\"busy.noop\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"busy.loop\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"busy.chase\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"busy.call\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

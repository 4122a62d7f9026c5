;; Works for as many rounds as the first byte of its input says, 2^32 if that is 0. A round is
;; work that a host is not to lose sight of its deadline over. See README.md.
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sched_yield" (func $sched_yield (result i32)))
  (import "resonhost" "log" (func $host_log (param i32 i32 i32)))

  ;; 63 MiB, of which the first has the constants and frames, and the others are $room.
  (memory (export "memory") 1008)
  (global $room i32 (i32.const 0x100000))
  (global $size i32 (i32.const 0x3e00000))
  (global $half i32 (i32.const 0x1f00000))
  (table $round 16 funcref)
  (elem (table $round) (i32.const 0) func $loop $calls $mutual $table $fill $copy $tablefill $write $lines $random $sleep $yield $log $grow $touch)
  (table $filled 100000 funcref)
  (type $round (func))

  (data (i32.const 0x200) "RHO1\01\00\00\00")                           ;; and a result of 0 bytes
  (data (i32.const 0x300) "\00\00\10\00\00\00\e0\03")                   ;; an iovec: $size at $room
  (data (i32.const 0x308) "\00\20\00\00\00\c0\00\00")                   ;; an iovec: 48 KiB of short lines at 0x2000
  (data (i32.const 0x340) "\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\01\00\00\00\00\00\00\00\00\ca\9a\3b") ;; a second by the monotonic clock

  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_000005a3))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x10000))
  (func (export "resonhost_run") (param $transform i32) (param $in i32) (param i32) (result i64)
    (local $left i32)
    (local.set $left (i32.load8_u offset=16 (local.get $in)))
    (memory.fill (i32.const 0x2000) (i32.const 0x0a) (i32.const 0xc000))
    (loop $next
      (call_indirect $round (type $round) (local.get $transform))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br_if $next (local.get $left)))
    (i64.const 0x00000200_00000018))

  (func $loop
    (local $n i32)
    (loop $next
      (br_if $next (i32.ne (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 1000000)))))
  (func $tree (param $depth i32)
    (if (i32.eqz (local.get $depth)) (then (return)))
    (call $tree (i32.sub (local.get $depth) (i32.const 1)))
    (call $tree (i32.sub (local.get $depth) (i32.const 1))))
  (func $calls (call $tree (i32.const 20)))
  (func $even (param $n i32)
    (if (local.get $n) (then (call $odd (i32.sub (local.get $n) (i32.const 1))))))
  (func $odd (param $n i32)
    (if (local.get $n) (then (call $even (i32.sub (local.get $n) (i32.const 1))))))
  (func $mutual (call $even (i32.const 500)))
  (func $table
    (local $n i32)
    (loop $next
      (block $c (block $b (block $a
        (br_table $a $b $c $next (i32.and (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 3))))
        (br $next))
        (br $next))
      (br_if $next (i32.lt_u (local.get $n) (i32.const 1000000)))))
  (func $fill (memory.fill (global.get $room) (i32.const 1) (global.get $size)))
  (func $copy (memory.copy (i32.add (global.get $room) (global.get $half)) (global.get $room) (global.get $half)))
  (func $tablefill (table.fill $filled (i32.const 0) (ref.null func) (i32.const 100000)))
  (func $write
    (local $n i32)
    (loop $next
      (drop (call $fd_write (i32.const 1) (i32.const 0x300) (i32.const 1) (i32.const 0x310)))
      (br_if $next (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.load (i32.const 0x310)))) (global.get $size)))))
  (func $lines (drop (call $fd_write (i32.const 2) (i32.const 0x308) (i32.const 1) (i32.const 0x310))))
  (func $random (drop (call $random_get (global.get $room) (global.get $size))))
  (func $sleep (drop (call $poll_oneoff (i32.const 0x340) (i32.const 0x380) (i32.const 1) (i32.const 0x310))))
  (func $yield (drop (call $sched_yield)))
  (func $log (call $host_log (i32.const 0) (i32.const 0x2000) (i32.const 4096)))
  (func $grow (drop (memory.grow (i32.const 1))))
  (func $touch
    (local $at i32)
    (local.set $at (global.get $room))
    (loop $next
      (i64.store (local.get $at) (i64.const 1))
      (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (global.get $size)))))

  (data (i32.const 0x400)
    "{\"name\":\"late\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"late.loop\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.calls\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.mutual\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.table\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.fill\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.copy\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.tablefill\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.write\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.lines\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.random\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.sleep\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.yield\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.log\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.grow\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"late.touch\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

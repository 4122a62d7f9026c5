;; A plugin of many transforms. Each echoes payload and state of its items, and
;; turns hostile at an item whose payload begins with '!'. See README.md.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "resonhost" "log" (func $host_log (param i32 i32 i32)))

  ;; Page 0: constants and the manifest. Pages 1 to 4: the input frame. Pages 5
  ;; to 63: the output frame, room for the largest input and three long messages.
  (memory (export "memory") 64)
  (global $input i32 (i32.const 0x10000))
  (global $input_room i32 (i32.const 0x40000))
  (global $output i32 (i32.const 0x50000))
  (global $output_room i32 (i32.const 0x3b0000))

  ;; What resonhost_run is to return, unless 0.
  (global $answer (mut i64) (i64.const 0))

  (data (i32.const 0x10) "\ff\fe\80")
  (data (i32.const 0x18) "a\0d\0alevel=ERROR msg=forged\1b[2J\00z")    ;; 31 bytes
  (data (i32.const 0x40)                                                ;; 100 bytes
    "01234567890123456789012345678901234567890123456789"
    "0123456789012345678901234567890123456789012345678\0a")
  (data (i32.const 0xb0) "\40\00\00\00\64\00\00\00")                    ;; an iovec: 100 bytes at 0x40
  (data (i32.const 0xc0) "\f0\ff\ff\ff\00\01\00\00")                    ;; an iovec that wraps

  ;; The order is that of the manifest.
  (type $misdeed (func (param $item i32) (param $end i32) (result i32)))
  (table funcref (elem
    $echo
    $trap $oob $divide $indirect $wrongtype $exit $exitzero
    $spin $fill $recurse $grow $growok
    $wildptr $wraplen $nothing $shortframe
    $badmagic $hugecount $fewer $more $trailing
    $badstatus $reserved $hugelen $badutf8 $escapes $longmessage $hugestate
    $log $loglevel $logflood $write $writewild))

  (func (export "resonhost_abi") (result i32) (i32.const 1))

  ;; The manifest ends at the first NUL.
  (func (export "resonhost_describe") (result i64)
    (local $end i32)
    (local.set $end (i32.const 0x400))
    (loop $next
      (local.set $end (i32.add (local.get $end) (i32.const 1)))
      (br_if $next (i32.load8_u (local.get $end))))
    (call $pack (i32.const 0x400) (local.get $end)))

  (func (export "resonhost_alloc") (param $size i32) (result i32)
    (select (global.get $input) (i32.const 0) (i32.le_u (local.get $size) (global.get $input_room))))

  (func (export "resonhost_run") (param $transform i32) (param $in i32) (param $len i32) (result i64)
    (local $left i32) (local $size i32) (local $item i32) (local $end i32)
    (global.set $answer (i64.const 0))
    (local.set $left (i32.load offset=4 (local.get $in)))
    (i32.store (global.get $output) (i32.const 0x314f4852))             ;; "RHO1"
    (i32.store offset=4 (global.get $output) (local.get $left))
    (local.set $in (i32.add (local.get $in) (i32.const 8)))
    (local.set $end (i32.add (global.get $output) (i32.const 8)))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $left)))
        (local.set $left (i32.sub (local.get $left) (i32.const 1)))
        (local.set $item (local.get $end))
        (local.set $size (i32.add
          (call $align (i32.load (local.get $in)))
          (call $align (i32.load offset=4 (local.get $in)))))
        (i32.store (local.get $item) (i32.const 0))
        (i64.store offset=4 align=4 (local.get $item) (i64.load (local.get $in)))
        (i32.store offset=12 (local.get $item) (i32.const 0))
        (memory.copy
          (i32.add (local.get $item) (i32.const 16))
          (i32.add (local.get $in) (i32.const 8))
          (local.get $size))
        (local.set $end (i32.add (i32.add (local.get $item) (i32.const 16)) (local.get $size)))
        (if (i32.load (local.get $in))
          (then (if (i32.eq (i32.load8_u offset=8 (local.get $in)) (i32.const 0x21))
            (then (local.set $end (call_indirect (type $misdeed)
              (local.get $item) (local.get $end) (local.get $transform)))))))
        (local.set $in (i32.add (i32.add (local.get $in) (i32.const 8)) (local.get $size)))
        (br $next)))
    (if (i64.ne (global.get $answer) (i64.const 0))
      (then (return (global.get $answer))))
    (call $pack (global.get $output) (local.get $end)))

  (func $align (param $n i32) (result i32)
    (i32.and (i32.add (local.get $n) (i32.const 7)) (i32.const -8)))

  (func $pack (param $ptr i32) (param $end i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
      (i64.extend_i32_u (i32.sub (local.get $end) (local.get $ptr)))))

  ;; A misdeed is called with the item's echo in the output frame and with its
  ;; end, and returns the end of what it makes of it.

  (func $echo (param $item i32) (param $end i32) (result i32)
    (local.get $end))

  ;; Traps and exits.

  (func $trap (param $item i32) (param $end i32) (result i32)
    (unreachable))
  (func $oob (param $item i32) (param $end i32) (result i32)
    (i32.load offset=0xffffffff (local.get $item)))
  (func $divide (param $item i32) (param $end i32) (result i32)
    (i32.div_u (local.get $item) (i32.const 0)))
  (func $indirect (param $item i32) (param $end i32) (result i32)
    (call_indirect (type $misdeed) (local.get $item) (local.get $end) (i32.const 1000)))
  (func $wrongtype (param $item i32) (param $end i32) (result i32)
    (call_indirect (i32.const 0))
    (local.get $end))
  (func $exit (param $item i32) (param $end i32) (result i32)
    (call $proc_exit (i32.const 3)) (local.get $end))
  (func $exitzero (param $item i32) (param $end i32) (result i32)
    (call $proc_exit (i32.const 0)) (local.get $end))

  ;; Time and memory.

  (func $spin (param $item i32) (param $end i32) (result i32)
    (loop $forever (br $forever)) (unreachable))
  ;; A bulk instruction does much in one turn of a loop.
  (func $fill (param $item i32) (param $end i32) (result i32)
    (loop $forever
      (memory.fill (global.get $output) (i32.const 1) (global.get $output_room))
      (br $forever))
    (unreachable))
  (func $recurse (param $item i32) (param $end i32) (result i32)
    (i32.add (call $recurse (local.get $item) (local.get $end)) (i32.const 1)))
  (func $grow (param $item i32) (param $end i32) (result i32)
    (loop $more
      (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1))))
    (unreachable))
  (func $growok (param $item i32) (param $end i32) (result i32)
    (drop (memory.grow (i32.const 16)))
    (local.get $end))

  ;; Answers that are not in memory, or no frame.

  (func $wildptr (param $item i32) (param $end i32) (result i32)
    (global.set $answer (i64.const 0xf0000000_00000018))
    (local.get $end))
  (func $wraplen (param $item i32) (param $end i32) (result i32)
    (global.set $answer (i64.const 0xffffff00_00000200))
    (local.get $end))
  (func $nothing (param $item i32) (param $end i32) (result i32)
    (global.set $answer (i64.const 0x00000008_00000000))
    (local.get $end))
  (func $shortframe (param $item i32) (param $end i32) (result i32)
    (global.set $answer (i64.const 0x00050000_00000004))
    (local.get $end))

  ;; Frames that lie.

  (func $badmagic (param $item i32) (param $end i32) (result i32)
    (i32.store (global.get $output) (i32.const 0x31494852))             ;; "RHI1"
    (local.get $end))
  (func $hugecount (param $item i32) (param $end i32) (result i32)
    (i32.store offset=4 (global.get $output) (i32.const -1))
    (local.get $end))
  (func $fewer (param $item i32) (param $end i32) (result i32)
    (call $count (i32.const -1))
    (local.get $item))
  (func $more (param $item i32) (param $end i32) (result i32)
    (local $size i32)
    (call $count (i32.const 1))
    (local.set $size (i32.sub (local.get $end) (local.get $item)))
    (memory.copy (local.get $end) (local.get $item) (local.get $size))
    (i32.add (local.get $end) (local.get $size)))
  (func $count (param $by i32)
    (i32.store offset=4 (global.get $output)
      (i32.add (i32.load offset=4 (global.get $output)) (local.get $by))))
  (func $trailing (param $item i32) (param $end i32) (result i32)
    (i64.store (local.get $end) (i64.const -1))
    (i32.add (local.get $end) (i32.const 8)))

  ;; Items that lie.

  (func $badstatus (param $item i32) (param $end i32) (result i32)
    (i32.store (local.get $item) (i32.const 7))
    (local.get $end))
  (func $reserved (param $item i32) (param $end i32) (result i32)
    (i32.store offset=12 (local.get $item) (i32.const 1))
    (local.get $end))
  (func $hugelen (param $item i32) (param $end i32) (result i32)
    (i32.store offset=4 (local.get $item) (i32.const -1))
    (local.get $end))
  (func $badutf8 (param $item i32) (param $end i32) (result i32)
    (call $message (local.get $item) (i32.const 0x10) (i32.const 3)))
  (func $escapes (param $item i32) (param $end i32) (result i32)
    (call $message (local.get $item) (i32.const 0x18) (i32.const 31)))
  (func $message (param $item i32) (param $text i32) (param $n i32) (result i32)
    (call $fail (local.get $item) (local.get $n))
    (memory.copy (i32.add (local.get $item) (i32.const 16)) (local.get $text) (local.get $n))
    (i32.add (i32.add (local.get $item) (i32.const 16)) (call $align (local.get $n))))
  (func $longmessage (param $item i32) (param $end i32) (result i32)
    (call $fail (local.get $item) (i32.const 0x100000))
    (memory.fill (i32.add (local.get $item) (i32.const 16)) (i32.const 0x78) (i32.const 0x100000))
    (i32.add (local.get $item) (i32.const 0x100010)))
  (func $fail (param $item i32) (param $n i32)
    (i32.store (local.get $item) (i32.const 2))
    (i32.store offset=4 (local.get $item) (local.get $n))
    (i32.store offset=8 (local.get $item) (i32.const 0)))
  (func $hugestate (param $item i32) (param $end i32) (result i32)
    (local $state i32)
    (local.set $state (i32.add (i32.add (local.get $item) (i32.const 16))
      (call $align (i32.load offset=4 (local.get $item)))))
    (i32.store offset=8 (local.get $item) (i32.const 1024))
    (memory.fill (local.get $state) (i32.const 0x73) (i32.const 1024))
    (i32.add (local.get $state) (i32.const 1024)))

  ;; Host functions.

  (func $log (param $item i32) (param $end i32) (result i32)
    (call $host_log (i32.const 0) (i32.const -16) (i32.const 0x100))
    (local.get $end))
  (func $loglevel (param $item i32) (param $end i32) (result i32)
    (call $host_log (i32.const 12345) (i32.const 0x18) (i32.const 31))
    (local.get $end))
  (func $logflood (param $item i32) (param $end i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 100000))
    (loop $next
      (call $host_log (i32.const 0) (i32.const 0x40) (i32.const 99))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $end))
  (func $write (param $item i32) (param $end i32) (result i32)
    (local $left i32)
    (local.set $left (i32.const 100000))
    (loop $next
      (drop (call $fd_write (i32.const 1) (i32.const 0xb0) (i32.const 1) (i32.const 0xc8)))
      (br_if $next (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))
    (local.get $end))
  ;; The iovec is wild, then the list of iovecs, then the place of the result.
  (func $writewild (param $item i32) (param $end i32) (result i32)
    (drop (call $fd_write (i32.const 1) (i32.const 0xc0) (i32.const 1) (i32.const 0xc8)))
    (drop (call $fd_write (i32.const 1) (i32.const 0xb0) (i32.const -1) (i32.const 0xc8)))
    (drop (call $fd_write (i32.const 1) (i32.const 0xb0) (i32.const 1) (i32.const -4)))
    (local.get $end))

  (data (i32.const 0x400)
    "{\"name\":\"hostile\",\"version\":\"1.0.0\",\"transforms\":["
    "{\"name\":\"hostile.echo\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.trap\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.oob\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.divide\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.indirect\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.wrongtype\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.exit\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.exitzero\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.spin\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.fill\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.recurse\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.grow\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.growok\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.wildptr\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.wraplen\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.nothing\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.shortframe\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.badmagic\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.hugecount\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.fewer\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.more\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.trailing\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.badstatus\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.reserved\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.hugelen\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.badutf8\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.escapes\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.longmessage\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.hugestate\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\",\"state_bytes\":8},"
    "{\"name\":\"hostile.log\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.loglevel\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.logflood\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.write\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},"
    "{\"name\":\"hostile.writewild\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}")
)

;; A program of WASI. The first letter of its first argument says what it does with its input.
(module
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $environ_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $fd_close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "sock_accept" (func $sock_accept (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))

  ;; At 0 an iovec, at 8 what was read or written, at 16 pointers and at 4096 strings; at 512 what a
  ;; task finds, at 600 the mark of one, and the buffer is the second page.
  (memory (export "memory") 2)
  (global $left (mut i32) (i32.const 0))
  (global $depth (mut i32) (i32.const 0))
  (data (i32.const 256) "no such thing\n")
  (data (i32.const 272) "the last words\n")

  (func $write (param $fd i32) (param $ptr i32) (param $len i32)
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.get $len)))
        (i32.store (i32.const 0) (local.get $ptr))
        (i32.store (i32.const 4) (local.get $len))
        (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
        (local.set $ptr (i32.add (local.get $ptr) (i32.load (i32.const 8))))
        (local.set $len (i32.sub (local.get $len) (i32.load (i32.const 8))))
        (br $more))))

  ;; read returns how many bytes are in the buffer.
  (func $read (param $room i32) (result i32)
    (i32.store (i32.const 0) (i32.const 0x10000))
    (i32.store (i32.const 4) (local.get $room))
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)) (then (unreachable)))
    (i32.load (i32.const 8)))

  (func $echo (param $room i32)
    (local $n i32)
    (block $done
      (loop $more
        (br_if $done (i32.eqz (local.tee $n (call $read (local.get $room)))))
        (call $write (i32.const 1) (i32.const 0x10000) (local.get $n))
        (br $more))))

  ;; leave writes a letter for each thing that it finds, and leaves all of them. It does so for each
  ;; byte of the input.
  (func $leave
    (block $done
      (loop $more
        (br_if $done (i32.eqz (call $read (i32.const 1))))
        (if (global.get $left) (then (i32.store8 (i32.const 512) (i32.const 0x67)) (call $write (i32.const 1) (i32.const 512) (i32.const 1))))
        (if (i32.load8_u (i32.const 600)) (then (i32.store8 (i32.const 512) (i32.const 0x6d)) (call $write (i32.const 1) (i32.const 512) (i32.const 1))))
        (if (i32.ne (memory.size) (i32.const 2))
          (then (i32.store8 (i32.const 512) (i32.const 0x73)) (call $write (i32.const 1) (i32.const 512) (i32.const 1)))
          (else
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const 2)) (then (unreachable)))
            (if (i32.load (i32.const 0x2fffc)) (then (i32.store8 (i32.const 512) (i32.const 0x7a)) (call $write (i32.const 1) (i32.const 512) (i32.const 1))))
            (i32.store (i32.const 0x2fffc) (i32.const 1))))
        (if (call $fd_close (i32.const 3)) (then (i32.store8 (i32.const 512) (i32.const 0x64)) (call $write (i32.const 1) (i32.const 512) (i32.const 1))))
        (global.set $left (i32.const 1))
        (i32.store8 (i32.const 600) (i32.const 1))
        (br $more))))

  (func $grow (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1))) (unreachable))

  ;; deep exits from the depth of 200 calls.
  (func $deep
    (global.set $depth (i32.add (global.get $depth) (i32.const 1)))
    (if (i32.lt_u (global.get $depth) (i32.const 200)) (then (call $deep)))
    (call $proc_exit (i32.const 0)))

  ;; strings writes strings as they lie in memory.
  (func $arguments
    (if (call $args_sizes_get (i32.const 8) (i32.const 12)) (then (unreachable)))
    (if (call $args_get (i32.const 16) (i32.const 4096)) (then (unreachable)))
    (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 12))))
  (func $environment
    (if (call $environ_sizes_get (i32.const 8) (i32.const 12)) (then (unreachable)))
    (if (call $environ_get (i32.const 16) (i32.const 4096)) (then (unreachable)))
    (call $write (i32.const 1) (i32.const 4096) (i32.load (i32.const 12))))

  ;; denied writes what opening a file and accepting a connection return.
  (func $denied
    (i32.store8 (i32.const 512) (call $path_open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 2) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 520)))
    (i32.store8 (i32.const 513) (call $sock_accept (i32.const 0) (i32.const 0) (i32.const 520)))
    (i32.store8 (i32.const 514) (call $fd_close (i32.const 1)))
    (call $write (i32.const 1) (i32.const 512) (i32.const 3)))

  ;; chance writes the time and 8 random bytes.
  (func $chance
    (if (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 512)) (then (unreachable)))
    (if (call $random_get (i32.const 520) (i32.const 8)) (then (unreachable)))
    (call $write (i32.const 1) (i32.const 512) (i32.const 16)))

  ;; much writes 64 KiB for each byte of the input.
  (func $much
    (block $done
      (loop $more
        (br_if $done (i32.eqz (call $read (i32.const 1))))
        (call $write (i32.const 1) (i32.const 0x10000) (i32.const 0x10000))
        (br $more))))

  (func $is (param $letter i32) (result i32)
    (i32.eq (i32.load8_u (i32.load (i32.const 20))) (local.get $letter)))

  (func (export "_start")
    (if (call $args_sizes_get (i32.const 8) (i32.const 12)) (then (unreachable)))
    (if (call $args_get (i32.const 16) (i32.const 4096)) (then (unreachable)))
    (if (i32.lt_u (i32.load (i32.const 8)) (i32.const 2)) (then (call $echo (i32.const 0x10000)) (return)))
    (if (call $is (i32.const 0x65)) (then (call $echo (i32.const 0x10000)) (return)))                            ;; echo
    (if (call $is (i32.const 0x70)) (then (call $echo (i32.const 7)) (return)))                                  ;; pieces
    (if (call $is (i32.const 0x6c)) (then (call $leave) (return)))                                               ;; leave
    (if (call $is (i32.const 0x74)) (then (unreachable)))                                                        ;; trap
    (if (call $is (i32.const 0x73)) (then (loop $forever (br $forever))))                                        ;; spin
    (if (call $is (i32.const 0x67)) (then (loop $again (call $grow) (br $again))))                               ;; grow
    (if (call $is (i32.const 0x64)) (then (call $deep)))                                                         ;; deep
    (if (call $is (i32.const 0x61)) (then (call $arguments) (return)))                                           ;; arguments
    (if (call $is (i32.const 0x76)) (then (call $environment) (return)))                                         ;; variables
    (if (call $is (i32.const 0x6e)) (then (call $denied) (return)))                                              ;; none
    (if (call $is (i32.const 0x63)) (then (call $chance) (return)))                                              ;; chance
    (if (call $is (i32.const 0x6d)) (then (call $much) (return)))                                                ;; much
    (if (call $is (i32.const 0x66)) (then                                                                        ;; fail
      (call $echo (i32.const 0x10000))
      (call $write (i32.const 2) (i32.const 256) (i32.const 14))
      (call $write (i32.const 2) (i32.const 272) (i32.const 15))
      (call $proc_exit (i32.const 3))))
    (call $proc_exit (i32.const 4))))                                                                            ;; quiet

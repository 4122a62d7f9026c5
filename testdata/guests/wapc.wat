;; A guest of waPC. The first letter of the operation says what it does; see the end of $call.
(module
  (import "wapc" "__guest_request" (func $request (param i32 i32)))
  (import "wapc" "__guest_response" (func $response (param i32 i32)))
  (import "wapc" "__guest_error" (func $error (param i32 i32)))
  (import "wapc" "__host_call" (func $host_call (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "wapc" "__host_response_len" (func $host_response_len (result i32)))
  (import "wapc" "__host_response" (func $host_response (param i32)))
  (import "wapc" "__host_error_len" (func $host_error_len (result i32)))
  (import "wapc" "__host_error" (func $host_error (param i32)))
  (import "wapc" "__console_log" (func $console_log (param i32 i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "env" "abort" (func $abort (param i32 i32 i32 i32)))
  ;; Page 0 has constants, the operation at 0x1000 and answers of the host at 0x2000; the payload is at 0x10000.
  (memory (export "memory") 18)
  (data (i32.const 0x10) "kv")                                            ;; the binding
  (data (i32.const 0x18) "store")                                         ;; the namespace
  (data (i32.const 0x20) "get")                                           ;; the operation
  (data (i32.const 0x28) "\ff\00x\1b")                                    ;; no UTF-8
  (data (i32.const 0x3c) "\08\00\00\00b\00a\00d\00!\00")                  ;; a string of AssemblyScript's, at 0x40
  (global $left (mut i32) (i32.const 0))
  (global $started (mut i32) (i32.const 0))
  (global $payload i32 (i32.const 0x10000))

  ;; Each multiplies, so that the letter that "i" answers with says which was called, and when.
  (func (export "_initialize") (global.set $started (i32.add (i32.mul (global.get $started) (i32.const 4)) (i32.const 1))))
  (func (export "_start") (global.set $started (i32.add (i32.mul (global.get $started) (i32.const 4)) (i32.const 2))))
  (func (export "wapc_init") (global.set $started (i32.add (i32.mul (global.get $started) (i32.const 4)) (i32.const 3))))

  (func (export "__guest_call") (param $operation_len i32) (param $len i32) (result i32)
    (local $op i32)
    (call $request (i32.const 0x1000) (global.get $payload))
    (local.set $op (i32.load8_u (i32.const 0x1000)))
    ;; echo
    (if (i32.eq (local.get $op) (i32.const 0x65)) (then
      (call $response (global.get $payload) (local.get $len)) (return (i32.const 1))))
    ;; fail: the payload is the error
    (if (i32.eq (local.get $op) (i32.const 0x66)) (then
      (call $error (global.get $payload) (local.get $len)) (return (i32.const 0))))
    ;; both: an error, an output and success
    (if (i32.eq (local.get $op) (i32.const 0x62)) (then
      (call $response (global.get $payload) (local.get $len))
      (call $error (global.get $payload) (local.get $len))
      (call $response (global.get $payload) (local.get $len)) (return (i32.const 1))))
    ;; quiet: an output and no success
    (if (i32.eq (local.get $op) (i32.const 0x71)) (then
      (call $response (global.get $payload) (local.get $len)) (return (i32.const 0))))
    ;; nothing: success and no output
    (if (i32.eq (local.get $op) (i32.const 0x6e)) (then (return (i32.const 1))))
    ;; again: two outputs, of which the last counts, and the memory is used again
    (if (i32.eq (local.get $op) (i32.const 0x61)) (then
      (call $response (i32.const 0x10) (i32.const 2))
      (call $response (global.get $payload) (local.get $len))
      (memory.fill (global.get $payload) (i32.const 0) (local.get $len)) (return (i32.const 1))))
    ;; init: what was called to initialise it
    (if (i32.eq (local.get $op) (i32.const 0x69)) (then
      (i32.store8 (i32.const 0x1000) (i32.add (i32.const 0x41) (global.get $started)))
      (call $response (i32.const 0x1000) (i32.const 1)) (return (i32.const 1))))
    ;; host: asks the host for kv/store/get with the payload
    (if (i32.eq (local.get $op) (i32.const 0x68)) (then
      (if (call $host_call (i32.const 0x10) (i32.const 2) (i32.const 0x18) (i32.const 5) (i32.const 0x20) (i32.const 3) (global.get $payload) (local.get $len))
        (then (call $host_response (i32.const 0x2000)) (call $response (i32.const 0x2000) (call $host_response_len)) (return (i32.const 1))))
      (call $host_error (i32.const 0x2000)) (call $error (i32.const 0x2000) (call $host_error_len)) (return (i32.const 0))))
    ;; name: asks the host with a binding that is too long
    (if (i32.eq (local.get $op) (i32.const 0x6d)) (then
      (drop (call $host_call (i32.const 0x10) (i32.const 257) (i32.const 0x18) (i32.const 5) (i32.const 0x20) (i32.const 3) (global.get $payload) (local.get $len)))
      (call $host_error (i32.const 0x2000)) (call $error (i32.const 0x2000) (call $host_error_len)) (return (i32.const 0))))
    ;; log
    (if (i32.eq (local.get $op) (i32.const 0x6c)) (then
      (call $console_log (global.get $payload) (local.get $len)) (return (i32.const 1))))
    ;; flood: logs for ever
    (if (i32.eq (local.get $op) (i32.const 0x6f)) (then
      (loop $on (call $console_log (global.get $payload) (local.get $len)) (br $on))))
    ;; keep: a letter for each place where an earlier task left something
    (if (i32.eq (local.get $op) (i32.const 0x6b)) (then (return (call $keep))))
    ;; wild: an output outside the memory; away: an error; into: a request; ask: a call of the host
    (if (i32.eq (local.get $op) (i32.const 0x77)) (then (call $response (i32.const -16) (i32.const 64))))
    (if (i32.eq (local.get $op) (i32.const 0x79)) (then (call $error (i32.const 0x10) (i32.const -1))))
    (if (i32.eq (local.get $op) (i32.const 0x72)) (then (call $request (i32.const 0x11fffe) (global.get $payload))))
    (if (i32.eq (local.get $op) (i32.const 0x63)) (then (call $console_log (i32.const 0x120000) (i32.const 1))))
    (if (i32.eq (local.get $op) (i32.const 0x76)) (then
      (drop (call $host_call (i32.const 0x10) (i32.const 2) (i32.const 0x18) (i32.const 5) (i32.const 0x20) (i32.const 3) (i32.const 0x11ffff) (i32.const 2)))))
    ;; huge: an output of a mebibyte
    (if (i32.eq (local.get $op) (i32.const 0x7a)) (then
      (call $response (i32.const 0) (i32.const 0x100000)) (return (i32.const 1))))
    ;; trap, exit, spin, panic, grow
    (if (i32.eq (local.get $op) (i32.const 0x74)) (then (unreachable)))
    (if (i32.eq (local.get $op) (i32.const 0x78)) (then (call $exit (i32.const 7))))
    (if (i32.eq (local.get $op) (i32.const 0x73)) (then (loop $on (br $on))))
    (if (i32.eq (local.get $op) (i32.const 0x70)) (then (call $abort (i32.const 0x40) (i32.const 2) (i32.const 3) (i32.const 4))))
    (if (i32.eq (local.get $op) (i32.const 0x67)) (then
      (loop $on (br_if $on (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)))
    ;; unknown
    (call $error (i32.const 0x28) (i32.const 4))
    (i32.const 0))

  ;; Letters: m the memory, g a global, h the host's answer to an earlier task.
  (func $keep (result i32)
    (local $n i32)
    (if (i32.load (i32.const 0x800)) (then (i32.store8 (i32.add (i32.const 0x900) (local.get $n)) (i32.const 0x6d)) (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (if (global.get $left) (then (i32.store8 (i32.add (i32.const 0x900) (local.get $n)) (i32.const 0x67)) (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (if (call $host_error_len) (then (i32.store8 (i32.add (i32.const 0x900) (local.get $n)) (i32.const 0x68)) (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (i32.store (i32.const 0x800) (i32.const 1))
    (global.set $left (i32.const 1))
    (drop (call $host_call (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
    (call $response (i32.const 0x900) (local.get $n))
    (i32.const 1)))

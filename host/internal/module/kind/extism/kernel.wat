;; The memory behind the offsets of Extism's guests: each instance is linked to one of these. heap.go
;; has the same layout for the host, which begins each task by writing the root anew.
;;
;; Nothing here loops, and nothing costs more than a call does, since libraries are not metered.
;;
;; Root, from 0:
;;   0 where the next new block begins (i32)
;;   4 the input's length (i32); the input is the first block, at 0x400
;;  16 the output's offset, 24 its length, 32 the error's offset (i64)
;;  64 the first free block of each of 128 classes (i32)
;; Blocks, from 0x3f8. A class has a size, of which there are four between two powers of two.
;;  -8 the length, or of a free block the next of its class (i32)
;;  -4 0x4c495645 ^ class if the block is used, 0x46524545 ^ class if it is free (i32)
;;   0 the data, at a multiple of 16
(module
  (import "resonhost:extism" "config_get" (func $config_get (param i64) (result i64)))
  (import "resonhost:extism" "var_get" (func $var_get (param i64) (result i64)))
  (import "resonhost:extism" "var_set" (func $var_set (param i64 i64)))
  (import "resonhost:extism" "http_request" (func $http_request (param i64 i64) (result i64)))
  (import "resonhost:extism" "http_status_code" (func $http_status_code (result i32)))
  (import "resonhost:extism" "http_headers" (func $http_headers (result i64)))
  (import "resonhost:extism" "log_trace" (func $log_trace (param i64)))
  (import "resonhost:extism" "log_debug" (func $log_debug (param i64)))
  (import "resonhost:extism" "log_info" (func $log_info (param i64)))
  (import "resonhost:extism" "log_warn" (func $log_warn (param i64)))
  (import "resonhost:extism" "log_error" (func $log_error (param i64)))
  (export "config_get" (func $config_get))
  (export "var_get" (func $var_get))
  (export "var_set" (func $var_set))
  (export "http_request" (func $http_request))
  (export "http_status_code" (func $http_status_code))
  (export "http_headers" (func $http_headers))
  (export "log_trace" (func $log_trace))
  (export "log_debug" (func $log_debug))
  (export "log_info" (func $log_info))
  (export "log_warn" (func $log_warn))
  (export "log_error" (func $log_error))
  (memory (export "memory") 16)

  ;; For the host: grows the memory, or traps.
  (func (export "input") (param $pages i32)
    (if (i32.eq (memory.grow (local.get $pages)) (i32.const -1)) (then (unreachable))))

  (func (export "alloc") (param $length i64) (result i64)
    (local $size i32) (local $class i32) (local $bit i32) (local $head i32) (local $data i32) (local $end i64)
    (if (i64.ge_u (i64.sub (local.get $length) (i64.const 1)) (i64.const 0x40000000)) (then (return (i64.const 0))))
    ;; The header and the data, less 1: of its highest bit and the two below that is the class.
    (local.set $size (i32.sub
      (i32.and (i32.add (i32.wrap_i64 (local.get $length)) (i32.const 23)) (i32.const -16))
      (i32.const 1)))
    (local.set $bit (i32.sub (i32.const 31) (i32.clz (local.get $size))))
    (local.set $class (i32.shr_u (local.get $size) (i32.sub (local.get $bit) (i32.const 2))))
    (local.set $size (i32.shl (i32.add (local.get $class) (i32.const 1)) (i32.sub (local.get $bit) (i32.const 2))))
    (local.set $class (i32.add (i32.shl (local.get $bit) (i32.const 2)) (i32.and (local.get $class) (i32.const 3))))
    (local.set $head (i32.shl (local.get $class) (i32.const 2)))
    (local.set $data (i32.load offset=64 (local.get $head)))
    (if (local.get $data)
      (then ;; of the free blocks
        (if (i32.ne (i32.load (i32.sub (local.get $data) (i32.const 4))) (i32.xor (i32.const 0x46524545) (local.get $class)))
          (then (unreachable)))
        (i32.store offset=64 (local.get $head) (i32.load (i32.sub (local.get $data) (i32.const 8)))))
      (else
        (local.set $data (i32.add (i32.load (i32.const 0)) (i32.const 8)))
        (local.set $end (i64.add (i64.load32_u (i32.const 0)) (i64.extend_i32_u (local.get $size))))
        (if (i64.gt_u (local.get $end) (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16))) (then
          (if (i32.eq (i32.const -1) (memory.grow (i32.sub
                (i32.wrap_i64 (i64.shr_u (i64.add (local.get $end) (i64.const 0xffff)) (i64.const 16)))
                (memory.size))))
            (then (return (i64.const 0))))))
        (i32.store (i32.const 0) (i32.wrap_i64 (local.get $end)))))
    (i32.store (i32.sub (local.get $data) (i32.const 8)) (i32.wrap_i64 (local.get $length)))
    (i32.store (i32.sub (local.get $data) (i32.const 4)) (i32.xor (i32.const 0x4c495645) (local.get $class)))
    (i64.extend_i32_u (local.get $data)))

  ;; The class of a block that is used; 128 or more if an offset is none's.
  (func $class (param $at i64) (result i32)
    (if (i64.ge_u (i64.sub (local.get $at) (i64.const 0x400))
                  (i64.sub (i64.shl (i64.extend_i32_u (memory.size)) (i64.const 16)) (i64.const 0x400)))
      (then (return (i32.const -1))))
    (if (i64.ne (i64.and (local.get $at) (i64.const 15)) (i64.const 0)) (then (return (i32.const -1))))
    (i32.xor (i32.load (i32.sub (i32.wrap_i64 (local.get $at)) (i32.const 4))) (i32.const 0x4c495645)))

  (func (export "free") (param $at i64)
    (local $class i32) (local $head i32) (local $data i32)
    (local.set $class (call $class (local.get $at)))
    (if (i32.ge_u (local.get $class) (i32.const 128)) (then (return)))
    ;; The host has yet to read these.
    (if (i64.eq (local.get $at) (i64.load (i32.const 16))) (then (return)))
    (if (i64.eq (local.get $at) (i64.load (i32.const 32))) (then (return)))
    (if (i64.eq (local.get $at) (i64.const 0x400)) (then (i32.store (i32.const 4) (i32.const 0)))) ;; the input
    (local.set $data (i32.wrap_i64 (local.get $at)))
    (local.set $head (i32.shl (local.get $class) (i32.const 2)))
    (i32.store (i32.sub (local.get $data) (i32.const 8)) (i32.load offset=64 (local.get $head)))
    (i32.store (i32.sub (local.get $data) (i32.const 4)) (i32.xor (i32.const 0x46524545) (local.get $class)))
    (i32.store offset=64 (local.get $head) (local.get $data)))

  (func $length (export "length") (export "length_unsafe") (param $at i64) (result i64)
    (if (i32.ge_u (call $class (local.get $at)) (i32.const 128)) (then (return (i64.const 0))))
    (i64.load32_u (i32.sub (i32.wrap_i64 (local.get $at)) (i32.const 8))))

  ;; An offset is taken modulo 2^32, as Extism's SDKs take it, and traps outside of the memory. Guests
  ;; copy 8 bytes a call, so nothing more is checked: who writes to the root, or to the header of a
  ;; block, has a memory of its own in disorder, of which the host believes nothing.
  (func (export "load_u8") (param $at i64) (result i32)
    (i32.load8_u (i32.wrap_i64 (local.get $at))))
  (func (export "load_u64") (param $at i64) (result i64)
    (i64.load (i32.wrap_i64 (local.get $at))))
  (func (export "store_u8") (param $at i64) (param $value i32)
    (i32.store8 (i32.wrap_i64 (local.get $at)) (local.get $value)))
  (func (export "store_u64") (param $at i64) (param $value i64)
    (i64.store (i32.wrap_i64 (local.get $at)) (local.get $value)))

  (func (export "input_length") (result i64) (i64.load32_u (i32.const 4)))
  (func (export "input_offset") (result i64)
    (select (i64.const 0x400) (i64.const 0) (i32.load (i32.const 4))))
  ;; Beyond the input there are zeros. A word that only begins in the input is loaded, as plugins do
  ;; that round up.
  (func (export "input_load_u8") (param $at i64) (result i32)
    (if (i64.ge_u (local.get $at) (i64.load32_u (i32.const 4))) (then (return (i32.const 0))))
    (i32.load8_u offset=0x400 (i32.wrap_i64 (local.get $at))))
  (func (export "input_load_u64") (param $at i64) (result i64)
    (if (i64.ge_u (local.get $at) (i64.load32_u (i32.const 4))) (then (return (i64.const 0))))
    (i64.load offset=0x400 (i32.wrap_i64 (local.get $at))))

  (func (export "output_set") (param $at i64) (param $length i64)
    (i64.store (i32.const 16) (local.get $at))
    (i64.store (i32.const 24) (local.get $length)))
  (func (export "output_offset") (result i64) (i64.load (i32.const 16)))
  (func (export "output_length") (result i64) (i64.load (i32.const 24)))
  (func (export "error_set") (param $at i64) (i64.store (i32.const 32) (local.get $at)))
  (func (export "error_get") (result i64) (i64.load (i32.const 32)))
  ;; All levels: the host leaves out what it does not log.
  (func (export "get_log_level") (result i32) (i32.const 0)))

;; A plugin of dprint, schema 4, that has text in upper case (of ASCII). The first letter of the path says what else it
;; does.
(module
  (import "dprint" "host_format" (func $host_format (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
  (import "dprint" "host_has_cancelled" (func $host_has_cancelled (result i32)))
  (import "dprint" "host_get_formatted_text" (func $host_get_formatted_text (result i32)))
  (import "dprint" "host_get_error_text" (func $host_get_error_text (result i32)))
  (import "dprint" "host_write_buffer" (func $host_write_buffer (param i32)))

  ;; What is shared lies at $shared. The first page has texts of the plugin's, and the second what is small;
  ;; the third and those behind it have what is shared.
  (memory (export "memory") 4)
  (global $shared (mut i32) (i32.const 0x20000))
  (global $length (mut i32) (i32.const 0))
  (global $letter (mut i32) (i32.const 0))
  (global $left (mut i32) (i32.const 0))
  (data (i32.const 0x100) "{\"name\":\"upper\",\"version\":\"1.2.3\",\"configKey\":\"upper\"}")
  (data (i32.const 0x200) "{\"fileExtensions\":[\"up\",\"UP\"],\"fileNames\":[]}")
  (data (i32.const 0x300) "[]")
  (data (i32.const 0x400) "[{\"propertyName\":\"loud\",\"message\":\"must not be that\"}]")
  (data (i32.const 0x500) "no text to shout")

  (func $share (param $ptr i32) (param $len i32) (result i32)
    (global.set $shared (local.get $ptr))
    (local.get $len))

  (func (export "dprint_plugin_version_4") (result i32) (i32.const 4))
  (func (export "clear_shared_bytes") (param $len i32) (result i32)
    (global.set $shared (i32.const 0x20000))
    (global.set $length (local.get $len))
    (if (i32.lt_u (i32.shl (memory.size) (i32.const 16)) (i32.add (global.get $shared) (local.get $len)))
      (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $len) (i32.const 16)))))))
    (global.get $shared))
  (func (export "get_shared_bytes_ptr") (result i32) (global.get $shared))

  ;; A configuration with a ! is wrong.
  (func (export "register_config") (param $id i32)
    (local $i i32)
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (global.get $length)))
        (if (i32.eq (i32.load8_u (i32.add (global.get $shared) (local.get $i))) (i32.const 0x21)) (then (i32.store8 (i32.const 0x10000) (i32.const 1))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next))))
  (func (export "release_config") (param $id i32))
  (func (export "get_config_diagnostics") (param $id i32) (result i32)
    (if (i32.load8_u (i32.const 0x10000)) (then (return (call $share (i32.const 0x400) (i32.const 54)))))
    (call $share (i32.const 0x300) (i32.const 2)))
  (func (export "get_config_file_matching") (param $id i32) (result i32) (call $share (i32.const 0x200) (i32.const 45)))
  (func (export "get_plugin_info") (result i32) (call $share (i32.const 0x100) (i32.const 54)))
  (func (export "set_override_config"))
  (func (export "set_file_path") (global.set $letter (i32.load8_u (global.get $shared))))

  ;; leave shares a letter for each thing that it finds, and leaves all of them.
  (func $leave (result i32)
    (local $n i32)
    (global.set $shared (i32.const 0x10100))
    (if (global.get $left) (then (i32.store8 (i32.const 0x10100) (i32.const 0x67)) (local.set $n (i32.const 1))))
    (if (i32.load8_u (i32.const 0x10001)) (then (i32.store8 (i32.add (i32.const 0x10100) (local.get $n)) (i32.const 0x6d)) (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (if (i32.ne (memory.size) (i32.const 4))
      (then (i32.store8 (i32.add (i32.const 0x10100) (local.get $n)) (i32.const 0x73)) (local.set $n (i32.add (local.get $n) (i32.const 1))))
      (else (drop (memory.grow (i32.const 1)))))
    (if (i32.load (i32.const 0x4fffc)) (then (i32.store8 (i32.add (i32.const 0x10100) (local.get $n)) (i32.const 0x7a)) (local.set $n (i32.add (local.get $n) (i32.const 1)))))
    (global.set $left (i32.const 1))
    (i32.store8 (i32.const 0x10001) (i32.const 1))
    (i32.store (i32.const 0x4fffc) (i32.const 1))
    (global.set $length (local.get $n))
    (i32.const 1))

  (func $is (param $letter i32) (result i32) (i32.eq (global.get $letter) (local.get $letter)))

  (func (export "format") (param $id i32) (result i32)
    (local $i i32) (local $c i32) (local $changed i32)
    (if (call $is (i32.const 0x65)) (then (return (i32.const 0))))                              ;; e: echoes
    (if (call $is (i32.const 0x6c)) (then (return (call $leave))))                              ;; l
    (if (call $is (i32.const 0x74)) (then (unreachable)))                                       ;; t: traps
    (if (call $is (i32.const 0x73)) (then (loop $forever (br $forever))))                       ;; s: spins
    (if (call $is (i32.const 0x67)) (then (loop $again (br_if $again (i32.ne (memory.grow (i32.const 1)) (i32.const -1))) (unreachable)))) ;; g: grows
    (if (call $is (i32.const 0x68)) (then                                                       ;; h: asks the host
      (return (i32.or (call $host_format (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
        (i32.or (call $host_has_cancelled) (i32.or (call $host_get_formatted_text) (call $host_get_error_text)))))))
    (if (call $is (i32.const 0x62)) (then (return (i32.const 7))))                              ;; b: breaks the schema
    (if (call $is (i32.const 0x77)) (then (global.set $shared (i32.const 0xfffffff0)) (global.set $length (i32.const 32)) (return (i32.const 1)))) ;; w: shares what it does not have
    (if (call $is (i32.const 0x6d)) (then (global.set $length (i32.const 0x7fffffff)) (return (i32.const 1))))                                     ;; m: much
    (if (i32.eqz (global.get $length)) (then (return (i32.const 2))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $i) (global.get $length)))
        (local.set $c (i32.load8_u (i32.add (global.get $shared) (local.get $i))))
        (if (i32.lt_u (i32.sub (local.get $c) (i32.const 0x61)) (i32.const 26))
          (then
            (i32.store8 (i32.add (global.get $shared) (local.get $i)) (i32.sub (local.get $c) (i32.const 32)))
            (local.set $changed (i32.const 1))))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br $next)))
    (local.get $changed))
  (func (export "get_formatted_text") (result i32) (global.get $length))
  (func (export "get_error_text") (result i32) (call $share (i32.const 0x500) (i32.const 16))))

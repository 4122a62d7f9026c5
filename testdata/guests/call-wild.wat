;; Calls functions of the host's with what is not in its memory, and takes results that there are not.
(module
  (import "resonhost" "call" (func $call (param i32 i32 i32 i32) (result i64)))
  (import "resonhost" "call_result" (func $result (param i32)))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x0000c000_0000021c))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param $transform i32) (param i32 i32) (result i64)
    (block $long (block $twice (block $result (block $arg (block $name
      (br_table $name $arg $result $twice $long (local.get $transform)))
      ;; name: it begins within memory and ends behind it
      (drop (call $call (i32.const 0xffff) (i32.const 2) (i32.const 0) (i32.const 0)))
      (unreachable))
      ;; arg: its length wraps round
      (drop (call $call (i32.const 0x100) (i32.const 4) (i32.const 16) (i32.const -1)))
      (unreachable))
      ;; result: there is no room for it
      (drop (call $call (i32.const 0x100) (i32.const 4) (i32.const 0x100) (i32.const 4)))
      (call $result (i32.const 0xfffe))
      (unreachable))
      ;; twice: the second time there is nothing, and before the first call neither
      (call $result (i32.const 0x300))
      (drop (call $call (i32.const 0x100) (i32.const 4) (i32.const 0x100) (i32.const 4)))
      (call $result (i32.const 0x218))
      (i32.store (i32.const 0x218) (i32.const 0x21212121))
      (call $result (i32.const 0x218))
      (return (i64.const 0x00000200_00000020)))
    ;; long: more than tasks may return
    (i64.store32 (i32.const 0x218) (i64.shr_u (call $call (i32.const 0x100) (i32.const 4) (i32.const 0) (i32.const 0x10000)) (i64.const 32)))
    (call $result (i32.const 0x4000))
    (return (i64.const 0x00000200_00000020)))
  (data (i32.const 0x100) "echo")
  ;; a frame of one result of 4 bytes
  (data (i32.const 0x200) "RHO1\01\00\00\00\00\00\00\00\04\00\00\00")
  (data (i32.const 0xc000)
    "{\"name\":\"call-wild\",\"version\":\"1.0.0\",\"transforms\":[{\"name\":\"call-wild.name\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},{\"name\":\"call-wild.arg\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},{\"name\":\"call-wild.result\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},{\"name\":\"call-wild.twice\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"},{\"name\":\"call-wild.long\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

;; _initialize exits, with code 0.
(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_00000091))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (unreachable))
  (func (export "_initialize") (call $proc_exit (i32.const 0)))
  (data (i32.const 0x400)
    "{\"name\":\"init-exit\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"init-exit\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}]}"))

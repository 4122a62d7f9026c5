;; Whatever the input, the answer is "wrong", which the self-test does not expect.
(module
  (memory (export "memory") 1)
  (func (export "resonhost_abi") (result i32) (i32.const 1))
  (func (export "resonhost_describe") (result i64) (i64.const 0x00000400_000000fc))
  (func (export "resonhost_alloc") (param i32) (result i32) (i32.const 0x8000))
  (func (export "resonhost_run") (param i32 i32 i32) (result i64) (i64.const 0x00000200_00000020))
  (data (i32.const 0x200) "RHO1\01\00\00\00" "\00\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00" "wrong\00\00\00")
  (data (i32.const 0x400)
    "{\"name\":\"selftest-fails\",\"version\":\"1.0.0\","
    "\"transforms\":[{\"name\":\"selftest-fails\",\"input\":\"application/octet-stream\",\"output\":\"application/octet-stream\"}],"
    "\"self_tests\":[{\"name\":\"greeting\",\"transform\":\"selftest-fails\",\"input\":\"hello\",\"output\":\"hello\"}]}"))

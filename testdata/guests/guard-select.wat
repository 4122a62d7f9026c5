;; Selects of floats with more values than registers: what clang -O2 makes of x < y ? a : b.
(module
  (type (;0;) (func (param f64) (result f64)))
  (type (;1;) (func))
  (type (;2;) (func (result i32)))
  (type (;3;) (func (result i64)))
  (type (;4;) (func (param i32) (result i32)))
  (type (;5;) (func (param i32 i32 i32) (result i64)))
  (func (;0;) (type 0) (param f64) (result f64)
    local.get 0
    f64.const 0x1.00068db8bac71p+0 (;=1.0001;)
    f64.mul
    f64.const 0x1.999999999999ap-4 (;=0.1;)
    f64.add)
  (func (;1;) (type 1)
    (local f64 f64 f64 f64 f64 f64 f64 f64 i64 i64 i64 i64)
    i32.const 49152
    f64.load
    drop
    i32.const 49160
    f64.load
    drop
    i32.const 49168
    f64.load
    drop
    i32.const 49176
    f64.load
    drop
    i32.const 49200
    f64.load
    drop
    i32.const 49208
    f64.load
    local.set 4
    i32.const 8
    i64.load
    local.set 11
    i32.const 24
    i64.load
    local.set 8
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.const 0x1p+0 (;=1;)
    f64.const -0x1.9p+6 (;=-100;)
    i32.const 49192
    f64.load
    local.tee 2
    f64.const 0x1.9p+6 (;=100;)
    f64.min
    local.get 2
    f64.const -0x1.9p+6 (;=-100;)
    f64.lt
    select
    local.tee 2
    local.get 2
    local.get 2
    f64.ne
    select
    local.tee 2
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 2
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    local.tee 3
    f64.const 0x1p+0 (;=1;)
    f64.const -0x1.9p+6 (;=-100;)
    i32.const 49184
    f64.load
    local.tee 0
    f64.const 0x1.9p+6 (;=100;)
    f64.min
    local.get 0
    f64.const -0x1.9p+6 (;=-100;)
    f64.lt
    select
    local.tee 0
    local.get 0
    local.get 0
    f64.ne
    select
    local.tee 0
    local.get 0
    local.get 3
    f64.gt
    select
    local.get 2
    i32.const 0
    i64.load
    local.tee 9
    f64.convert_i64_u
    f64.const 0x1.d83c94fb6d2acp-64 (;=1e-19;)
    f64.mul
    local.tee 1
    i32.const 16
    i64.load
    local.tee 10
    f64.convert_i64_u
    f64.const 0x1.d83c94fb6d2acp-64 (;=1e-19;)
    f64.mul
    local.tee 3
    f64.lt
    select
    local.tee 0
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 0
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.max
    local.tee 2
    call 0
    local.set 5
    i32.const 53248
    local.get 3
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.tee 0
    f64.store
    i32.const 53256
    f64.const -0x1.f4p+9 (;=-1000;)
    local.get 0
    call 0
    local.tee 6
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 6
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    local.tee 6
    f64.store
    i32.const 53264
    local.get 2
    f64.store
    i32.const 53272
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.const -0x1.ep+2 (;=-7.5;)
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.const -0x1.ep+2 (;=-7.5;)
    local.get 1
    local.get 5
    f64.add
    local.tee 1
    f64.const 0x1.ap+1 (;=3.25;)
    f64.min
    local.get 1
    f64.const -0x1.ep+2 (;=-7.5;)
    f64.lt
    select
    local.tee 1
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 1
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    local.tee 1
    local.get 11
    f64.convert_i64_u
    f64.const 0x1.d83c94fb6d2acp-64 (;=1e-19;)
    f64.mul
    local.tee 5
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.tee 7
    local.get 0
    local.get 7
    f64.gt
    select
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.max
    local.tee 7
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.const -0x1.1p+3 (;=-8.5;)
    f64.const 0x1p+0 (;=1;)
    f64.const -0x1.9p+6 (;=-100;)
    local.get 4
    f64.const 0x1.9p+6 (;=100;)
    f64.min
    local.get 4
    f64.const -0x1.9p+6 (;=-100;)
    f64.lt
    select
    local.tee 4
    local.get 4
    local.get 4
    f64.ne
    select
    local.tee 4
    local.get 0
    f64.sub
    local.get 2
    local.get 5
    f64.const -0x1.1p+3 (;=-8.5;)
    local.get 1
    f64.const 0x1.2p+1 (;=2.25;)
    f64.min
    local.get 1
    f64.const -0x1.1p+3 (;=-8.5;)
    f64.lt
    select
    f64.lt
    select
    local.tee 1
    f64.const 0x1.1p+2 (;=4.25;)
    f64.min
    local.get 1
    f64.const -0x1.1p+3 (;=-8.5;)
    f64.lt
    select
    local.tee 1
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 1
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    local.tee 1
    f64.add
    f64.const -0x1.f4p+9 (;=-1000;)
    local.get 4
    local.get 3
    f64.mul
    local.get 0
    f64.sub
    local.tee 3
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 3
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    local.tee 3
    local.get 10
    local.get 9
    local.get 8
    local.get 9
    i64.const 7
    i64.shr_u
    i64.xor
    i64.const 6364136223846793005
    i64.mul
    i64.add
    local.tee 8
    i64.const 7
    i64.shr_u
    i64.xor
    local.tee 10
    f64.convert_i64_u
    f64.const 0x1.d83c94fb6d2acp-64 (;=1e-19;)
    f64.mul
    local.get 2
    local.get 0
    local.get 3
    local.get 6
    f64.gt
    select
    f64.lt
    select
    local.tee 0
    f64.const 0x1.4p+0 (;=1.25;)
    f64.min
    local.get 0
    f64.const -0x1.ep+2 (;=-7.5;)
    f64.lt
    select
    local.tee 0
    f64.const 0x1.f4p+9 (;=1000;)
    f64.min
    local.get 0
    f64.const -0x1.f4p+9 (;=-1000;)
    f64.lt
    select
    f64.store
    i32.const 53280
    local.get 7
    f64.store
    i32.const 53288
    local.get 3
    f64.store
    i32.const 53296
    local.get 1
    f64.store
    i32.const 53304
    local.get 4
    f64.store
    i32.const 4096
    local.get 9
    i64.store
    i32.const 4104
    local.get 11
    i64.store
    i32.const 4112
    local.get 10
    i64.store
    i32.const 4120
    local.get 8
    i64.store)
  (func (;2;) (type 2) (result i32)
    i32.const 1)
  (func (;3;) (type 3) (result i64)
    i64.const 281474976710779)
  (func (;4;) (type 4) (param i32) (result i32)
    i32.const 131200
    i32.const 0
    local.get 0
    i32.const 65537
    i32.lt_u
    select)
  (func (;5;) (type 5) (param i32 i32 i32) (result i64)
    (local i64 i64 i64)
    i32.const 0
    local.set 0
    i32.const 0
    local.get 1
    i64.load8_u offset=17
    local.get 1
    i64.load8_u offset=16
    i64.const -7046029254386353131
    i64.mul
    i64.add
    i64.const 6364136223846793005
    i64.mul
    i64.const 1442695040888963407
    i64.add
    local.tee 3
    i64.store
    i32.const 8
    local.get 3
    i64.const 6364136223846793005
    i64.mul
    i64.const 1442695040888963407
    i64.add
    local.tee 3
    i64.store
    i32.const 16
    local.get 3
    i64.const 6364136223846793005
    i64.mul
    i64.const 1442695040888963407
    i64.add
    local.tee 3
    i64.store
    i32.const 24
    local.get 3
    i64.const 6364136223846793005
    i64.mul
    i64.const 1442695040888963407
    i64.add
    local.tee 3
    i64.store
    loop  ;; label = @1
      local.get 0
      i32.const 49152
      i32.add
      local.get 3
      i64.const 6364136223846793005
      i64.mul
      i64.const 1442695040888963407
      i64.add
      local.tee 3
      f64.convert_i64_s
      f64.const 0x1.bc16d674ec8p+60 (;=2e+18;)
      f64.div
      f64.store
      local.get 0
      i32.const 49160
      i32.add
      local.get 3
      i64.const 6364136223846793005
      i64.mul
      i64.const 1442695040888963407
      i64.add
      local.tee 3
      f64.convert_i64_s
      f64.const 0x1.bc16d674ec8p+60 (;=2e+18;)
      f64.div
      f64.store
      local.get 0
      i32.const 16
      i32.add
      local.tee 0
      i32.const 192
      i32.ne
      br_if 0 (;@1;)
    end
    call 1
    i32.const 196752
    i64.const 0
    i64.store
    i32.const 196744
    i64.const 1649267441664
    i64.store
    i32.const 196736
    i64.const 5122246738
    i64.store
    i32.const 196761
    local.set 1
    loop  ;; label = @1
      local.get 4
      i32.wrap_i64
      i32.const 3
      i32.shl
      i32.const 53248
      i32.add
      i64.load
      local.set 5
      i64.const 56
      local.set 3
      local.get 1
      local.set 0
      loop  ;; label = @2
        local.get 0
        local.get 5
        local.get 3
        i64.shr_u
        i32.wrap_i64
        i32.const 15
        i32.and
        i32.const 131180
        i32.add
        i32.load8_u
        i32.store8
        local.get 0
        i32.const 1
        i32.sub
        local.get 5
        local.get 3
        i64.const 4
        i64.add
        i64.shr_u
        i32.wrap_i64
        i32.const 15
        i32.and
        i32.const 131180
        i32.add
        i32.load8_u
        i32.store8
        local.get 0
        i32.const 2
        i32.add
        local.set 0
        local.get 3
        i64.const 8
        i64.sub
        local.tee 3
        i64.const -8
        i64.ne
        br_if 0 (;@2;)
      end
      local.get 1
      i32.const 16
      i32.add
      local.set 1
      local.get 4
      i64.const 1
      i64.add
      local.tee 4
      i64.const 24
      i64.ne
      br_if 0 (;@1;)
    end
    i64.const 844974685946264)
  (memory (;0;) 5)
  (export "memory" (memory 0))
  (export "f052" (func 1))
  (export "resonhost_abi" (func 2))
  (export "resonhost_describe" (func 3))
  (export "resonhost_alloc" (func 4))
  (export "resonhost_run" (func 5))
  (data (;0;) (i32.const 131072) "{\22name\22:\22cmov\22,\22version\22:\221.0.0\22,\22transforms\22:[{\22name\22:\22cmov\22,\22input\22:\22text/plain\22,\22output\22:\22text/plain\22}]}\000123456789abcdef")
  (data (i32.const 65536) "{\22name\22:\22guard-select\22,\22version\22:\221.0.0\22,\22transforms\22:[{\22name\22:\22guard-select\22,\22input\22:\22text/plain\22,\22output\22:\22text/plain\22}]}"))

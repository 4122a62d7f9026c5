package meter

// Instructions that mean something to the pass.
const (
	opUnreachable = 0x00
	opNop         = 0x01
	opBlock       = 0x02
	opLoop        = 0x03
	opIf          = 0x04
	opElse        = 0x05
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opBrTable     = 0x0e
	opReturn      = 0x0f
	opCall        = 0x10
	opCallIndir   = 0x11
	opDrop        = 0x1a
	opSelect      = 0x1b
	opSelectT     = 0x1c
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opGlobalGet   = 0x23
	opGlobalSet   = 0x24
	opTableGet    = 0x25
	opTableSet    = 0x26
	opFirstLoad   = 0x28
	opFirstStore  = 0x36
	opLastStore   = 0x3e
	opMemorySize  = 0x3f
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI64Const    = 0x42
	opF32Const    = 0x43
	opF64Const    = 0x44
	opI32Eqz      = 0x45
	opI32LtS      = 0x48
	opI32LtU      = 0x49
	opI32GtU      = 0x4b
	opI32LeU      = 0x4d
	opI64Eqz      = 0x50
	opI64Ne       = 0x52
	opI64LtS      = 0x53
	opI64GtU      = 0x56
	opI64GeU      = 0x5a
	opF64Ge       = 0x66
	opI32Add      = 0x6a
	opI32Sub      = 0x6b
	opI32And      = 0x71
	opI32Or       = 0x72
	opI64And      = 0x83
	opI64Or       = 0x84
	opF32CopySign = 0x98
	opF64CopySign = 0xa6
	opI64Add      = 0x7c
	opI64Sub      = 0x7d
	opI64Shl      = 0x86
	opI64ShrU     = 0x88
	opI32Wrap     = 0xa7
	opI64ExtendU  = 0xad
	opI32Eq       = 0x46
	opI64Eq       = 0x51
	opI32Mul      = 0x6c
	opI32DivS     = 0x6d
	opI32Shl      = 0x74
	opI64Mul      = 0x7e
	opI64DivS     = 0x7f
	opI32Clz      = 0x67
	opI32Ctz      = 0x68
	opI32RemS     = 0x6f
	opI32RemU     = 0x70
	opI64Clz      = 0x79
	opI64Ctz      = 0x7a
	opI64RemS     = 0x81
	opI64RemU     = 0x82

	opF32ConvertI64U = 0xb5
	opF64ConvertI64U = 0xba
	opI32OfF32       = 0xbc // reinterpret
	opI64OfF64       = 0xbd
	opF32OfI32       = 0xbe
	opF64OfI64       = 0xbf
	opLastPlain      = 0xc4
	opRefNull        = 0xd0
	opRefIsNull      = 0xd1
	opRefFunc        = 0xd2
	opBulk           = 0xfc
	opVector         = 0xfd

	bulkMemoryInit = 8
	bulkDataDrop   = 9
	bulkMemoryCopy = 10
	bulkMemoryFill = 11
	bulkTableInit  = 12
	bulkElemDrop   = 13
	bulkTableCopy  = 14
	bulkTableGrow  = 15
	bulkTableSize  = 16
	bulkTableFill  = 17

	noType = 0x40
)

// plain reports whether an instruction has nothing to it but itself.
func plain(op byte) bool {
	switch op {
	case opUnreachable, opNop, opDrop, opSelect:
		return true
	}
	return op > opF64Const && op <= opLastPlain
}

// slow reports whether an instruction is a division, a remainder or a root.
func slow(op byte) bool {
	switch {
	case op >= 0x6d && op <= 0x70, op >= 0x7f && op <= 0x82: // integers
		return true
	}
	return op == 0x91 || op == 0x95 || op == 0x9f || op == 0xa3
}

package module

import "github.com/resonhost/resonhost/host/internal/module/memory"

func MemStats(in *Instance) memory.Stats { return in.memory.Stats() }

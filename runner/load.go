package runner

import (
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/mem"
)

// SystemLoad returns the shares of processors and memory in use on this machine,
// from 0 to 1: processors since the previous call, memory now. What cannot be read
// counts as 0.
func SystemLoad() (processors, memory float64) {
	if percent, err := cpu.Percent(0, false); err == nil && len(percent) == 1 {
		processors = percent[0] / 100
	}
	if m, err := mem.VirtualMemory(); err == nil {
		memory = m.UsedPercent / 100
	}
	return processors, memory
}

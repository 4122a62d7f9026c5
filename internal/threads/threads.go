// Package threads says how the operating system schedules threads of processes.
package threads

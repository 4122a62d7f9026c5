// Package memory is the linear memory of a wazero instance, and the image that the
// instances of one plugin share and go back to after every task.
//
// An instance's [Memory] is given to wazero as its allocator. Once an instance is
// ready for tasks, an [Image] is made of its contents; this and every later memory
// is attached to it, and from then on [Memory.Reset] undoes in microseconds what a
// task wrote.
//
// On Linux a memory is a private mapping of the image's file. The system copies a
// page when the guest first writes it. Reset fills the copies from the image again
// and keeps them, as that costs a hundredth of having the system make new ones;
// those that tasks leave alone are given back. Which pages are copies it asks the
// system (/proc/self/pagemap), and again only once the process has had a page fault
// since, as without one there can be no more of them. Tasks that write the same
// pages over and over thus cost one copy of each and one system call.
//
// Elsewhere, and where the system refuses, memories are on the Go heap, and Reset
// compares all of them with the image.
package memory

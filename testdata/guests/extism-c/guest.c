/* A plugin of Extism's in C. It imports what the kit imports, without the kit and without libc. */
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name))) int32_t do_##name(void)

IMPORT(input_length) uint64_t input_length(void);
IMPORT(input_load_u8) uint32_t input_load_u8(uint64_t at);
IMPORT(input_load_u64) uint64_t input_load_u64(uint64_t at);
IMPORT(alloc) uint64_t host_alloc(uint64_t length);
IMPORT(free) void host_free(uint64_t at);
IMPORT(store_u8) void store_u8(uint64_t at, uint32_t value);
IMPORT(store_u64) void store_u64(uint64_t at, uint64_t value);
IMPORT(output_set) void output_set(uint64_t at, uint64_t length);
IMPORT(error_set) void error_set(uint64_t at);
IMPORT(var_get) uint64_t var_get(uint64_t name);
IMPORT(var_set) void var_set(uint64_t name, uint64_t value);

static uint64_t block(const char *bytes, size_t n) {
	uint64_t start = host_alloc(n);
	for (size_t i = 0; i < n; i++)
		store_u8(start + i, (uint8_t)bytes[i]);
	return start;
}

static void put(size_t n, const char *bytes) { output_set(block(bytes, n), n); }

EXPORT(echo) {
	uint64_t n = input_length(), at = 0, start = host_alloc(n);
	for (; n - at >= 8; at += 8)
		store_u64(start + at, input_load_u64(at));
	for (; at < n; at++)
		store_u8(start + at, input_load_u8(at));
	output_set(start, n);
	return 0;
}

EXPORT(count_vowels) {
	static const char vowels[] = "aeiouAEIOU";
	char digits[20];
	size_t first = sizeof digits;
	uint64_t n = input_length(), found = 0;
	for (uint64_t at = 0; at < n; at++)
		for (const char *v = vowels; *v != '\0'; v++)
			found += input_load_u8(at) == (uint8_t)*v;
	do
		digits[--first] = '0' + found % 10;
	while ((found /= 10) != 0);
	put(sizeof digits - first, digits + first);
	return 0;
}

static int before;

/* Answers with what it finds of a task before it, and leaves something. */
EXPORT(leave) {
	uint64_t name = block("left", 4);
	char found[2];
	size_t n = 0;
	if (before != 0)
		found[n++] = 'm';
	before++;
	if (var_get(name) != 0)
		found[n++] = 'v';
	var_set(name, block("x", 1));
	host_free(name);
	put(n, found);
	return 0;
}

EXPORT(fail) {
	error_set(block("out of luck", 11));
	return 1;
}

EXPORT(trap) { __builtin_trap(); }

EXPORT(spin) {
	for (volatile int n = 0;;)
		n = n + 1;
}

/* Takes memory behind offsets until there is none, and then its own. */
EXPORT(grow) {
	while (host_alloc(1 << 20) != 0)
		;
	while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1)
		;
	__builtin_trap();
}

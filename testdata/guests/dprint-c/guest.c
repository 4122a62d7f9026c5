/* A plugin of dprint, schema 3, in C, without dprint's library and libc. It has text in upper case (of ASCII).
   The first letter of the path says what else it does. */
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("dprint"), import_name(#name)))
#define EXPORT(name) __attribute__((export_name(#name)))

IMPORT(host_clear_bytes) void host_clear_bytes(uint32_t length);
IMPORT(host_read_buffer) void host_read_buffer(const void *at, uint32_t length);
IMPORT(host_write_buffer) void host_write_buffer(void *to, uint32_t offset, uint32_t length);
IMPORT(host_take_file_path) void host_take_file_path(void);
IMPORT(host_take_override_config) void host_take_override_config(void);
IMPORT(host_format) uint32_t host_format(void);
IMPORT(host_get_formatted_text) uint32_t host_get_formatted_text(void);
IMPORT(host_get_error_text) uint32_t host_get_error_text(void);

#ifndef SCHEMA
#define SCHEMA 3
#endif

enum { BUFFER = 1024, MOST = 1 << 20 };

static char buffer[BUFFER], shared[MOST], left[BUFFER];
static uint32_t length, kept, buffer_size = BUFFER;
static char letter;
static int wrong, wild;

static uint32_t share(const char *text) {
	for (length = 0; text[length] != '\0'; length++)
		shared[length] = text[length];
	return length;
}

EXPORT(get_plugin_schema_version) uint32_t version(void) { return SCHEMA; }
EXPORT(get_wasm_memory_buffer) char *memory_buffer(void) { return wild ? (char *)-16 : buffer; }
EXPORT(get_wasm_memory_buffer_size) uint32_t memory_buffer_size(void) { return buffer_size; }
EXPORT(clear_shared_bytes) void clear_shared(uint32_t capacity) {
	(void)capacity;
	length = 0;
}

EXPORT(add_to_shared_bytes_from_buffer) void add(uint32_t n) {
	if (n > BUFFER || n > MOST - length)
		__builtin_trap();
	for (uint32_t i = 0; i < n; i++)
		shared[length++] = buffer[i];
}

EXPORT(set_buffer_with_shared_bytes) void set_buffer(uint32_t at, uint32_t n) {
	if (n > BUFFER || at > length || n > length - at)
		__builtin_trap();
	for (uint32_t i = 0; i < n; i++)
		buffer[i] = shared[at + i];
}

EXPORT(set_global_config) void set_global(void) {
	if (length != 2 || shared[0] != '{' || shared[1] != '}')
		__builtin_trap();
}

/* A configuration with a ! is wrong. */
EXPORT(set_plugin_config) void set_plugin(void) {
	for (uint32_t i = 0; i < length; i++)
		wrong |= shared[i] == '!';
}

EXPORT(get_config_diagnostics) uint32_t diagnostics(void) {
	return share(wrong ? "[{\"propertyName\":\"loud\",\"message\":\"must not be that\"}]" : "[]");
}

EXPORT(get_plugin_info) uint32_t info(void) {
	return share("{\"name\":\"upper\",\"version\":\"1.2.3\",\"configKey\":\"upper\",\"fileExtensions\":[\"up\"],\"fileNames\":[]}");
}

EXPORT(set_file_path) void set_path(void) { letter = length > 0 ? shared[0] : '\0'; }

/* Asks the host to format, which has no change. */
static uint32_t ask(void) {
	host_clear_bytes(1);
	host_read_buffer(buffer, 1);
	host_take_file_path();
	host_take_override_config();
	uint32_t outcome = host_format() | host_get_formatted_text() | host_get_error_text();
	host_write_buffer(buffer, 0, 1);
	return outcome;
}

/* Shares what it finds of tasks before it, and leaves something. */
static uint32_t leave(void) {
	uint32_t found = kept;
	for (uint32_t i = 0; i < length && kept < BUFFER; i++)
		left[kept++] = shared[i];
	for (length = 0; length < found; length++)
		shared[length] = left[length];
	return 1;
}

static uint32_t shout(void) {
	uint32_t changed = 0;
	for (uint32_t i = 0; i < length; i++)
		if (shared[i] >= 'a' && shared[i] <= 'z') {
			shared[i] -= 'a' - 'A';
			changed = 1;
		}
	return length == 0 ? 2 : changed;
}

EXPORT(format) uint32_t format(void) {
	switch (letter) {
	case 'e': /* echoes */
		return 0;
	case 'l':
		return leave();
	case 't': /* traps */
		__builtin_trap();
	case 's': /* spins */
		for (volatile int n = 0;;)
			n = n + 1;
	case 'g': /* grows */
		while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1)
			;
		__builtin_trap();
	case 'h':
		return ask();
	case 'b': /* breaks the schema */
		return 7;
	case 'n': /* has a narrow buffer */
		buffer_size = 1;
		return shout();
	case 'w': /* has a buffer that is none */
		wild = 1;
		return shout();
	case 'm': /* much */
		length = 0x7fffffff;
		return 1;
	}
	return shout();
}

EXPORT(get_formatted_text) uint32_t formatted(void) { return length; }
EXPORT(get_error_text) uint32_t error(void) { return share("no text to shout"); }

/* A guest of waPC in C. It imports what kits import, without a kit and without libc. */
#include <stddef.h>
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("wapc"), import_name(#name)))

IMPORT(__guest_request) void guest_request(char *operation, char *payload);
IMPORT(__guest_response) void guest_response(const char *bytes, size_t length);
IMPORT(__guest_error) void guest_error(const char *message, size_t length);
IMPORT(__host_call) int32_t host_call(const char *binding, size_t binding_length, const char *space, size_t space_length,
	const char *operation, size_t operation_length, const char *payload, size_t length);
IMPORT(__host_response_len) size_t host_response_len(void);
IMPORT(__host_response) void host_response(char *into);
IMPORT(__host_error_len) size_t host_error_len(void);
IMPORT(__host_error) void host_error(char *into);
IMPORT(__console_log) void console_log(const char *bytes, size_t length);

static char operation[256], payload[1 << 17], left[1 << 10], answer[1 << 10];
static size_t kept;

static int is(const char *name, size_t length) {
	size_t i = 0;
	while (i < length && name[i] == operation[i])
		i++;
	return i == length && name[i] == '\0';
}

static int32_t respond(const char *bytes, size_t length) {
	guest_response(bytes, length);
	return 1;
}

static int32_t fail(const char *message, size_t length) {
	guest_error(message, length);
	return 0;
}

/* Calls the host's function kv/store/get. */
static int32_t host(size_t length) {
	if (host_call("kv", 2, "store", 5, "get", 3, payload, length)) {
		size_t n = host_response_len();
		host_response(n <= sizeof answer ? answer : (char *)-1);
		return respond(answer, n);
	}
	size_t n = host_error_len();
	host_error(n <= sizeof answer ? answer : (char *)-1);
	return fail(answer, n);
}

/* Answers with what it finds of tasks before it, and leaves something. */
static int32_t keep(size_t length) {
	int32_t result = respond(left, kept);
	for (size_t i = 0; i < length && kept < sizeof left; i++)
		left[kept++] = payload[i];
	return result;
}

__attribute__((export_name("__guest_call")))
int32_t guest_call(size_t operation_length, size_t length) {
	if (operation_length > sizeof operation || length > sizeof payload)
		return fail("too long", 8);
	guest_request(operation, payload);
	if (is("echo", operation_length))
		return respond(payload, length);
	if (is("keep", operation_length))
		return keep(length);
	if (is("host", operation_length))
		return host(length);
	if (is("log", operation_length)) {
		console_log(payload, length);
		return respond(NULL, 0);
	}
	if (is("spin", operation_length))
		for (volatile int n = 0;;)
			n = n + 1;
	if (is("grow", operation_length))
		while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1)
			;
	if (is("grow", operation_length) || is("trap", operation_length))
		__builtin_trap();
	return fail("there is no such operation", 26);
}

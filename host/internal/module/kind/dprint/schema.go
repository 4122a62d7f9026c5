package dprint

import (
	"context"
	"slices"

	"github.com/tetratelabs/wazero/api"

	"github.com/resonhost/resonhost/host/internal/module/contract"
	"github.com/resonhost/resonhost/host/internal/module/meter"
)

// schema is a version of the schema: what it has otherwise than others.
type schema struct {
	number uint32
	// version is the export that shows it, and returns its number.
	version string
	// exports are the functions that a plugin must export, and imports those that it may import.
	exports, imports []meter.Link
	// matching is the export that says for which files the plugin is.
	matching string
	// configure gives the plugin its configuration.
	configure func(ctx context.Context, g *guest, config []byte) error
	// send has the plugin take bytes as what its next call is about.
	send func(ctx context.Context, g *guest, b []byte) error
	// receive returns the n bytes that the plugin has shared, until the plugin is called again.
	receive func(ctx context.Context, g *guest, export string, n uint32) ([]byte, error)
}

// schemas are those that the host knows, the newest first.
var schemas = []*schema{&schema4, &schema3}

// function is one of so many parameters.
func function(name string, params int, results ...api.ValueType) meter.Link {
	return meter.Link{Kind: meter.KindFunction, Name: name, Params: slices.Repeat([]api.ValueType{i32}, params), Results: results, Typed: true}
}

// schema4 shares memory of the plugin's, as large as what is shared.
var schema4 = schema{
	number: 4, version: "dprint_plugin_version_4", matching: "get_config_file_matching",
	exports: []meter.Link{
		function("dprint_plugin_version_4", 0, i32),
		function("clear_shared_bytes", 1, i32),
		function("get_shared_bytes_ptr", 0, i32),
		function("register_config", 1),
		function("get_config_diagnostics", 1, i32),
		function("get_config_file_matching", 1, i32),
		function("get_plugin_info", 0, i32),
		function("set_file_path", 0),
		function(exportFormat, 1, i32),
		function("get_formatted_text", 0, i32),
		function("get_error_text", 0, i32),
	},
	imports: []meter.Link{
		function("host_format", 8, i32),
		function("host_get_formatted_text", 0, i32),
		function("host_get_error_text", 0, i32),
		function("host_has_cancelled", 0, i32),
		function("host_write_buffer", 1),
	},
	configure: func(ctx context.Context, g *guest, config []byte) error {
		if err := g.send(ctx, append(append([]byte(`{"global":{},"plugin":`), config...), '}')); err != nil {
			return err
		}
		_, err := g.do(ctx, "register_config", configID)
		return err
	},
	send: func(ctx context.Context, g *guest, b []byte) error {
		ptr, err := g.do(ctx, "clear_shared_bytes", uint32(len(b)))
		if err != nil {
			return err
		}
		if !g.in.Memory().Write(ptr, b) {
			return contract.Broken("clear_shared_bytes returned %d for %d bytes, of a memory of %d", ptr, len(b), g.in.Memory().Size())
		}
		return nil
	},
	receive: func(ctx context.Context, g *guest, export string, n uint32) ([]byte, error) {
		ptr, err := g.do(ctx, "get_shared_bytes_ptr")
		if err != nil {
			return nil, err
		}
		b, ok := g.in.Memory().Read(ptr, n)
		if !ok {
			return nil, contract.Broken("%s shared bytes %d to %d of a memory of %d", export, ptr, uint64(ptr)+uint64(n), g.in.Memory().Size())
		}
		return b, nil
	},
}

// schema3 moves what is shared through a buffer of the plugin's, piece by piece.
var schema3 = schema{
	number: 3, version: "get_plugin_schema_version", matching: "get_plugin_info",
	exports: []meter.Link{
		function("get_plugin_schema_version", 0, i32),
		function("get_wasm_memory_buffer", 0, i32),
		function("get_wasm_memory_buffer_size", 0, i32),
		function("clear_shared_bytes", 1),
		function("add_to_shared_bytes_from_buffer", 1),
		function("set_buffer_with_shared_bytes", 2),
		function("set_global_config", 0),
		function("set_plugin_config", 0),
		function("get_config_diagnostics", 0, i32),
		function("get_plugin_info", 0, i32),
		function("set_file_path", 0),
		function(exportFormat, 0, i32),
		function("get_formatted_text", 0, i32),
		function("get_error_text", 0, i32),
	},
	imports: []meter.Link{
		function("host_clear_bytes", 1),
		function("host_read_buffer", 2),
		function("host_write_buffer", 3),
		function("host_take_file_path", 0),
		function("host_take_override_config", 0),
		function("host_format", 0, i32),
		function("host_get_formatted_text", 0, i32),
		function("host_get_error_text", 0, i32),
	},
	configure: func(ctx context.Context, g *guest, config []byte) error {
		for _, c := range []struct {
			export string
			doc    []byte
		}{{"set_global_config", []byte("{}")}, {"set_plugin_config", config}} {
			if err := g.send(ctx, c.doc); err != nil {
				return err
			}
			if _, err := g.do(ctx, c.export); err != nil {
				return err
			}
		}
		return nil
	},
	send: func(ctx context.Context, g *guest, b []byte) error {
		if _, err := g.do(ctx, "clear_shared_bytes", uint32(len(b))); err != nil {
			return err
		}
		return g.pieces(ctx, uint32(len(b)), func(at, n uint32) error {
			buffer, err := g.buffer(n)
			if err == nil {
				copy(buffer, b[at:at+n])
				_, err = g.do(ctx, "add_to_shared_bytes_from_buffer", n)
			}
			return err
		})
	},
	receive: func(ctx context.Context, g *guest, _ string, n uint32) ([]byte, error) {
		b := make([]byte, n)
		return b, g.pieces(ctx, n, func(at, n uint32) error {
			if _, err := g.do(ctx, "set_buffer_with_shared_bytes", at, n); err != nil {
				return err
			}
			buffer, err := g.buffer(n)
			copy(b[at:], buffer)
			return err
		})
	},
}

// minBuffer is the smallest buffer of a plugin, in bytes, so that what is shared takes few calls. Those
// of dprint's own library have 4 KiB.
const minBuffer = 512

// pieces calls do for each piece of n bytes that fits into the plugin's buffer.
func (g *guest) pieces(ctx context.Context, n uint32, do func(at, n uint32) error) error {
	size, err := g.do(ctx, "get_wasm_memory_buffer_size")
	if err != nil {
		return err
	}
	if size < minBuffer {
		return contract.Broken("get_wasm_memory_buffer_size returned %d, and must return %d or more", size, minBuffer)
	}
	if g.at, err = g.do(ctx, "get_wasm_memory_buffer"); err != nil {
		return err
	}
	for at := uint32(0); at < n; {
		piece := min(n-at, size)
		if err := do(at, piece); err != nil {
			return err
		}
		at += piece
	}
	return nil
}

// buffer returns n bytes of the plugin's buffer, until the plugin is called again.
func (g *guest) buffer(n uint32) ([]byte, error) {
	b, ok := g.in.Memory().Read(g.at, n)
	if !ok {
		return nil, contract.Broken("get_wasm_memory_buffer returned %d for %d bytes, of a memory of %d", g.at, n, g.in.Memory().Size())
	}
	return b, nil
}

package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// handshake is by what child and parent know each other.
var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "RESONHOST_BENCH_PLUGIN", MagicCookieValue: "cascade"}

const (
	pluginName  = "transforms"
	grpcService = "resonhost.bench.Transforms"
)

// grpcPlugin is a service with a method for each function, of bytes to bytes.
type grpcPlugin struct {
	plugin.NetRPCUnsupportedPlugin

	native *opened // in the child
}

var _ plugin.GRPCPlugin = (*grpcPlugin)(nil)

// GRPCServer implements [plugin.GRPCPlugin].
func (p *grpcPlugin) GRPCServer(_ *plugin.GRPCBroker, s *grpc.Server) error {
	desc := grpc.ServiceDesc{ServiceName: grpcService, HandlerType: (*any)(nil)}
	for function := range transforms {
		desc.Methods = append(desc.Methods, grpc.MethodDesc{MethodName: function, Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in wrapperspb.BytesValue
			if err := decode(&in); err != nil {
				return nil, err
			}
			out, err := p.native.run(ctx, task{function, in.GetValue()}, nil)
			return wrapperspb.Bytes(out), err
		}})
	}
	s.RegisterService(&desc, p)
	return nil
}

// GRPCClient implements [plugin.GRPCPlugin].
func (p *grpcPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, c *grpc.ClientConn) (any, error) {
	return c, nil
}

// servePlugin is the child. It returns when its parent tells it to.
func servePlugin(o options) {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{pluginName: &grpcPlugin{native: openNative(o)}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.NewNullLogger(),
	})
}

func openGoPlugin(o options) (*opened, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	workers := strconv.Itoa(o.workers)
	cmd := exec.Command(self, servePluginCommand, "-workers", workers) //nolint:gosec,noctx // this program, which Kill ends
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugin.PluginSet{pluginName: &grpcPlugin{}},
		Cmd:              cmd,
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.NewNullLogger(),
	})
	rpc, err := client.Client()
	if err != nil {
		client.Kill()
		return nil, err
	}
	raw, err := rpc.Dispense(pluginName)
	if err != nil {
		client.Kill()
		return nil, err
	}
	conn := raw.(*grpc.ClientConn)
	slots := newPool(maxOutstanding, func() struct{} { return struct{}{} })
	return &opened{
		run: func(ctx context.Context, t task, _ []byte) ([]byte, error) {
			slot, err := slots.get(ctx)
			if err != nil {
				return nil, err
			}
			defer slots.put(slot)
			var out wrapperspb.BytesValue
			err = conn.Invoke(ctx, "/"+grpcService+"/"+t.function, wrapperspb.Bytes(t.input), &out)
			return out.GetValue(), err
		},
		close: func(context.Context) error {
			client.Kill()
			return nil
		},
	}, nil
}

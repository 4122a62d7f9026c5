package resonance

import _ "embed"

// The JSON Schemas of what the codecs take and give, for documents. The codecs themselves look at none.
var (
	//go:embed schemas/cascade.state.json
	cascadeState string
	//go:embed schemas/cascade.result.json
	cascadeResult string
	//go:embed schemas/tick.nodes.json
	tickNodes string
	//go:embed schemas/tick.nodes-result.json
	tickNodesResult string
	//go:embed schemas/tick.network.json
	tickNetwork string
	//go:embed schemas/tick.network-result.json
	tickNetworkResult string
	//go:embed schemas/tick.connection.json
	tickConnection string
	//go:embed schemas/tick.connection-result.json
	tickConnectionResult string
)

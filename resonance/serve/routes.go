package serve

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/api"
	"github.com/resonhost/resonhost/host"
	"github.com/resonhost/resonhost/host/event"
	"github.com/resonhost/resonhost/internal/strictjson"
	"github.com/resonhost/resonhost/resonance/network"
	"github.com/resonhost/resonhost/resonance/tick"
	"github.com/resonhost/resonhost/server"
	"github.com/resonhost/resonhost/server/auth"
	"github.com/resonhost/resonhost/server/events"
)

const (
	mediaType = "application/json"
	// maxBody is the longest body, in bytes.
	maxBody = 64 << 10
	// limitField is how many nodes a list has, from 1 to maxList.
	limitField = "limit"
	maxList    = 10_000
	defLimit   = 1000
)

// kinds are those of a network's events.
var kinds = []event.Kind{
	event.KindNodeCreated, event.KindNodesProgressed, event.KindNodeChanged, event.KindConnectionEstablished,
	event.KindNetworkActivated, event.KindTickCompleted,
}

// request is one of a tenant's.
type request struct {
	*http.Request

	tenant string
	body   []byte // of a POST, whole
}

// handler does a request, and returns the status and the answer, nil for none.
type handler func(r *request) (status int, answer any, err error)

// Routes are the routes of a server that has the networks.
func (s *Service) Routes() []server.Route {
	const one, nodes = "/v1/networks/{network}", "/v1/networks/{network}/nodes"
	ofNetwork := []server.Parameter{{Name: "network", Description: "The network's ID."}}
	ofNode := slices.Concat(ofNetwork, []server.Parameter{{Name: "node", Description: "The node's ID."}})
	errs := []host.Kind{host.KindInvalidArgument, api.KindNotFound, host.KindUnavailable}
	members := membersOfTick()
	route := func(method, path, id, summary string, h handler, in []server.Parameter, request, response any) server.Route {
		r := server.Route{Method: method, Path: path, Scope: auth.ScopeCall, Handler: s.handle(h, 0), Doc: server.Operation{
			ID: id, Summary: summary, Path: in, Errors: errs, Members: members,
			Headers: []server.Parameter{{Name: server.HeaderTenant, Description: "Whose networks these are, where the server believes it."}},
		}}
		if method == http.MethodPost {
			r.Doc.Headers = append(r.Doc.Headers, server.KeyParameter())
		}
		if request != nil {
			r.Handler = s.handle(h, maxBody)
			r.Doc.Request = []server.Body{{MediaType: mediaType, Of: request}}
			r.Doc.Errors = slices.Concat(errs, []host.Kind{api.KindConflict, host.KindQueueFull, api.KindUnsupportedMediaType, host.KindTimeout, host.KindHost})
			r.Doc.Status = http.StatusCreated
		}
		if response != nil {
			r.Doc.Response = []server.Body{{MediaType: mediaType, Of: response}}
		} else {
			r.Doc.Status = http.StatusNoContent
		}
		return r
	}
	create := route(http.MethodPost, "/v1/networks", "createNetwork", "creates a network of nodes, which ticks", s.createNetwork, nil, NetworkRequest{}, Network{})
	add := route(http.MethodPost, nodes, "createNode", "creates a node", s.createNode, ofNetwork, NodeRequest{}, Node{})
	create.Doc.NoBody, add.Doc.NoBody = true, true // which stands for an empty object, see decode
	create.Doc.Sends = []server.Header{{Name: "Location", Description: "The path of what was created.", Always: true}}
	add.Doc.Sends = create.Doc.Sends
	list := route(http.MethodGet, nodes, "listNodes", "lists nodes of a network", s.listNodes, ofNetwork, nil, Nodes{})
	list.Query = []server.Parameter{{Name: limitField, Description: "How many nodes to list, at most 10000; default 1000.", Example: "100"}}
	act := route(http.MethodPost, nodes+"/{node}/{action}", "changeNode", "stops a node, or resumes it", s.act,
		slices.Concat(ofNode, []server.Parameter{{Name: "action", Description: "What is done.", Values: []string{"stop", "resume"}}}), nil, Node{})
	return []server.Route{
		create,
		route(http.MethodGet, "/v1/networks", "listNetworks", "lists the caller's networks", s.listNetworks, nil, nil, Networks{}),
		route(http.MethodGet, one, "getNetwork", "reads a network", s.getNetwork, ofNetwork, nil, Network{}),
		route(http.MethodDelete, one, "deleteNetwork", "deletes a network", s.deleteNetwork, ofNetwork, nil, nil),
		add,
		list,
		route(http.MethodGet, nodes+"/{node}", "getNode", "reads a node with its connections", s.getNode, ofNode, nil, Node{}),
		route(http.MethodDelete, nodes+"/{node}", "removeNode", "removes a node with its connections", s.removeNode, ofNode, nil, nil),
		act,
		route(http.MethodPost, one+"/connections", "connectNodes", "connects two nodes", s.connectNodes, ofNetwork, ConnectionRequest{}, network.Connection{}),
		s.eventRoute(one, ofNetwork, errs),
	}
}

// membersOfTick describe what guests link, where tags would weigh too much.
func membersOfTick() map[string]string {
	return map[string]string{
		"Network.metrics": "Measures of the whole network.", "Network.fields": "Fields by name.", "Network.patterns": "Patterns by name.",
		"Field.state": "Nothing changes a field that is paused.", "Field.field_strength": "How strong the field is.",
		"Field.total_resonances": "How many steps it has gone through.", "Field.average_strength": "Its strength in the mean.",
		"Field.peak_resonance": "Its largest strength so far.", "Field.field_coherence": "How coherent it is.",
		"Field.harmonic_stability": "How stable its harmonics are.",
		"Pattern.state":            "Nothing changes a pattern that is paused.", "Pattern.current_phase": "In degrees, from 0 to below 360.",
		"Pattern.harmonic_strength": "How strong the pattern is.", "Pattern.total_cycles": "How many steps it has gone through.",
		"Pattern.peak_harmonic": "Its largest strength so far.", "Pattern.consciousness_enhancement": "How much it enhances consciousness.",
		"Position.x": "Along the first axis.", "Position.y": "Along the second axis.", "Position.layer": "The layer of the spiral.",
		"Position.spiral_position": "The place on the spiral, from 0.", "Position.golden_ratio_factor": "The golden ratio to the power of the place within the layer.",

		"Metrics.networkCoherence": "How coherent the network is.", "Metrics.harmonicAlignment": "How well its harmonics are aligned.",
		"Metrics.frequencyStability": "How stable its frequencies are.", "Metrics.resonanceAmplification": "How much resonance is amplified.",
		"Metrics.synchronizationAccuracy": "How well nodes are synchronised.", "Metrics.fieldStrength": "How strong its fields are.",
		"Metrics.nodeConnectivity": "How well nodes are connected.", "Metrics.resonanceEvolution": "How far resonance has evolved.",
		"Metrics.harmonicConvergence": "How much harmonics converge.", "Metrics.consciousnessResonance": "How much consciousness resonates.",
		"Metrics.universalAlignment": "How well all is aligned.", "Metrics.transcendentHarmonics": "How far harmonics transcend.",
	}
}

func (s *Service) eventRoute(one string, ofNetwork []server.Parameter, errs []host.Kind) server.Route {
	var query []server.Parameter
	for _, p := range server.EventParameters() {
		if p.Name == events.ParameterKinds || p.Name == events.ParameterLast {
			query = append(query, p)
		}
	}
	return server.Route{
		Method: http.MethodGet, Path: one + "/events", Scope: auth.ScopeCall, Handler: s.stream, Query: query,
		Doc: server.Operation{
			ID: "streamNetwork", Summary: "streams what happens in a network as server-sent events", Path: ofNetwork,
			Headers:  []server.Parameter{{Name: events.HeaderLast, Description: "The ID of the event after which the stream goes on."}},
			Response: []server.Body{{MediaType: events.MediaType, Description: "Server-sent events, of which each has an Event as its data.", Item: api.Event{}}},
			Errors:   slices.Concat(errs, []host.Kind{host.KindQueueFull}),
		},
	}
}

// handle makes an [http.HandlerFunc] of a handler, whose bodies have that many bytes at most.
func (s *Service) handle(h handler, most int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		tenant, err := server.TenantOf(r)
		var body []byte
		if err == nil && r.Method == http.MethodPost {
			var ok bool
			release := func() {}
			if most > 0 {
				body, release, ok = server.ReadBody(w, r, most)
			} else {
				ok = server.HeedKey(w, r)
			}
			if !ok {
				return
			}
			defer release()
		}
		var status int
		var answer any
		if err == nil {
			status, answer, err = h(&request{r, tenant, body})
		}
		if err != nil {
			fail(w, r, err)
			return
		}
		if answer == nil {
			w.WriteHeader(status)
			return
		}
		if status == http.StatusCreated {
			switch a := answer.(type) {
			case Network:
				w.Header().Set("Location", "/v1/networks/"+a.ID)
			case Node:
				w.Header().Set("Location", r.URL.EscapedPath()+"/"+url.PathEscape(a.ID))
			}
		}
		server.WriteJSON(w, r, status, answer)
	}
}

// fail answers with an error.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	known := (*problem)(nil)
	switch {
	case errors.As(err, &known):
		if known.of.Kind == api.KindUnsupportedMediaType {
			w.Header().Set("Accept", mediaType)
		}
		server.WriteProblem(w, known.of)
	case errors.Is(err, network.ErrNotFound):
		server.WriteProblem(w, api.New(api.KindNotFound, err.Error()))
	case errors.Is(err, network.ErrExists), errors.Is(err, network.ErrFull):
		server.WriteProblem(w, api.New(api.KindConflict, err.Error()))
	case errors.Is(err, network.ErrClosed):
		server.WriteProblem(w, api.New(host.KindUnavailable, err.Error()))
	default:
		server.WriteError(w, r, err)
	}
}

// decode reads a body of JSON. An empty one stands for an empty object.
func decode(r *request, v any) error {
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); len(r.body) > 0 && !strings.EqualFold(strings.TrimSpace(kind), mediaType) {
		return &problem{api.New(api.KindUnsupportedMediaType, "the Content-Type must be "+mediaType)}
	}
	if len(r.body) == 0 {
		return nil
	}
	err := strictjson.Unmarshal(r.body, v)
	if field := (*abi.FieldError)(nil); err != nil && !errors.As(err, &field) {
		return &abi.FieldError{Field: "document", Rule: err.Error()}
	}
	return err
}

func (s *Service) wire(n *served, whole bool) Network {
	st := n.Stats()
	out := Network{
		ID: n.id, Created: n.created, Nodes: st.Nodes, Active: st.Active, MaxNodes: st.Capacity, Connections: st.Connections,
		MaxConnections: s.opts.MaxConnections, NowMS: st.NowMS, Ticks: st.Ticks, Coalesced: st.Coalesced, Failed: st.Failed,
	}
	if whole {
		state := n.State()
		out.State = &state
	}
	return out
}

func (s *Service) createNetwork(r *request) (int, any, error) {
	var in NetworkRequest
	if err := cmp.Or(admit(r.Request, network.TransformNode, network.TransformNetwork), decode(r, &in)); err != nil {
		return 0, nil, err
	}
	who := auth.Of(r.Context())
	if err := who.Take(1); err != nil {
		return 0, nil, err
	}
	n, err := s.create(who, r.tenant, &in)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, s.wire(n, true), nil
}

func (s *Service) listNetworks(r *request) (int, any, error) {
	answer := Networks{Networks: []Network{}}
	for _, n := range s.list(r.tenant) {
		answer.Networks = append(answer.Networks, s.wire(n, false))
	}
	return http.StatusOK, answer, nil
}

func (s *Service) getNetwork(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, s.wire(n, true), nil
}

func (s *Service) deleteNetwork(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	s.remove(r.Context(), key{r.tenant, n.id}, n)
	return http.StatusNoContent, nil, nil
}

func (s *Service) createNode(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	var in NodeRequest
	if err == nil {
		err = admit(r.Request, network.TransformNode)
	}
	if err == nil {
		err = decode(r, &in)
	}
	spec := network.NodeSpec{
		ID: in.ID, Frequency: in.Frequency, Strength: in.Strength, State: tick.NodeState(in.State), Patterns: in.Patterns,
	}
	if err == nil {
		err = parsePeriod(&spec.Period, "period", in.Period)
	}
	if err == nil {
		err = auth.Of(r.Context()).Take(1)
	}
	if err != nil {
		return 0, nil, err
	}
	id, err := n.CreateNode(spec)
	if err != nil {
		return 0, nil, err
	}
	return answerNode(n, id, http.StatusCreated)
}

// answerNode answers with a node and its connections.
func answerNode(n *served, id string, status int) (int, any, error) {
	node, err := n.Node(id)
	if err != nil {
		return 0, nil, err
	}
	out := wireNode(&node)
	if out.Connections, err = n.Connections(id); err != nil {
		return 0, nil, err
	}
	return status, out, nil
}

func (s *Service) listNodes(r *request) (int, any, error) {
	limit := defLimit
	if query := r.URL.Query(); query.Has(limitField) {
		var err error
		if limit, err = strconv.Atoi(query.Get(limitField)); err != nil || limit < 1 || limit > maxList {
			return 0, nil, &abi.FieldError{Field: limitField, Rule: fmt.Sprintf("must be 1 to %d", maxList)}
		}
	}
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	answer := Nodes{Nodes: []Node{}, Total: n.Len()}
	for node := range n.Nodes() {
		if len(answer.Nodes) == limit {
			break
		}
		answer.Nodes = append(answer.Nodes, wireNode(&node))
	}
	return http.StatusOK, answer, nil
}

func (s *Service) getNode(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	return answerNode(n, r.PathValue("node"), http.StatusOK)
}

func (s *Service) removeNode(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, n.RemoveNode(r.PathValue("node"))
}

// act is POST …/nodes/{node}/{action}.
func (s *Service) act(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	if err != nil {
		return 0, nil, err
	}
	id := r.PathValue("node")
	switch r.PathValue("action") {
	case "stop":
		err = n.StopNode(id)
	case "resume":
		if err = admit(r.Request, network.TransformNode); err == nil {
			err = n.ResumeNode(id)
		}
	default:
		return 0, nil, &problem{api.New(api.KindNotFound, "a node has the actions stop and resume")}
	}
	if err != nil {
		return 0, nil, err
	}
	return answerNode(n, id, http.StatusOK)
}

func (s *Service) connectNodes(r *request) (int, any, error) {
	n, err := s.find(r.Request, r.tenant)
	var in ConnectionRequest
	if err == nil {
		err = admit(r.Request, network.TransformConnection)
	}
	if err == nil {
		err = decode(r, &in)
	}
	switch {
	case err != nil:
	case in.A == "":
		err = &abi.FieldError{Field: "a", Rule: "is required: the ID of a node"}
	case in.B == "":
		err = &abi.FieldError{Field: "b", Rule: "is required: the ID of another node"}
	default:
		err = auth.Of(r.Context()).Take(1)
	}
	if err != nil {
		return 0, nil, err
	}
	c, err := s.connect(r.Context(), n, in.A, in.B)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, c, nil
}

// stream is GET …/events.
func (s *Service) stream(w http.ResponseWriter, r *http.Request) {
	tenant, err := server.TenantOf(r)
	var n *served
	if err == nil {
		n, err = s.find(r, tenant)
	}
	var q events.Query
	if err == nil {
		q, err = events.Parse(r, kinds...)
	}
	if err == nil {
		q.Owner = tenant
		q.Withdrawn = auth.Of(r.Context()).Done()
		err = n.feed.Serve(w, r, q)
	}
	if err != nil {
		fail(w, r, err)
	}
}

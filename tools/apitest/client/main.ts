// Calls every route of a service by a client that is generated of its document. Types are checked by
// tsc: an answer that the document does not have is an error of compilation.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const url = process.argv[2];
assert(url !== undefined, "usage: main.js URL");
const client = createClient<paths, "application/json" | "application/problem+json">({ baseUrl: url });
const texts = createClient<paths>({ baseUrl: url });

// given returns what an answer has, or fails by its problem.
function given<T>(answer: { data?: T; error?: components["schemas"]["Error"]; response: Response }): T {
  assert.equal(answer.error, undefined, JSON.stringify(answer.error));
  assert(answer.response.ok && answer.data !== undefined);
  return answer.data;
}

// Tasks by the transforms' own paths, whose JSON has types.
const cascade = given(await client.POST("/v1/transforms/cascade", { body: { phiValue: 1.5, detail: "summary" } }));
const quality: "transcendent" | "harmonious" | "resonant" | "emerging" | "discordant" = cascade.resonanceQuality;
assert(cascade.octaveAnalysis.length > 0 && quality.length > 0);

const stepped = given(await client.POST("/v1/transforms/tick.node", { body: { now_ms: 1, nodes: [{ id: "a" }] } }));
assert.equal(stepped.nodes[0]?.id, "a");
const advanced = given(await client.POST("/v1/transforms/tick.network", { body: { now_ms: 1, network: { patterns: { p: {} } } } }));
assert(advanced.network.patterns?.["p"] !== undefined);
const end = { frequency: 528 };
const rated = given(await client.POST("/v1/transforms/tick.connection", { body: { a: end, b: end } }));
assert(rated.connection_quality <= 1);

// And by the path of all.
const any = given(await client.POST("/v1/transforms/{name}", { params: { path: { name: "cascade" } }, body: {} as never }));
assert(any !== undefined);

// An error has its type, too.
const refused = await client.POST("/v1/transforms/cascade", { body: { phiValue: 1e13 } });
assert.equal(refused.error?.kind, "invalid_argument");
assert.equal(refused.error?.field, "phiValue");

// What there is.
const listed = given(await client.GET("/v1/transforms")).transforms;
assert.deepEqual(listed.map((t) => t.name), ["cascade", "tick.connection", "tick.network", "tick.node"]);
const plugins = given(await client.GET("/v1/plugins")).plugins;
assert.deepEqual(plugins.map((p) => p.name), ["cascade", "tick"]);
assert(given(await client.GET("/v1/stats")).workers > 0);
const fleet = await client.GET("/v1/fleet"); // of a host of none
assert.equal(fleet.error?.kind, "not_found");
const log = given(await client.GET("/v1/logs/{name}", { params: { path: { name: "cascade" }, query: { tail: "5" } } }));
assert.deepEqual([log.plugin, log.lines], ["cascade", []]);
const self = given(await client.GET("/v1/self"));
assert(self.anonymous && self.scopes.includes("admin"));
const doc = given(await client.GET("/v1/openapi.json")) as { openapi: string };
assert.equal(doc.openapi, "3.1.0");

// Jobs are done in the background.
const job = given(await client.POST("/v1/jobs", { body: { transform: "cascade", input: { phiValue: 1.5 } } }));
const params = { path: { id: job.id } };
const ended = given(await client.GET("/v1/jobs/{id}", { params: { ...params, header: { Prefer: "wait=60" } } }));
assert.equal(ended.state, "done");
assert(given(await client.GET("/v1/jobs")).jobs.some((j) => j.id === job.id));
assert.match(given(await texts.GET("/v1/jobs/{id}/results", { params, parseAs: "text" })), /resonanceQuality/);
given(await client.DELETE("/v1/jobs/{id}", { params: { ...params, query: { remove: "true" } } }));
assert.equal((await client.GET("/v1/jobs/{id}", { params })).error?.kind, "unknown_job");

// Plugins are changed.
for (const action of ["pause", "resume"] as const) {
  const changed = given(await client.POST("/v1/plugins/{name}/{action}", { params: { path: { name: "tick", action } } }));
  assert.equal(changed.plugin?.paused, action === "pause");
}
const fixed = await client.POST("/v1/plugins/{name}/{action}", {
  params: { path: { name: "tick", action: "rollback" }, query: { state_rule: "reset" } },
});
assert.equal(fixed.error?.kind, "conflict");

// Networks of nodes.
const network = given(await client.POST("/v1/networks", { body: { id: "n", node_period: "20ms" } }));
assert(network.max_nodes > 0);
const inNetwork = { path: { network: "n" } };
assert(given(await client.GET("/v1/networks")).networks.some((n) => n.id === "n"));
assert.equal(given(await client.GET("/v1/networks/{network}", { params: inNetwork })).id, "n");
for (const id of ["a", "b"]) {
  assert.equal(given(await client.POST("/v1/networks/{network}/nodes", { params: inNetwork, body: { id, frequency: 528 } })).id, id);
}
const joined = given(await client.POST("/v1/networks/{network}/connections", { params: inNetwork, body: { a: "a", b: "b" } }));
assert(joined.connection_quality <= 1);
assert.equal(given(await client.GET("/v1/networks/{network}/nodes", { params: { ...inNetwork, query: { limit: "1" } } })).total, 2);
const inNode = { path: { network: "n", node: "a" } };
const stopped = given(await client.POST("/v1/networks/{network}/nodes/{node}/{action}", { params: { path: { ...inNode.path, action: "stop" } } }));
assert.equal(stopped.state, "stopped");
assert.equal(given(await client.GET("/v1/networks/{network}/nodes/{node}", { params: inNode })).connections?.length, 1);
assert.equal((await client.DELETE("/v1/networks/{network}/nodes/{node}", { params: inNode })).response.status, 204);
const ticks = await texts.GET("/v1/networks/{network}/events", { params: { ...inNetwork, query: { kinds: "tick.completed" } }, parseAs: "stream" });
assert.equal(ticks.response.status, 200);
// Events have types by their kind.
type Event = components["schemas"]["Event"];
const lag = (e: Event): number => (e.type === "tick.completed.v1" ? e.data.lag_seconds : 0);
const text = ticks.data?.pipeThrough(new TextDecoderStream()).getReader();
for (let all = ""; !/^data: .*tick\.completed\.v1.*$/m.test(all); ) {
  const more = await text?.read();
  assert(more !== undefined && !more.done);
  all += more.value;
  for (const [, json] of all.matchAll(/^data: (.*)\n/gm)) {
    assert(lag(JSON.parse(json ?? "") as Event) >= 0);
  }
}
await text?.cancel();
assert.equal((await client.DELETE("/v1/networks/{network}", { params: inNetwork })).response.status, 204);

// The dashboard.
assert.match(given(await texts.GET("/ui/{file}", { params: { path: { file: "" } }, parseAs: "text" })), /<html/);
assert.equal((await texts.GET("/ui", { redirect: "manual" })).response.status, 308);

// Without a store there is nowhere to save to.
assert.equal((await client.POST("/v1/state/save")).error?.kind, "conflict");

// What is no JSON.
assert.equal(given(await texts.GET("/healthz", { parseAs: "text" })), "ok\n");
assert.equal(given(await texts.GET("/readyz", { parseAs: "text" })), "ready\n");
assert.match(given(await texts.GET("/metrics", { parseAs: "text" })), /^# HELP/);
assert.match(given(await texts.GET("/", { parseAs: "text" })), /^resonhost/);
assert.equal(given(await client.GET("/v1/logs/{name}", { params: { path: { name: "tick" } } })).source, "tick");
const events = await texts.GET("/v1/events", { parseAs: "stream", params: { query: { kinds: "task.completed" } } });
assert.equal(events.response.status, 200);
await events.data?.cancel();

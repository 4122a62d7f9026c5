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

// What is no JSON.
assert.equal(given(await texts.GET("/healthz", { parseAs: "text" })), "ok\n");
assert.equal(given(await texts.GET("/readyz", { parseAs: "text" })), "ready\n");
assert.match(given(await texts.GET("/metrics", { parseAs: "text" })), /^# HELP/);
assert.match(given(await texts.GET("/", { parseAs: "text" })), /^resonhost/);
const events = await texts.GET("/v1/events", { parseAs: "stream", params: { query: { kinds: "task.completed" } } });
assert.equal(events.response.status, 200);
await events.data?.cancel();

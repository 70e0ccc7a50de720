import assert from "node:assert/strict";
import {test} from "node:test";
import {billonce, pages, ProblemError} from "../dist/index.js";

const task = {id: "019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02", status: "pending"};

/** A client whose server answers what is given, in turn; sent collects the requests. */
function answering(...answers) {
  const sent = [];
  const client = billonce({
    baseUrl: "http://billonce.test",
    key: "bo_live_x",
    fetch: async (request) => {
      sent.push({method: request.method, url: request.url, headers: request.headers, redirect: request.redirect, body: await request.text()});
      const [status, body, headers] = answers.shift();
      return new Response(JSON.stringify(body), {status, headers: {"Content-Type": "application/json", ...headers}});
    },
  });
  return {client, sent};
}

test("a request has the key, the Idempotency-Key and the body", async () => {
  const {client, sent} = answering([201, task]);
  const body = {merchant_id: "019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01", kind: "invoice.pay", target: "in_1"};
  const {data} = await client.POST("/v1/tasks", {params: {header: {"Idempotency-Key": "order-1"}}, body});
  assert.equal(data.id, task.id);
  assert.equal(sent[0].method, "POST");
  assert.equal(sent[0].url, "http://billonce.test/v1/tasks");
  assert.equal(sent[0].headers.get("Authorization"), "Bearer bo_live_x");
  assert.equal(sent[0].headers.get("Idempotency-Key"), "order-1");
  assert.equal(sent[0].redirect, "error");
  assert.deepEqual(JSON.parse(sent[0].body), body);
});

test("a problem is thrown, with when to try again", async () => {
  const problem = {
    type: "urn:billonce:problem:unavailable", title: "Not now", status: 503, detail: "later", code: "unavailable", request_id: "r1",
  };
  const {client} = answering([503, problem, {"Content-Type": "application/problem+json", "Retry-After": "2"}]);
  await assert.rejects(client.GET("/v1/tasks"), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual(error.problem, problem);
    assert.equal(error.retryAfter, 2);
    return !error.message.includes("bo_live_x");
  });
});

test("an answer of somebody else is a problem as well", async () => {
  const {client} = answering([502, {}, {"Content-Type": "text/html"}]);
  await assert.rejects(client.GET("/v1/tasks"), (error) => error instanceof ProblemError && error.problem.status === 502);
});

test("pages follows the cursors", async () => {
  const {client, sent} = answering([200, {data: [1, 2], next_cursor: "c"}], [200, {data: [3], next_cursor: null}]);
  const seen = [];
  for await (const entry of pages((cursor) => client.GET("/v1/tasks", {params: {query: cursor ? {cursor} : {}}}))) seen.push(entry);
  assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(sent[1].url, "http://billonce.test/v1/tasks?cursor=c");
});

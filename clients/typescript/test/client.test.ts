import assert from "node:assert/strict";
import {test} from "node:test";
import {billonce, pages, ProblemError, type NewTask, type Options, type Problem, type Task} from "billonce-client";

const task: Task = {
  id: "019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02",
  merchant_id: "019a0c3e-5b70-7c41-9d2f-6a1e0f4b7a01",
  kind: "invoice.pay",
  target: "in_1",
  params: {},
  metadata: {},
  status: "pending",
  run_at: "2035-01-31T09:00:00Z",
  scheduled_for: "2035-01-31T09:00:00Z",
  attempt: 0,
  max_attempts: 100,
  idempotency_key: "task_019a0c3e-6c80-7d52-8e30-7b2f1a5c8b02",
  retry_of: null,
  first_sent_at: null,
  result: null,
  last_error: null,
  created_at: "2026-03-01T12:10:00Z",
  updated_at: "2026-03-01T12:10:00Z",
  finished_at: null,
  retried_by: null,
  intent: null,
  on_decline: null,
  declines: 0,
  waiting_since: null,
  look_at: null,
  resolution: null,
};

const problem: Problem = {
  type: "urn:billonce:problem:unavailable", title: "Not now", status: 503, detail: "later", code: "unavailable", request_id: "r1",
};

interface Answer {
  status: number;
  body: unknown; // a text is sent as it is
  headers?: Record<string, string>;
}

interface Sent {
  method: string;
  url: string;
  headers: Headers;
  redirect: string;
  body: string;
}

/** A client whose server answers what is given, in turn; sent collects the requests. */
function answering(answers: Answer[], options: Partial<Options> = {}) {
  const sent: Sent[] = [];
  const client = billonce({
    baseUrl: "http://billonce.test",
    key: "bo_live_x",
    fetch: async (request) => {
      sent.push({method: request.method, url: request.url, headers: request.headers, redirect: request.redirect, body: await request.text()});
      const {status, body, headers} = answers.shift()!;
      const text = typeof body === "string" ? body : JSON.stringify(body);
      return new Response(text, {status, headers: {"Content-Type": "application/json", ...headers}});
    },
    ...options,
  });
  return {client, sent};
}

const document = {"Content-Type": "application/problem+json"};

/** Whether an error says that an answer is somebody else's. */
function isForeign(status: number) {
  return (error: unknown) =>
    error instanceof ProblemError && error.problem.status === status && error.problem.title.includes("not from the billonce API");
}

test("a request has the key, the Idempotency-Key and the body", async () => {
  const {client, sent} = answering([{status: 201, body: task}]);
  const body: NewTask = {merchant_id: task.merchant_id, kind: "invoice.pay", target: "in_1"};
  const {data} = await client.POST("/v1/tasks", {params: {header: {"Idempotency-Key": "order-1"}}, body});
  assert.deepEqual(data, task);
  assert.equal(sent[0]?.method, "POST");
  assert.equal(sent[0]?.url, "http://billonce.test/v1/tasks");
  assert.equal(sent[0]?.headers.get("Authorization"), "Bearer bo_live_x");
  assert.equal(sent[0]?.headers.get("Idempotency-Key"), "order-1");
  assert.equal(sent[0]?.redirect, "error");
  assert.deepEqual(JSON.parse(sent[0]?.body ?? ""), body);
});

test("the key goes to its own server, and follows no redirect", async () => {
  const {client, sent} = answering([{status: 200, body: {data: [], next_cursor: null}}]);
  await client.GET("/v1/tasks", {redirect: "follow"});
  assert.equal(sent[0]?.redirect, "error");
  await assert.rejects(client.GET("/v1/tasks", {baseUrl: "http://canary.test"}), /nothing was sent/);
  assert.equal(sent.length, 1);
});

test("a problem is thrown, with when to try again", async () => {
  for (const type of ["application/problem+json", "application/problem+json; charset=utf-8", "Application/Problem+JSON"]) {
    const {client} = answering([{status: 503, body: problem, headers: {"Content-Type": type, "Retry-After": "2"}}]);
    await assert.rejects(client.GET("/v1/tasks"), (error) => {
      assert.ok(error instanceof ProblemError);
      assert.deepEqual(error.problem, problem);
      assert.equal(error.retryAfter, 2);
      return !error.message.includes("bo_live_x");
    });
  }
});

test("a service that is not ready says so", async () => {
  const {client} = answering([{status: 503, body: problem, headers: document}]);
  await assert.rejects(client.GET("/readyz"), (error) => error instanceof ProblemError && error.problem.code === "unavailable");
});

test("an answer of somebody else is a problem as well", async () => {
  const answers: Answer[] = [
    {status: 502, body: {}, headers: {"Content-Type": "text/html"}},
    {status: 500, body: '{"code":', headers: document},
    {status: 500, body: "null", headers: document},
    {status: 500, body: "{}", headers: document},
    {status: 200, body: "<html>", headers: {"Content-Type": "text/html"}},
    {status: 200, body: "<html>"},
    {status: 200, body: '{"data":['},
    {status: 200, body: "", headers: {"Content-Length": "0"}},
    {status: 200, body: "null"},
  ];
  for (const answer of answers) {
    const {client} = answering([answer]);
    await assert.rejects(client.GET("/v1/tasks"), isForeign(answer.status), JSON.stringify(answer));
  }
});

test("what is no JSON can be read as what it is", async () => {
  const {client} = answering([{status: 200, body: "openapi: 3.1.1", headers: {"Content-Type": "application/yaml"}}]);
  const {data} = await client.GET("/openapi.yaml", {parseAs: "text"});
  assert.equal(data, "openapi: 3.1.1");
});

test("a call has an end", async (t) => {
  const awake = setInterval(() => undefined, 1000); // a time limit alone does not keep Node running, as a connection would
  t.after(() => clearInterval(awake));
  const {client} = answering([], {
    timeout: 20,
    fetch: (request) => new Promise((_, reject) => request.signal.addEventListener("abort", () => reject(request.signal.reason as Error))),
  });
  await assert.rejects(client.GET("/v1/tasks"), {name: "TimeoutError"});
  const own = new AbortController();
  const pending = client.GET("/v1/tasks", {signal: own.signal});
  own.abort(new Error("enough"));
  await assert.rejects(pending, /enough/);
});

test("pages follows the cursors", async () => {
  const {client, sent} = answering([
    {status: 200, body: {data: [task, task], next_cursor: "c"}},
    {status: 200, body: {data: [task], next_cursor: null}},
  ]);
  const seen: Task[] = [];
  for await (const entry of pages((next) => client.GET("/v1/tasks", {params: {query: {...next, kind: "invoice.pay"}}}))) seen.push(entry);
  assert.equal(seen.length, 3);
  assert.equal(sent[0]?.url, "http://billonce.test/v1/tasks?kind=invoice.pay");
  assert.equal(sent[1]?.url, "http://billonce.test/v1/tasks?cursor=c&kind=invoice.pay");
});

test("pages ends with the list and not before", async () => {
  const all = async (...answers: Answer[]) => {
    const {client} = answering(answers);
    for await (const entry of pages((next) => client.GET("/v1/tasks", {params: {query: next}}))) assert.deepEqual(entry, task);
  };
  const page = (next_cursor: string | null) => ({status: 200, body: {data: [task], next_cursor}});
  await all(page("a"), page("b"), page(null));
  await assert.rejects(all(page("a"), {status: 200, body: task}), /no page of a list/);
  await assert.rejects(all(page("a"), {status: 200, body: "", headers: {"Content-Length": "0"}}), ProblemError);
  await assert.rejects(all(page("a"), page("a")), /leads to itself/);
});

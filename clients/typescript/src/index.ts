import createClient, {type Client, type Middleware} from "openapi-fetch";
import type {components, paths} from "./schema.js";

export type {components, operations, paths} from "./schema.js";

export type Task = components["schemas"]["Task"];
export type NewTask = components["schemas"]["NewTask"];
export type Attempt = components["schemas"]["Attempt"];
export type Merchant = components["schemas"]["Merchant"];
export type APIKey = components["schemas"]["APIKey"];
export type AuditEntry = components["schemas"]["AuditEntry"];
export type Problem = components["schemas"]["Problem"];

export interface Options {
  /** Where the API is, like https://billonce.example. */
  baseUrl: string;
  /** An API key. It is sent to baseUrl alone, and redirects are not followed, whatever a call asks for. */
  key: string;
  /** After how many milliseconds a call is given up, its answer included: two minutes unless told otherwise. */
  timeout?: number;
  fetch?: (request: Request) => Promise<Response>;
}

/** An answer that is not a success: what the problem document says, or that it is not from the API. */
export class ProblemError extends Error {
  readonly problem: Problem;
  /** How many seconds to wait before the request is sent again, where the API says so. */
  readonly retryAfter: number | undefined;

  constructor(problem: Problem, retryAfter?: number) {
    super(`${problem.title}: ${problem.detail} (HTTP ${problem.status}, ${problem.code}, request ${problem.request_id})`);
    this.name = "ProblemError";
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

/** A client with one method per HTTP method, typed by path; any answer but a success is thrown as a ProblemError. */
export function billonce(options: Options): Client<paths, "application/json"> {
  const send = options.fetch ?? ((request: Request) => fetch(request));
  const home = new URL(options.baseUrl);
  const client = createClient<paths, "application/json">({
    baseUrl: options.baseUrl,
    headers: {Authorization: `Bearer ${options.key}`},
    fetch: (request) => {
      if (new URL(request.url).origin !== home.origin) throw new Error("the key is for another server, and nothing was sent");
      return send(new Request(request, {redirect: "error", signal: within(options.timeout ?? 120_000, request.signal)}));
    },
  });
  client.use(problems);
  return client;
}

/** A signal that fires when another does or the time is over. Node 18 has no AbortSignal.any. */
function within(milliseconds: number, own: AbortSignal): AbortSignal {
  const either = new AbortController();
  for (const signal of [own, AbortSignal.timeout(milliseconds)]) {
    if (signal.aborted) either.abort(signal.reason);
    signal.addEventListener("abort", () => either.abort(signal.reason), {once: true});
  }
  return either.signal;
}

const problems: Middleware = {
  async onResponse({response, options}) {
    if (response.status === 304) return undefined;
    if (!response.ok) throw new ProblemError(await problemOf(response), seconds(response.headers.get("Retry-After")));
    if (options.parseAs !== "json") return undefined;
    const text = await response.text();
    if (mediaType(response) !== "application/json" || parse(text) === undefined) throw new ProblemError(foreign(response));
    return new Response(text, {status: response.status, statusText: response.statusText, headers: response.headers});
  },
};

async function problemOf(response: Response): Promise<Problem> {
  const said = mediaType(response) === "application/problem+json" ? parse(await response.text()) : undefined;
  return said?.["code"] ? (said as unknown as Problem) : foreign(response);
}

/** What stands for the problem document that an answer lacks. */
function foreign(response: Response): Problem {
  return {
    type: "urn:billonce:problem:internal",
    title: "The answer is not from the billonce API",
    status: response.status,
    detail: response.statusText || "it is not what the API answers with",
    code: "internal",
    request_id: response.headers.get("X-Request-Id") ?? "",
  };
}

/** The media type without its parameters, which a proxy may have added. */
function mediaType(response: Response): string {
  return (response.headers.get("Content-Type") ?? "").split(";")[0]!.trim().toLowerCase();
}

/** The object that a text is in JSON, or undefined. */
function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function seconds(header: string | null): number | undefined {
  const n = Number(header);
  return header && Number.isFinite(n) ? n : undefined;
}

/**
 * All entries of a list, page by page: pages((next) => client.GET("/v1/tasks", {params: {query: {...next, status: "failed"}}})).
 * It ends when the list does; anything else is thrown.
 */
export async function* pages<Entry>(
  page: (next: {cursor?: string}) => Promise<{data?: {data: Entry[]; next_cursor: string | null}}>,
): AsyncGenerator<Entry, void> {
  let next: {cursor?: string} = {};
  for (;;) {
    const {data} = await page(next);
    if (!data || !Array.isArray(data.data) || data.next_cursor === undefined) throw new Error("the answer is no page of a list");
    yield* data.data;
    if (data.next_cursor === null) return;
    if (data.next_cursor === next.cursor) throw new Error("the server sent a page that leads to itself");
    next = {cursor: data.next_cursor};
  }
}

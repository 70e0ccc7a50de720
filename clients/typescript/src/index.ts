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
  /** An API key. It is sent to baseUrl alone, and redirects are not followed. */
  key: string;
  fetch?: (request: Request) => Promise<Response>;
}

/** An answer that is not a success: what the problem document says. */
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
  const client = createClient<paths, "application/json">({
    baseUrl: options.baseUrl,
    redirect: "error",
    headers: {Authorization: `Bearer ${options.key}`},
    ...(options.fetch ? {fetch: options.fetch} : {}),
  });
  client.use(problems);
  return client;
}

const problems: Middleware = {
  async onResponse({response}) {
    if (response.ok || response.status === 304) return undefined;
    throw new ProblemError(await problemOf(response), seconds(response.headers.get("Retry-After")));
  },
};

async function problemOf(response: Response): Promise<Problem> {
  if (response.headers.get("Content-Type") === "application/problem+json") {
    return (await response.json()) as Problem;
  }
  return {
    type: "urn:billonce:problem:internal",
    title: "The answer is not from the billonce API",
    status: response.status,
    detail: response.statusText || "it is no problem document",
    code: "internal",
    request_id: response.headers.get("X-Request-Id") ?? "",
  };
}

function seconds(header: string | null): number | undefined {
  const n = Number(header);
  return header && Number.isFinite(n) ? n : undefined;
}

/** All entries of a list, page by page: pages(cursor => client.GET("/v1/tasks", {params: {query: {cursor}}})). */
export async function* pages<Entry>(
  page: (cursor: string | undefined) => Promise<{data?: {data: Entry[]; next_cursor: string | null}}>,
): AsyncGenerator<Entry, void> {
  let cursor: string | undefined;
  do {
    const {data} = await page(cursor);
    if (!data) return;
    yield* data.data;
    cursor = data.next_cursor ?? undefined;
  } while (cursor);
}

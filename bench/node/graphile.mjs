// graphile-worker as a contender, as its documentation says it is fastest: jobs from a local queue, completions batched
// without delay. Completed jobs are deleted: it keeps no history.
import { makeWorkerUtils, run } from "graphile-worker";
import { command, fail, measure, option, params, stopped, url } from "./common.mjs";

const task = "payment_intent.create";

function preset(more) {
  return { worker: { connectionString: url, concurrentJobs: option("concurrency", 24), maxPoolSize: 10, pollInterval: 1000, ...more } };
}

async function load(n) {
  const utils = await makeWorkerUtils({ preset: preset() });
  await utils.migrate();
  const batch = 10_000;
  for (let from = 0; from < n; from += batch) {
    const jobs = [];
    for (let i = from; i < Math.min(from + batch, n); i++) jobs.push({ identifier: task, payload: params(i) });
    await utils.addJobs(jobs);
  }
  await utils.release();
}

function start(more, work) {
  return run({ preset: preset(more), noHandleSignals: true, taskList: { [task]: work } });
}

async function work() {
  const size = option("queue", 500);
  const runner = await start(
    { localQueue: { size, refetchDelay: { durationMs: 10 } }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
    () => {},
  );
  await stopped;
  await runner.stop();
}

async function latency() {
  const measured = measure(option("rate", 100), option("seconds", 10));
  const runner = await start({}, (payload) => measured.started(payload.latency));
  await measured.run((i) => runner.addJob(task, { ...params(i), latency: i }));
  await runner.stop();
}

try {
  if (command === "load") await load(option("n", 0));
  else if (command === "work") await work();
  else if (command === "latency") await latency();
  else throw new Error("say load, work or latency");
} catch (error) {
  fail(error);
}

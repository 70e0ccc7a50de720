// pg-boss as a contender: batches of 5,000 fetched and completed as a whole, a few of them at once; or its own work().
import { PgBoss } from "pg-boss";
import { command, fail, measure, option, params, stopped, url } from "./common.mjs";

const queue = "payment_intent.create";

async function open(more) {
  const boss = new PgBoss({ connectionString: url, max: 10, schedule: false, ...more });
  boss.on("error", (error) => console.error(error));
  await boss.start();
  await boss.createQueue(queue, { notify: true }); // does nothing where there is one
  return boss;
}

async function load(n) {
  const boss = await open();
  const batch = 5000;
  for (let from = 0; from < n; from += batch) {
    const jobs = [];
    for (let i = from; i < Math.min(from + batch, n); i++) jobs.push({ data: params(i) });
    await boss.insert(queue, jobs);
  }
  await boss.stop({ graceful: false });
}

// work fetches and completes in loops, or lets pg-boss's own workers do it.
async function work() {
  const batchSize = option("batch", 5000);
  const loops = option("loops", 2);
  const boss = await open();
  if (option("own", 0)) {
    await boss.work(
      queue,
      { batchSize, localConcurrency: loops, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
      async () => {},
    );
    await stopped;
  } else {
    let end = false;
    stopped.then(() => (end = true));
    const loop = async () => {
      while (!end) {
        const jobs = await boss.fetch(queue, { batchSize });
        if (jobs.length > 0) await boss.complete(queue, jobs.map((job) => job.id));
        else await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await Promise.all(Array.from({ length: loops }, loop));
  }
  await boss.stop({ graceful: false });
}

async function latency() {
  const measured = measure(option("rate", 100), option("seconds", 10));
  const boss = await open({ useListenNotify: true });
  await boss.work(queue, { pollingIntervalSeconds: 0.5, localConcurrency: 4, batchSize: 25 }, async (jobs) => {
    for (const job of jobs) measured.started(job.data.latency);
  });
  await measured.run((i) => boss.send(queue, { ...params(i), latency: i }));
  await boss.stop({ graceful: false });
}

try {
  if (command === "load") await load(option("n", 0));
  else if (command === "work") await work();
  else if (command === "latency") await latency();
  else throw new Error("say load, work or latency");
} catch (error) {
  fail(error);
}

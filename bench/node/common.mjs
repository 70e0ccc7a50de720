// What the Node contenders share: the parameters of bench/stage (200 bytes), a steady pace, and the end by a signal.

export const url = process.env.DATABASE_URL;
export const [command, ...rest] = process.argv.slice(2);

// option reads "--name value".
export function option(name, fallback) {
  const at = rest.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(rest[at + 1]);
}

// params are those of stage.PaymentParams.
export function params(i) {
  const head = `{"amount":${1000 + (i % 9000)},"currency":"eur","customer":"cus_ok","description":"Renewal ${String(i).padStart(8, "0")} `;
  return JSON.parse(head.padEnd(198, "x") + '"}');
}

// stopped resolves with the first SIGTERM or SIGINT.
export const stopped = new Promise((resolve) => {
  for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, resolve);
});

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// measure calls insert for 0 to n-1, rate times a second and without waiting for the earlier ones. What it returns has started(i),
// to be called when the work of one begins, and done, which resolves with the milliseconds between the two.
export function measure(rate, seconds) {
  const n = rate * seconds;
  const inserted = new Array(n);
  const took = [];
  let finish;
  const all = new Promise((resolve) => (finish = resolve));
  return {
    started(i) {
      if (inserted[i] === undefined) return;
      took.push(performance.now() - inserted[i]);
      if (took.length === n) finish();
    },
    async run(insert) {
      const began = performance.now();
      const pending = [];
      for (let i = 0; i < n; i++) {
        await sleep(Math.max(0, began + (i * 1000) / rate - performance.now()));
        inserted[i] = performance.now();
        pending.push(insert(i));
      }
      await Promise.all(pending);
      const late = setTimeout(() => fail(new Error("not all jobs started")), 30_000);
      await all;
      clearTimeout(late);
      console.log(JSON.stringify(took));
    },
  };
}

export function fail(error) {
  console.error(error);
  process.exit(1);
}

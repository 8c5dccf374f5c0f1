// What every peer is asked to do, and how it is measured. A peer gives: name, single(n), bulk(n of 1,000), start(handler), left().
const count = (name) => Number(process.env[name] ?? 1000);
const now = () => performance.now();
const rate = (n, ms) => Math.round((n / ms) * 1000);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

export const concurrency = count("CONCURRENCY");
/** Is the peer to promise what lockstep promises, as far as it can: one live job a key, one running job an agent? */
export const promises = process.env.PROMISES === "1";
const jobs = (phase, from, n) => Array.from({ length: n }, (_, i) => ({ agent: `${phase}-${from + i}` }));

async function concurrently(n, callers, ask) {
  let next = 0;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (next < n) await ask(next++);
    }),
  );
}

export async function measure(peer) {
  let began = now();
  await concurrently(count("SINGLE"), 64, (i) => peer.single({ agent: `single-${i}` }));
  const single = rate(count("SINGLE"), now() - began);

  began = now();
  for (let i = 0; i < count("BULK"); i += 1000) await peer.bulk(jobs("bulk", i, 1000));
  const bulk = rate(count("BULK"), now() - began);
  await peer.clear();

  let started = () => {};
  await peer.start(() => started());
  await sleep(500);
  began = now();
  for (let i = 0; i < count("THROUGH"); i += 1000) await peer.bulk(jobs("through", i, 1000));
  while ((await peer.left()) > 0) await sleep(5);
  const through = rate(count("THROUGH"), now() - began);

  const times = [];
  for (let i = 0; i < count("LATENCY"); i++) {
    const asked = now();
    const ran = new Promise((done) => (started = done));
    await peer.single({ agent: `late-${i}` });
    await ran;
    times.push(now() - asked);
    await sleep(5);
  }
  times.sort((a, b) => a - b);
  const at = (share) => Number(times[Math.floor((times.length - 1) * share)].toFixed(2));
  console.log(JSON.stringify({ name: peer.name, single, bulk, through, p50: at(0.5), p99: at(0.99) }));
  process.exit(0);
}

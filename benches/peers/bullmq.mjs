// BullMQ on Redis, whose append-only file is synced as the bench says.
import { Queue, Worker } from "bullmq";
import { concurrency, measure, promises } from "./work.mjs";

const url = new URL(process.env.REDIS_URL);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const queue = new Queue("noop", { connection, defaultJobOptions: { removeOnComplete: true } });
await queue.waitUntilReady();

// it has no exclusion: groups are part of its paid edition
const opts = (data) => (promises ? { deduplication: { id: `noop-${data.agent}` } } : {});

await measure({
  name: `BullMQ 6.7.0 (${process.env.REDIS_SYNC}${promises ? ", dedup" : ""})`,
  single: (data) => queue.add("noop", data, opts(data)),
  bulk: (all) => queue.addBulk(all.map((data) => ({ name: "noop", data, opts: opts(data) }))),
  clear: () => queue.obliterate({ force: true }),
  start: async (ran) => {
    const worker = new Worker("noop", async () => ran(), { connection, concurrency });
    await worker.waitUntilReady();
  },
  left: async () => {
    const { waiting, active, prioritized } = await queue.getJobCounts("waiting", "active", "prioritized");
    return waiting + active + prioritized;
  },
});

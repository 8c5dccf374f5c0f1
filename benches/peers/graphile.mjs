// graphile-worker on PostgreSQL, with the local queue and batched completion that its manual advises for speed.
import { makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";
import { concurrency, measure, promises } from "./work.mjs";

const pgPool = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 20 });
const logger = { error: console.error, warn() {}, info() {}, debug() {} };
const { Logger } = await import("graphile-worker");
const quiet = new Logger(() => (level, message) => level === "error" && logger.error(message));
const utils = await makeWorkerUtils({ pgPool, logger: quiet });
await utils.migrate();

const opts = ({ agent }) => (promises ? { jobKey: `noop:${agent}`, queueName: agent } : {});

await measure({
  name: `graphile-worker 0.17.3${promises ? " (dedup, exclusion)" : ""}`,
  single: (data) => utils.addJob("noop", data, opts(data)),
  bulk: (all) => utils.addJobs(all.map((payload) => ({ identifier: "noop", payload, ...opts(payload) }))),
  clear: () => pgPool.query("TRUNCATE graphile_worker._private_jobs"),
  start: (ran) =>
    run({
      pgPool,
      logger: quiet,
      noHandleSignals: true,
      taskList: { noop: async () => ran() },
      preset: {
        worker: {
          concurrentJobs: concurrency,
          pollInterval: 2000,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
    }),
  left: async () => Number((await pgPool.query("SELECT count(*) FROM graphile_worker._private_jobs")).rows[0].count),
});

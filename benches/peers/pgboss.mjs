// pg-boss on PostgreSQL, with LISTEN/NOTIFY, batches and bursts.
import { PgBoss } from "pg-boss";
import pg from "pg";
import { concurrency, measure, promises } from "./work.mjs";

const boss = new PgBoss({ connectionString: process.env.POSTGRES_URL, max: 20, useListenNotify: true });
boss.on("error", (error) => console.error(error));
await boss.start();
// exclusive: of each key one job, queued or active, which is one running job an agent besides
await boss.createQueue("noop", { notify: true, ...(promises ? { policy: "exclusive" } : {}) });
const opts = ({ agent }) => (promises ? { singletonKey: agent } : {});
const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 2 });

await measure({
  name: `pg-boss 12.35.0${promises ? " (dedup, exclusion)" : ""}`,
  single: (data) => boss.send("noop", data, opts(data)),
  bulk: (all) => boss.insert("noop", all.map((data) => ({ data, ...opts(data) }))),
  clear: () => boss.deleteAllJobs("noop"),
  start: (ran) =>
    boss.work(
      "noop",
      { batchSize: concurrency, burstWhenBatchFull: true, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 0.5 },
      async (all) => all.forEach(ran),
    ),
  left: async () =>
    Number((await pool.query("SELECT count(*) FROM pgboss.job WHERE name = 'noop' AND state < 'completed'")).rows[0].count),
});

// pg-boss on PostgreSQL, with LISTEN/NOTIFY, batches and bursts.
import { PgBoss } from "pg-boss";
import pg from "pg";
import { concurrency, measure } from "./work.mjs";

const boss = new PgBoss({ connectionString: process.env.POSTGRES_URL, max: 20, useListenNotify: true });
boss.on("error", (error) => console.error(error));
await boss.start();
await boss.createQueue("noop", { notify: true });
const pool = new pg.Pool({ connectionString: process.env.POSTGRES_URL, max: 2 });

await measure({
  name: "pg-boss 12.35.0",
  single: (data) => boss.send("noop", data),
  bulk: (all) => boss.insert("noop", all.map((data) => ({ data }))),
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

/**
 * What the nodes' JavaScript heaps hold, from their metrics, once all that can be is collected
 * (collector.ts): a heap that nothing presses keeps its garbage, and hides what is held.
 */
import { setTimeout as wait } from 'node:timers/promises';

const PORT_OFFSET = 200;
const METRICS = [/^nodejs_heap_size_used_bytes (\S+)$/m, /^nodejs_external_memory_bytes (\S+)$/m];
/** A node that held more than that at once would die of it. */
const HEAP_MB = 256;
/** Calls that their callers have left, and answers to them, are under way for a while. */
const REST_MS = 200;
const FALL_BYTES = 1024 * 1024;

const COLLECTOR = new URL('./collector.js', import.meta.url);
/** Of the processes of the nodes. */
export const NODE_OPTIONS = `--max-old-space-size=${HEAP_MB} --import=${COLLECTOR}`;

export class NodeMemory {
  readonly #urls: readonly string[];
  readonly #pids: readonly number[];

  constructor(servers: readonly string[], pids: readonly number[]) {
    this.#pids = pids;
    this.#urls = servers.map((server) => {
      const [host, port] = server.split(':');
      return `http://${host}:${Number(port) + PORT_OFFSET}/metrics`;
    });
  }

  /** By each node, once it falls no more. */
  async held(): Promise<readonly number[]> {
    for (let last = await this.#collected(); ; ) {
      await wait(REST_MS);
      const held = await this.#collected();
      if (held.every((bytes, node) => bytes > last[node]! - FALL_BYTES)) return held;
      last = held;
    }
  }

  async #collected(): Promise<readonly number[]> {
    for (const pid of this.#pids) process.kill(pid, 'SIGUSR2');
    // Whoever has answered once has seen the signal before it is asked again.
    await this.#read();
    return this.#read();
  }

  #read(): Promise<readonly number[]> {
    return Promise.all(
      this.#urls.map(async (url) => {
        // A connection that was kept may be closed at the moment in which it is used again.
        const page = await fetch(url, { headers: { connection: 'close' } });
        const text = await page.text();
        const bytes = METRICS.reduce((sum, metric) => sum + Number(metric.exec(text)?.[1]), 0);
        if (Number.isNaN(bytes)) throw new Error(`${url} does not say what the node holds`);
        return bytes;
      }),
    );
  }
}

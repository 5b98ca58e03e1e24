/**
 * What the nodes' JavaScript heaps hold, from their metrics while they are at work: the lowest
 * value of a stretch is what was left after a collection.
 */
const PORT_OFFSET = 200;
const INTERVAL_MS = 500;
const METRICS = [/^nodejs_heap_size_used_bytes (\S+)$/m, /^nodejs_external_memory_bytes (\S+)$/m];

export class NodeMemory {
  readonly #urls: readonly string[];
  readonly #timer: NodeJS.Timeout;
  #lowest: number[];
  #reading: Promise<void> = Promise.resolve();
  /** Said by the next `stretch`. */
  #failure: unknown;

  constructor(servers: readonly string[]) {
    this.#urls = servers.map((server) => {
      const [host, port] = server.split(':');
      return `http://${host}:${Number(port) + PORT_OFFSET}/metrics`;
    });
    this.#lowest = this.#urls.map(() => Number.POSITIVE_INFINITY);
    this.#timer = setInterval(() => {
      this.#reading = this.#reading.then(() =>
        this.#read().catch((error: unknown) => {
          this.#failure ??= error;
        }),
      );
    }, INTERVAL_MS);
  }

  /** The lowest of each node since the last time this was asked. */
  async stretch(): Promise<readonly number[]> {
    this.#reading = this.#reading.then(() => this.#read());
    await this.#reading;
    if (this.#failure !== undefined) throw this.#failure;
    const lowest = this.#lowest;
    this.#lowest = lowest.map(() => Number.POSITIVE_INFINITY);
    return lowest;
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.#reading;
  }

  async #read(): Promise<void> {
    await Promise.all(
      this.#urls.map(async (url, node) => {
        // A connection that was kept may be closed at the moment in which it is used again.
        const page = await fetch(url, { headers: { connection: 'close' } });
        const text = await page.text();
        const bytes = METRICS.reduce((sum, metric) => sum + Number(metric.exec(text)?.[1]), 0);
        if (Number.isNaN(bytes)) throw new Error(`${url} does not say what the node holds`);
        this.#lowest[node] = Math.min(this.#lowest[node]!, bytes);
      }),
    );
  }
}

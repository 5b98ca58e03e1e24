/**
 * Numbers that are raised on hot paths: a few additions each. prom-client is shown them at a
 * scrape; its own counters would cost twenty times as much per request.
 */
import { Counter, Gauge, type Histogram, type Registry } from 'prom-client';

export interface Tally {
  count: number;
}

export interface Declared {
  readonly name: string;
  readonly help: string;
}

export function countTally(registry: Registry, declared: Declared): Tally {
  const tally: Tally = { count: 0 };
  new Counter({
    ...declared,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(tally.count);
    },
  });
  return tally;
}

/** Values sorted into buckets, as Prometheus has them. */
export class DurationTally {
  readonly bounds: readonly number[];
  /** One more than there are bounds: what is above them all. */
  readonly counts: number[];
  sum = 0;

  /** Ascending, in seconds. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Array<number>(bounds.length + 1).fill(0);
  }

  add(seconds: number): void {
    let at = 0;
    while (at < this.bounds.length && seconds > this.bounds[at]!) at += 1;
    this.counts[at]! += 1;
    this.sum += seconds;
  }
}

type Labels = Readonly<Record<string, string>>;
type HistogramValues = Awaited<ReturnType<Histogram['get']>>;

/** A histogram whose values lie elsewhere. A gauge by birth: of that one nothing is used but it. */
export class TalliedHistogram extends Gauge {
  readonly #declared: Declared;
  readonly #tallies: () => Iterable<readonly [Labels, DurationTally]>;

  constructor(
    registry: Registry,
    declared: Declared,
    tallies: () => Iterable<readonly [Labels, DurationTally]>,
  ) {
    super({ ...declared, registers: [registry] });
    this.#declared = declared;
    this.#tallies = tallies;
  }

  override async get(): Promise<HistogramValues> {
    const { help, name } = this.#declared;
    const values: HistogramValues['values'] = [];
    for (const [labels, tally] of this.#tallies()) {
      const value = (suffix: string, of: number, more: Labels = {}): void => {
        const metricName = `${name}_${suffix}`;
        values.push({ metricName, labels: { ...more, ...labels }, value: of });
      };
      let count = 0;
      tally.counts.forEach((own, at) => {
        count += own;
        value('bucket', count, { le: String(tally.bounds[at] ?? '+Inf') });
      });
      value('sum', tally.sum);
      value('count', count);
    }
    // @ts-expect-error: the types call this an enumeration that does not exist when it runs
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

/** Metrics that cost nothing until somebody asks: each is read from the figures of that moment. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Figures } from './figures.ts';

export type Labels = Readonly<Record<string, string | number>>;
export type Sample = readonly [value: number, labels?: Labels];

export interface Reading {
  readonly name: string;
  readonly help: string;
  /** A counter never falls while the node runs. */
  readonly type: 'counter' | 'gauge';
  readonly labels?: readonly string[];
  /** One number, or one for each set of labels. */
  read(figures: Figures): number | readonly Sample[];
}

export function registerReadings(
  registry: Registry,
  readings: readonly Reading[],
  figures: () => Figures | undefined,
): void {
  for (const { name, help, type, labels: labelNames = [], read } of readings) {
    const samples = (): readonly Sample[] => {
      const now = figures();
      const found = now === undefined ? [] : read(now);
      return typeof found === 'number' ? [[found]] : found;
    };
    const declared = { name, help, labelNames, registers: [registry] };
    if (type === 'gauge') {
      new Gauge({
        ...declared,
        collect() {
          this.reset();
          for (const [value, labels = {}] of samples()) this.set(labels, value);
        },
      });
    } else {
      new Counter({
        ...declared,
        collect() {
          this.reset();
          for (const [value, labels = {}] of samples()) this.inc(labels, value);
        },
      });
    }
  }
}

/** How long this process kept its events waiting. */
import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';

/** Rare enough that an idle node stays idle; a longer stall is seen whenever it comes. */
const SAMPLE_MS = 250;
const NS_PER_S = 1e9;
const MS_PER_S = 1000;

export const DELAY_QUANTILES = ['0.5', '0.99', '1'] as const;

export interface EventLoopFigures {
  /** Since the last look. */
  readonly delaySeconds: Readonly<Record<(typeof DELAY_QUANTILES)[number], number>>;
  /** Since the last look: 1 = never idle. */
  readonly utilization: number;
}

export class EventLoop {
  readonly #delays = monitorEventLoopDelay({ resolution: SAMPLE_MS });
  #before: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delays.enable();
  }

  read(): EventLoopFigures {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#before);
    this.#before = now;
    // A sample is the time between two wake-ups, so what was asked for is no delay.
    const late = (percentile: number): number =>
      Math.max(0, this.#delays.percentile(percentile) / NS_PER_S - SAMPLE_MS / MS_PER_S);
    const delaySeconds = { '0.5': late(50), '0.99': late(99), '1': late(100) };
    this.#delays.reset();
    return { delaySeconds, utilization };
  }

  close(): void {
    this.#delays.disable();
  }
}

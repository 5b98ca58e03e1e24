/** Holds a history against every property, within a bound of time. */
import type { History } from '../history.ts';
import { Bound, TimeUp } from './bound.ts';
import { Facts } from './facts.ts';
import { PROPERTIES } from './properties.ts';
import type { Finding } from './property.ts';

/** Beyond it the check itself has failed. */
export const CHECK_TIME_MS = 300_000;
/** Per property: more of a kind shows nothing new. */
const FINDINGS_KEPT_MAX = 100;

export interface Broken extends Finding {
  readonly id: string;
  readonly name: string;
}

export interface CheckResult {
  /** The first ones of each property. */
  readonly findings: readonly Broken[];
  /** How often each property is broken, by its name. */
  readonly counts: Readonly<Record<string, number>>;
  /** It did not come to its end in time: a failure, whatever was found until then. */
  readonly timedOut: boolean;
  /** Steps of all its loops. */
  readonly steps: number;
}

export function checkHistory(history: History, boundMs = CHECK_TIME_MS): CheckResult {
  const bound = new Bound(boundMs);
  const findings: Broken[] = [];
  const counts = Object.fromEntries(PROPERTIES.map(({ name }) => [name, 0]));
  try {
    const facts = new Facts(history, bound);
    for (const { id, name, find } of PROPERTIES) {
      for (const finding of find(facts)) {
        const count = (counts[name] ?? 0) + 1;
        counts[name] = count;
        if (count <= FINDINGS_KEPT_MAX) findings.push({ id, name, ...finding });
      }
      bound.look();
    }
  } catch (error) {
    if (!(error instanceof TimeUp)) throw error;
    return { findings, counts, timedOut: true, steps: bound.steps };
  }
  return { findings, counts, timedOut: false, steps: bound.steps };
}

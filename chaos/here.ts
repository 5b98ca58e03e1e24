/** What this machine lacks for some faults; found out without building or starting anything. */
import { toxiproxyBinary } from './cluster/toxiproxy.ts';
import type { Need } from './nemesis/nemesis.ts';
import { shimLacks } from './shim/build.ts';

export interface Lack {
  /** What is not there. */
  readonly thing: string;
  readonly needs: readonly Need[];
  /** Which faults are skipped for it. */
  readonly faults: string;
}

export function lacksHere(): readonly Lack[] {
  const lacks: Lack[] = [];
  if (toxiproxyBinary() === undefined) {
    const needs = ['proxies', 'client-links'] as const;
    lacks.push({ thing: 'toxiproxy-server', needs, faults: 'faults of the network' });
  }
  const thing = shimLacks();
  if (thing !== undefined) {
    lacks.push({ thing, needs: ['shim'], faults: 'power cuts, bad disks and clocks' });
  }
  return lacks;
}

/** The things that these needs go without here. */
export function missingFor(needs: readonly Need[], lacks: readonly Lack[]): string[] {
  return lacks.filter((lack) => lack.needs.some((need) => needs.includes(need))).map(thingOf);
}

function thingOf({ thing }: Lack): string {
  return thing;
}

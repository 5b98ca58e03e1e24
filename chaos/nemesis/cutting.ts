/** Cuts links for a while, and proves on the links themselves that nothing gets through. */
import { ELECTION_TIMEOUT_MS } from '../cluster/local-cluster.ts';
import type { Probe } from '../cluster/probe.ts';
import type { Link, Proxies, Release } from '../cluster/proxies.ts';
import type { Stage, Strike } from './nemesis.ts';
import { provable, queuesLedBy } from './targets.ts';

/** Long enough for an election on the other side, and for a leader to notice. */
const ELECTION_TIMEOUTS_MIN = 3;
export const CUT_MIN_MS = ELECTION_TIMEOUTS_MIN * ELECTION_TIMEOUT_MS;

/** Below what a node gives to somebody who does not greet it: then it hangs up by itself. */
const PROBE_TIMEOUT_MS = 4000;
const SILENCE_MIN_MS = 500;
/** A link that took so long before must be silent for a multiple of that. */
const SILENCE_FACTOR = 2;
const PROMPT_MS = PROBE_TIMEOUT_MS / SILENCE_FACTOR;
/** A machine with other work may be slow once. */
const PROBES_MAX = 3;

export type Cut = 'silence' | 'refuse';

export interface Installation {
  readonly release: Release;
  /** What got through nevertheless. */
  readonly open: readonly string[];
}

/**
 * Every link is asked before, or silence would prove nothing, and after; but not those of nodes
 * that another fault has: there silence is not ours.
 */
export async function install(
  stage: Stage,
  links: readonly Link[],
  cut: Cut,
): Promise<Installation> {
  const proxies = stage.cluster.proxies();
  await stage.begun;
  const asked = provable(stage, links);
  const before = await Promise.all(asked.map((link) => promptAnswer(proxies, link)));
  const release = await proxies[cut](links);
  const texts = await Promise.all(
    asked.map(async (link, at) => {
      const known = before[at];
      if (known === undefined) return [];
      const name = `${link.from}-${link.to}`;
      if (known.end !== 'closed') return [`${name} was ${known.end} before`];
      if (known.ms > PROMPT_MS) return [`${name} was slow before`];
      const waitMs = Math.max(SILENCE_MIN_MS, SILENCE_FACTOR * known.ms);
      const seen = await proxies.probe(link, waitMs);
      const expected = cut === 'silence' ? 'silent' : 'refused';
      return seen?.end === expected ? [] : [`${name} is ${seen?.end}`];
    }),
  );
  if (asked.length === 0) return { release, open: ['other faults have every link of it'] };
  return { release, open: texts.flat() };
}

async function promptAnswer(proxies: Proxies, link: Link): Promise<Probe | undefined> {
  let seen = await proxies.probe(link, PROBE_TIMEOUT_MS);
  for (let tries = 1; tries < PROBES_MAX && !isPrompt(seen); tries++) {
    seen = await proxies.probe(link, PROBE_TIMEOUT_MS);
  }
  return seen;
}

function isPrompt(seen: Probe | undefined): boolean {
  return seen === undefined || (seen.end === 'closed' && seen.ms <= PROMPT_MS);
}

export interface CutPlan {
  readonly links: readonly Link[];
  readonly nodes: readonly number[];
  readonly cut?: Cut;
  /** What exactly is cut, for people. */
  readonly text: string;
}

export async function cutFor(stage: Stage, plan: CutPlan, holdMs: number): Promise<Strike> {
  const { links, nodes, cut = 'silence', text } = plan;
  const { release, open } = await install(stage, links, cut);
  await stage.hold(Math.max(holdMs, CUT_MIN_MS));
  await release();
  const struck = { nodes, queues: queuesLedBy(stage, nodes) };
  if (open.length === 0) return { state: 'installed', text, ...struck };
  return { state: 'indeterminate', text: `${text}; ${open.join(', ')}`, ...struck };
}

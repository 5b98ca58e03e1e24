/** Broken builds are found, sound ones are not: what was tried for it, and what it comes to. */
import type { History } from '../history.ts';
import { EXIT_CODES } from '../report.ts';
import type { Judgement, Verdict } from '../verdict.ts';
import type { BrokenBuild } from './builds.ts';

export interface Run {
  readonly history: History;
  readonly judgement: Judgement;
}

/** Without a build: `holdfast` as it is, under the same attack. */
export type Attack = (target: AttackedBuild) => Promise<Run>;

export interface AttackedBuild {
  readonly scenario: string;
  readonly seconds: number;
  readonly build?: BrokenBuild;
}

export interface Proof {
  readonly build: string;
  readonly scenario: string;
  /** Until it was found; all that were allowed when it was not. */
  readonly runs: number;
  /** How often each property was broken that has to find it; empty: it was not found. */
  readonly found: Readonly<Record<string, number>>;
  /** Of the last run. */
  readonly verdict: Verdict;
  /** Of the sound build; undefined: not tried, for the broken one was not found. */
  readonly control: Verdict | undefined;
}

export interface Hooks {
  readonly onRun: (target: AttackedBuild, run: Run, number: number) => void;
  readonly onFound: (build: BrokenBuild, run: Run) => void;
}

export class Prover {
  readonly #attack: Attack;
  readonly #runsMax: number;
  readonly #hooks: Hooks;
  /** By attack: one sound build stands beside all broken ones that suffer the same. */
  readonly #controls = new Map<string, Verdict>();

  constructor(attack: Attack, runsMax: number, hooks: Hooks) {
    this.#attack = attack;
    this.#runsMax = runsMax;
    this.#hooks = hooks;
  }

  async prove(build: BrokenBuild): Promise<Proof> {
    const { name, scenario, seconds } = build;
    const target = { scenario, seconds, build };
    const tried = await this.#until(target, ({ judgement }) => hasFound(build, judgement));
    const found = foundIn(build, tried.run.judgement);
    const isFound = hasFound(build, tried.run.judgement);
    if (isFound) this.#hooks.onFound(build, tried.run);
    const control = isFound ? await this.#control(target) : undefined;
    const { verdict } = tried.run.judgement;
    return { ...{ build: name, scenario, verdict, found, control }, runs: tried.runs };
  }

  /** What proves nothing is tried again; a sound build that fails has failed. */
  async #control({ scenario, seconds }: AttackedBuild): Promise<Verdict> {
    const key = `${scenario} ${seconds}`;
    const known = this.#controls.get(key);
    if (known !== undefined) return known;
    const { run } = await this.#until({ scenario, seconds }, ({ judgement }) => {
      return judgement.verdict !== 'invalid';
    });
    this.#controls.set(key, run.judgement.verdict);
    return run.judgement.verdict;
  }

  async #until(target: AttackedBuild, isDone: (run: Run) => boolean) {
    for (let runs = 1; ; runs++) {
      const run = await this.#attack(target);
      this.#hooks.onRun(target, run, runs);
      if (isDone(run) || runs >= this.#runsMax) return { run, runs };
    }
  }
}

/** The checker has to say so: trouble of the nodes is not enough. */
function hasFound(build: BrokenBuild, judgement: Judgement): boolean {
  return Object.keys(foundIn(build, judgement)).length > 0;
}

function foundIn({ properties }: BrokenBuild, { counts }: Judgement): Record<string, number> {
  const broken = Object.entries(counts).filter(([, count]) => count > 0);
  return Object.fromEntries(broken.filter(([name]) => properties.includes(name)));
}

function isProved({ found, control }: Proof): boolean {
  return Object.keys(found).length > 0 && control === 'pass';
}

/** 0 only when every build was found, and the sound one passes where it was. */
export function exitCodeOf(proofs: readonly Proof[]): number {
  if (proofs.every(isProved)) return EXIT_CODES.pass;
  const isOpen = (proof: Proof) => isProved(proof) || proof.control === 'invalid';
  return proofs.every(isOpen) ? EXIT_CODES.invalid : EXIT_CODES.fail;
}

const TITLES = ['build', 'scenario', 'runs', 'found by', 'sound build'];

export function asTable(proofs: readonly Proof[]): string {
  const rows = proofs.map(({ build, scenario, runs, found, control }) => {
    const by = Object.entries(found).map(([name, count]) => `${name} ${count}`);
    return [build, scenario, `${runs}`, by.join(', ') || 'NOT FOUND', control ?? 'not tried'];
  });
  const widths = TITLES.map((title, at) => {
    return Math.max(title.length, ...rows.map((row) => row[at]?.length ?? 0));
  });
  return [TITLES, ...rows]
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

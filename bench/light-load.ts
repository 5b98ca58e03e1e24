/** A light load of single sends, and when what it met was slow. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Holdfast } from '../src/client/index.ts';
import { percentile } from './percentiles.ts';

const BODY_BYTES = 1024;
/** One send each so many milliseconds, whether earlier ones were answered or not. */
const PACE_MS = 5;
/** Slow sends so near to each other are one spell. */
const SPELL_GAP_MS = 100;
const SPELLS_SHOWN = 8;

export interface Send {
  /** Since the load began. */
  readonly atMs: number;
  readonly tookMs: number;
}

/** Single sends at a steady pace until `signal`; answers when each began and how long it took. */
export async function lightLoad(
  client: Holdfast,
  topic: string,
  signal: AbortSignal,
): Promise<Send[]> {
  const producer = client.producer({ topic });
  const body = Buffer.alloc(BODY_BYTES, 'y');
  const done: Send[] = [];
  const sends: Promise<void>[] = [];
  const start = performance.now();
  const sendOne = async (): Promise<void> => {
    const atMs = performance.now() - start;
    await producer.send({ body });
    done.push({ atMs, tookMs: performance.now() - start - atMs });
  };
  while (!signal.aborted) {
    sends.push(sendOne());
    await delay(Math.max(0, start + sends.length * PACE_MS - performance.now()));
  }
  await Promise.all(sends);
  await producer.close();
  return done;
}

export function lightLoadFor(client: Holdfast, topic: string, seconds: number): Promise<Send[]> {
  return lightLoad(client, topic, AbortSignal.timeout(seconds * 1000));
}

/** Those that began at `fromMs` or later, timed from there. */
export function sendsFrom(sends: readonly Send[], fromMs: number): Send[] {
  const later = sends.filter(({ atMs }) => atMs >= fromMs);
  return later.map(({ atMs, tookMs }) => ({ atMs: atMs - fromMs, tookMs }));
}

export function latency(sends: readonly Send[], fraction: number): number {
  return percentile(
    sends.map(({ tookMs }) => tookMs),
    fraction,
  );
}

/** Sends that began one after another and were all slow. */
export interface Spell {
  readonly fromMs: number;
  readonly toMs: number;
  readonly sends: number;
  readonly worstMs: number;
}

/** Where sends took more than `slowMs`: the spells with most of them, in their order. */
export function slowSpells(sends: readonly Send[], slowMs: number): Spell[] {
  const spells: Spell[] = [];
  const slow = sends.filter(({ tookMs }) => tookMs > slowMs).sort((a, b) => a.atMs - b.atMs);
  for (const { atMs, tookMs } of slow) {
    const last = spells.at(-1);
    const isNear = last !== undefined && atMs - last.toMs <= SPELL_GAP_MS;
    const before = isNear ? last : { fromMs: atMs, sends: 0, worstMs: 0 };
    if (isNear) spells.pop();
    spells.push({
      fromMs: before.fromMs,
      toMs: atMs,
      sends: before.sends + 1,
      worstMs: Math.max(before.worstMs, tookMs),
    });
  }
  const most = spells.sort((a, b) => b.sends - a.sends).slice(0, SPELLS_SHOWN);
  return most.sort((a, b) => a.fromMs - b.fromMs);
}

export function spellLine({ fromMs, toMs, sends, worstMs }: Spell): string {
  const seconds = (ms: number): string => (ms / 1000).toFixed(2);
  const span = `${seconds(fromMs)}-${seconds(toMs)} s`;
  return `${span}: ${sends} slow sends, worst ${worstMs.toFixed(0)} ms`;
}

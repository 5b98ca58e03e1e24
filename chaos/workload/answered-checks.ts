/** After the run producers answer every check, until no transaction waits for an outcome. */
import { setTimeout as delay } from 'node:timers/promises';
import { CheckBacks } from './check-backs.ts';
import { Client } from './client.ts';
import type { Load } from './load.ts';
import { listAll } from './open-transactions.ts';

/** A preparation whose client died is given up after a minute; a check comes every few seconds. */
export const ANSWER_TIMEOUT_MS = 90_000;
const PACE_MS = 500;

/** False: not everybody was asked who had to be, or the list was not to be had. */
export async function answerChecks(
  load: Load,
  groups: readonly string[],
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<boolean> {
  // `AbortSignal.timeout` may be collected as garbage behind an `any`, and never fire (Node 20).
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  const giveUp = AbortSignal.any([load.giveUp, late.signal]);
  let isOver = false;
  const isWanted = () => !isOver && !giveUp.aborted;
  const asked = groups.map((group, i) =>
    new CheckBacks(load, group, i, giveUp).answerAll(isWanted),
  );
  const client = new Client(load.addresses, 0, giveUp);
  let isListed = false;
  while (isWanted()) {
    const listed = await listAll(client);
    isListed = listed.outcome === 'ok';
    isOver = listed.outcome === 'ok' && listed.all.every(({ state }) => state === 'PARKED');
    if (!isOver) await delay(PACE_MS);
  }
  clearTimeout(timer);
  client.close();
  return (await Promise.all(asked)).every(Boolean) && isListed;
}

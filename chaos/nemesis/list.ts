/** Every fault that a scenario can name. */
import { killAll } from './kill-all.ts';
import { killFollower } from './kill-follower.ts';
import { killInTurn } from './kill-in-turn.ts';
import { killLeader } from './kill-leader.ts';
import { killRandom } from './kill-random.ts';
import type { Nemesis } from './nemesis.ts';
import { pauseLong } from './pause-long.ts';
import { pauseShort } from './pause-short.ts';
import { restart } from './restart.ts';
import { rollingRestart } from './rolling-restart.ts';

export const NEMESES: readonly Nemesis[] = [
  killLeader,
  killFollower,
  killRandom,
  killAll,
  killInTurn,
  pauseShort,
  pauseLong,
  restart,
  rollingRestart,
];

export function nemesisNamed(name: string): Nemesis {
  const found = NEMESES.find((nemesis) => nemesis.name === name);
  if (found === undefined) throw new Error(`there is no fault ${name}`);
  return found;
}

/** Every fault that a scenario can name. */
import { bandwidth } from './bandwidth.ts';
import { blackhole } from './blackhole.ts';
import { bridge } from './bridge.ts';
import { clockJump } from './clock-jump.ts';
import { cutClients } from './cut-clients.ts';
import { diskFull } from './disk-full.ts';
import { electionCut } from './election-cut.ts';
import { fsyncError } from './fsync-error.ts';
import { halves } from './halves.ts';
import { isolateLeader } from './isolate-leader.ts';
import { killAll } from './kill-all.ts';
import { killFollower } from './kill-follower.ts';
import { killInTurn } from './kill-in-turn.ts';
import { killLeader } from './kill-leader.ts';
import { killRandom } from './kill-random.ts';
import { latency } from './latency.ts';
import { majorityRing } from './majority-ring.ts';
import { members } from './members.ts';
import type { Nemesis } from './nemesis.ts';
import { oneWayIn } from './one-way-in.ts';
import { oneWayOut } from './one-way-out.ts';
import { partKill } from './part-kill.ts';
import { pauseKill } from './pause-kill.ts';
import { pauseLong } from './pause-long.ts';
import { pauseShort } from './pause-short.ts';
import { powerCut } from './power-cut.ts';
import { powerCutAll } from './power-cut-all.ts';
import { refuseClients } from './refuse-clients.ts';
import { refuseLeader } from './refuse-leader.ts';
import { resetClients } from './reset-clients.ts';
import { resets } from './resets.ts';
import { restart } from './restart.ts';
import { rollingRestart } from './rolling-restart.ts';
import { cutCheckpoint, flipCheckpoint } from './rot-checkpoint.ts';
import { cutLog, flipLog } from './rot-log.ts';
import { cutSidecar, flipSidecar } from './rot-sidecar.ts';
import { cutState, flipState } from './rot-state.ts';
import { slicer } from './slicer.ts';
import { slowDisk } from './slow-disk.ts';
import { stall } from './stall.ts';
import { swizzleClog } from './swizzle-clog.ts';
import { wipe } from './wipe.ts';

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
  powerCut,
  powerCutAll,
  fsyncError,
  diskFull,
  slowDisk,
  clockJump,
  flipLog,
  cutLog,
  flipSidecar,
  cutSidecar,
  flipState,
  cutState,
  flipCheckpoint,
  cutCheckpoint,
  stall,
  wipe,
  members,
  isolateLeader,
  refuseLeader,
  blackhole,
  halves,
  bridge,
  majorityRing,
  oneWayOut,
  oneWayIn,
  latency,
  bandwidth,
  slicer,
  resets,
  cutClients,
  refuseClients,
  resetClients,
  swizzleClog,
  electionCut,
  partKill,
  pauseKill,
];

export function nemesisNamed(name: string): Nemesis {
  const found = NEMESES.find((nemesis) => nemesis.name === name);
  if (found === undefined) throw new Error(`there is no fault ${name}`);
  return found;
}

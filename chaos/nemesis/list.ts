/** Every fault that a scenario can name. */
import { bandwidth } from './bandwidth.ts';
import { blackhole } from './blackhole.ts';
import { bridge } from './bridge.ts';
import { clockJump } from './clock-jump.ts';
import { cutClients } from './cut-clients.ts';
import { diskFull } from './disk-full.ts';
import { diskFullAll } from './disk-full-all.ts';
import { electionCut } from './election-cut.ts';
import { fsyncError } from './fsync-error.ts';
import { halves } from './halves.ts';
import { isolateLeader } from './isolate-leader.ts';
import { killAll } from './kill-all.ts';
import { killEnded, killEnding, killPrepared, killPreparing } from './kill-at-step.ts';
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
import { partCut } from './part-cut.ts';
import { partKill } from './part-kill.ts';
import { pauseKill } from './pause-kill.ts';
import { pauseLong } from './pause-long.ts';
import { pauseMajority } from './pause-majority.ts';
import { pauseShort } from './pause-short.ts';
import { powerCut } from './power-cut.ts';
import { powerCutAll } from './power-cut-all.ts';
import { readError } from './read-error.ts';
import { refuseClients } from './refuse-clients.ts';
import { refuseLeader } from './refuse-leader.ts';
import { resetClients } from './reset-clients.ts';
import { resets } from './resets.ts';
import { restart } from './restart.ts';
import { rollingRestart } from './rolling-restart.ts';
import { cutCheckpoint, flipCheckpoint } from './rot-checkpoint.ts';
import { cutLog, flipLog } from './rot-log.ts';
import { cutMarker, flipMarker } from './rot-marker.ts';
import { flipRunningLog, flipRunningState } from './rot-running.ts';
import { cutSidecar, flipSidecar } from './rot-sidecar.ts';
import { cutState, flipState } from './rot-state.ts';
import { slicer } from './slicer.ts';
import { slowDisk } from './slow-disk.ts';
import { stall } from './stall.ts';
import { swizzleClog } from './swizzle-clog.ts';
import { wipe } from './wipe.ts';
import { writeError } from './write-error.ts';

export const NEMESES: readonly Nemesis[] = [
  killLeader,
  killFollower,
  killRandom,
  killAll,
  killInTurn,
  killPreparing,
  killPrepared,
  killEnding,
  killEnded,
  pauseShort,
  pauseLong,
  pauseMajority,
  restart,
  rollingRestart,
  powerCut,
  powerCutAll,
  fsyncError,
  writeError,
  readError,
  diskFull,
  diskFullAll,
  slowDisk,
  clockJump,
  flipLog,
  cutLog,
  flipSidecar,
  cutSidecar,
  flipMarker,
  cutMarker,
  flipState,
  cutState,
  flipCheckpoint,
  cutCheckpoint,
  flipRunningLog,
  flipRunningState,
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
  partCut,
  pauseKill,
];

export function nemesisNamed(name: string): Nemesis {
  const found = NEMESES.find((nemesis) => nemesis.name === name);
  if (found === undefined) throw new Error(`there is no fault ${name}`);
  return found;
}

/** No room on some disks for a while. A write that just does not fit takes what there is first. */
import type { Stage, Strike } from './nemesis.ts';
import { queuesLedBy } from './targets.ts';

/** Of the times: the first write that finds the disk full gets half of its bytes in. */
const HALF_WRITE_RATE = 0.5;

export async function fillFor(
  stage: Stage,
  nodes: readonly number[],
  holdMs: number,
): Promise<Strike> {
  const { cluster, random } = stage;
  const processes = nodes.map((node) => cluster.process(node));
  const disks = nodes.map((node) => cluster.disk(node));
  const before = disks.map(({ seen }) => seen);
  const full = random.fraction() < HALF_WRITE_RATE ? 'half' : 'yes';
  for (const one of processes) one.mayEnd = true;
  for (const disk of disks) disk.page.fillDisk(full);
  await stage.hold(holdMs);
  for (const disk of disks) disk.page.fillDisk('no');
  const met = disks.map(({ seen }, at) => ({
    refused: seen.refusedWrites - before[at]!.refusedWrites,
    short: seen.shortWrites - before[at]!.shortWrites,
  }));
  const ended = processes.filter(({ isRunning }) => !isRunning).length;
  for (const one of processes) {
    one.mayEnd = false;
    one.start();
  }
  const sum = (of: 'refused' | 'short') => met.reduce((all, one) => all + one[of], 0);
  const text = `${sum('refused')} writes refused, ${sum('short')} cut short, ${ended} nodes ended`;
  const struck = { nodes, queues: queuesLedBy(stage, nodes) };
  const isMet = met.every(({ refused, short }) => refused + short > 0);
  return { state: isMet ? 'installed' : 'indeterminate', text, ...struck };
}

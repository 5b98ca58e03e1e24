/** What this process holds once everything that can be collected is. */
import { memoryUsage } from 'node:process';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

export function heldBytes(): number {
  collect();
  const { external, heapUsed } = memoryUsage();
  return heapUsed + external;
}

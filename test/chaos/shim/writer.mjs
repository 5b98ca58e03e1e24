/** Writes what the test of the power cut looks for, says so, and dies without warning. */
import {
  constants,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { Level } from 'level';

const [root] = process.argv.slice(2);
const at = (name) => join(root, name);
const syncFolder = (folder = root) => fsyncSync(openSync(folder, 'r'));

const level = new Level(at('level'));
await level.open();
syncFolder(at('level'));
syncFolder();
await level.put('synced', 'yes', { sync: true });

const segment = openSync(at('segment'), 'w+');
writeSync(segment, Buffer.alloc(8192), 0, 8192, 0);
fdatasyncSync(segment);
writeSync(segment, Buffer.from('synced'), 0, 6, 0);
fdatasyncSync(segment);
writeSync(segment, Buffer.from('LOST'), 0, 4, 6);
writeSync(segment, Buffer.alloc(100, 'x'), 0, 100, 8192);

const direct = openSync(at('direct'), constants.O_CREAT | constants.O_WRONLY | constants.O_DSYNC);
writeSync(direct, Buffer.from('durable'), 0, 7, 0);

mkdirSync(at('emptied'));
for (const name of ['old', 'removed']) {
  const file = openSync(at(name), 'w');
  writeSync(file, name);
  fdatasyncSync(file);
}
syncFolder();
const fresh = openSync(at('fresh'), 'w');
writeSync(fresh, 'fresh');
fdatasyncSync(fresh);
renameSync(at('fresh'), at('old'));
unlinkSync(at('removed'));
rmdirSync(at('emptied'));

await level.put('lost', 'yes', { sync: false });
// Of what stdio has in its buffers nothing is there after a kill: it shall be in the file.
await level.put('large', 'x'.repeat(200_000), { sync: false });

process.stdout.write(`${Date.now()}\n`);
process.kill(process.pid, 'SIGKILL');

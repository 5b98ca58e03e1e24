/** Entry of the ceiling's three processes: `follower PATH` or `leader PATH PORT PORT`. */
import { runFollower } from './follower.ts';
import { runLeader } from './leader.ts';

const [role, path, ...ports] = process.argv.slice(2);
// The parent's end of the channel closes when the parent is gone: then so are we.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
if (path === undefined) throw new Error('usage: process.js follower|leader PATH [PORT PORT]');
if (role === 'follower') runFollower(path);
else await runLeader(path, ports.map(Number));

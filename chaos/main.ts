/** `npm run chaos`: the same as `holdfast chaos`. */
import { chaosCommand } from './command.ts';

await chaosCommand(process.argv.slice(2));

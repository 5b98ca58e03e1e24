/** Loaded into the nodes that are called: they collect all that can be when they are told to. */
import { heldBytes } from './memory.ts';

process.on('SIGUSR2', heldBytes);

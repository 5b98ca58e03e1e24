/**
 * The latest life (incarnation, boot) that this node saw of each peer, kept across its own boots: a
 * peer that comes back with an older one has forgotten votes and entries (internals rule 8).
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeId } from '../../raft/types.ts';
import { Failure } from '../failure.ts';
import type { Life } from '../peers/gatekeeper.ts';
import { writeDurably } from './durable-file.ts';

const FILE = 'peer-lives.json';

export class PeerLives {
  readonly seen = new Map<NodeId, Life>();
  readonly #file: string;

  constructor(directory: string) {
    this.#file = join(directory, FILE);
    if (!existsSync(this.#file)) return;
    try {
      const lives = JSON.parse(readFileSync(this.#file, 'utf8')) as Record<string, Life>;
      for (const [node, life] of Object.entries(lives)) this.seen.set(Number(node), life);
    } catch (error) {
      throw new Failure(`${this.#file} is damaged: it is no JSON`, undefined, error);
    }
  }

  /** Durable when it returns. */
  remember(node: NodeId, life: Life): void {
    this.seen.set(node, life);
    writeDurably(this.#file, `${JSON.stringify(Object.fromEntries(this.seen), undefined, 2)}\n`);
  }
}

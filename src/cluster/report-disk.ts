/**
 * A node looks at its disk and tells the cluster, through the metadata, when it passed a mark:
 * leaders of shards with a replica on it then make room, or take no more.
 */
import type { Logger } from 'pino';
import type { DiskMarks } from '../config.ts';
import type { ShardHost } from '../shards/api.ts';
import type { DiskLevels } from '../shards/disk-levels.ts';
import { type DiskUse, nextLevel } from '../shards/disk-meter.ts';
import type { DiskLevel } from './api.ts';
import { META_SHARD } from './birth-placement.ts';
import type { MetaProposer } from './registration.ts';

const LOOK_EVERY_MS = 1000;

export interface DiskReportParts {
  readonly host: Pick<ShardHost, 'leaderOf' | 'meta' | 'node'>;
  readonly levels: DiskLevels;
  readonly proposer: MetaProposer;
  readonly incarnation: string;
  readonly marks: DiskMarks;
  readonly measure: () => Promise<DiskUse>;
  readonly logger: Logger;
}

export class DiskReport {
  readonly #parts: DiskReportParts;
  #isProposing = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(parts: DiskReportParts) {
    this.#parts = parts;
  }

  /** Resolves when it has looked for the first time: a node that starts full takes nothing. */
  async start(): Promise<void> {
    await this.look();
    if (this.#stopped) return;
    this.#timer = setTimeout(() => void this.start(), LOOK_EVERY_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async look(): Promise<void> {
    const { levels, marks, measure } = this.#parts;
    const before = levels.own;
    const use = await measure().catch((error: unknown) => this.#blind(error));
    if (use === undefined || this.#stopped) return;
    const level = nextLevel(use.percent, before, marks);
    if (level !== before) this.#changed(level, use);
    this.#tell(level);
  }

  #blind(error: unknown): undefined {
    this.#parts.logger.error({ err: error }, 'how full the disk is cannot be seen');
    return undefined;
  }

  #changed(level: DiskLevel, { percent }: DiskUse): void {
    const { levels, logger } = this.#parts;
    levels.setOwn(level);
    const facts = { disk: level, usedPercent: Math.round(percent * 10) / 10 };
    if (level === 'low') logger.info(facts, 'the disk has room again');
    else logger.warn(facts, 'the disk passed a mark');
  }

  /** Again with each look until the metadata has it. */
  #tell(level: DiskLevel): void {
    const { host, incarnation, proposer } = this.#parts;
    const known = host.meta().member(host.node);
    if (known?.incarnation !== incarnation || (known.disk ?? 'low') === level) return;
    if (this.#isProposing || host.leaderOf(META_SHARD) === undefined) return;
    this.#isProposing = true;
    proposer.proposeMeta({ type: 'reportDisk', node: host.node, incarnation, level }, () => {
      this.#isProposing = false;
    });
  }
}
